// check, diag bundle, codes, events of an object.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "abi/reasons.h"
#include "cli/codes.h"
#include "cli/testing/world.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Json checks(const std::string& state) {
  return Json{
      {"checks", Json::array({Json{{"name", "server"}, {"state", "PASSED"}, {"message", "serves"}},
                              Json{{"name", "underlay-mtu"},
                                   {"state", state},
                                   {"object", "host/h1"},
                                   {"message", "h1 -> h2: no answer"},
                                   {"hint", "penstock describe host h1"}}})}};
}

TEST(CheckVerb, ProblemsFirstAndExitOne) {
  World world;
  world.on("GET /v1:whoami", Json{{"user", "admin"}});
  world.on("GET /v1:check", checks("FAILED"));
  auto ran = world.terminal.run("check");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_TRUE(ran.out.starts_with("1 of 4 checks failed\n  FAILED  underlay-mtu ")) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("PASSED  token"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock describe host h1\n"));
}

TEST(CheckVerb, WellIsExitZeroAndJsonSaysTheSame) {
  World world;
  world.on("GET /v1:whoami", Json{{"user", "admin"}});
  world.on("GET /v1:check", checks("PASSED"));
  EXPECT_EQ(world.terminal.run("check").exit, 0);
  auto ran = world.terminal.run("check -o json");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(Json::parse(ran.out)["failed"], 0);
  EXPECT_EQ(Json::parse(ran.out)["checks"].size(), 4u);
}

TEST(Codes, EveryDropReasonHasItsParagraph) {
#define PS_HAS(NAME, name, help) EXPECT_EQ(codes_named(#name).empty(), false) << #name;
  PS_DROP_REASONS(PS_HAS)
  PS_COUNTERS(PS_HAS)
#undef PS_HAS
  // What only says where a packet went asks for nothing.
  const std::set<std::string> nothing_to_do{
      "none", "own_address", "group_membership", "flood_empty", "punted", "answered", "flooded"};
  for (const auto& code : all_codes()) {
    if (code.group != "drop reason") continue;
    EXPECT_EQ(code.remedy.empty(), nothing_to_do.contains(code.name)) << code.name;
  }
}

TEST(Codes, ThePageIsUpToDate) {
  EXPECT_EQ(content(PENSTOCK_SOURCE_DIR "/docs/codes.md"), codes_markdown())
      << "penstock explain code --markdown > docs/codes.md";
}

TEST(Codes, OneIsExplainedWithoutAServer) {
  World world;
  auto ran = world.terminal.run("explain code policy_deny");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, HasSubstr("policy_deny (drop reason): A rule or default action"));
  EXPECT_THAT(ran.out, HasSubstr("penstock trace"));
  ran = world.terminal.run("explain code polcy_deny");
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("policy_deny"));
}

TEST(GetVerb, EventsOfOneObject) {
  World world;
  const auto event = [](const char* name, const char* vm) {
    return Json{{"kind", "Event"},
                {"metadata", Json{{"name", name}}},
                {"object", Json{{"kind", "VirtualMachine"}, {"tenant", "acme"}, {"name", vm}}},
                {"message", std::string("about ") + vm}};
  };
  world.on("GET /v1/events",
           Json{{"items", Json::array({event("e1", "web-1"), event("e2", "db-1")})}});
  auto ran = world.terminal.run("get events --for vm/acme/web-1");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, HasSubstr("about web-1"));
  EXPECT_THAT(ran.out, Not(HasSubstr("about db-1")));
  EXPECT_EQ(world.terminal.run("get vms --for vm/acme/web-1").exit, 2);
}

TEST(DiagVerb, ABundleWithoutSecrets) {
  World world;
  world.on("GET /v1:whoami", Json{{"user", "admin"}});
  world.on(
      "GET /v1/users",
      Json{{"items", Json::array({Json{{"kind", "User"},
                                       {"metadata", Json{{"name", "ann"},
                                                         {"annotations", Json{{"pin", "4711"}}}}},
                                       {"spec", Json{{"password", "hush"}}}}})}});
  const auto path = std::filesystem::temp_directory_path() /
                    ("penstock-diag-" + std::to_string(getpid()) + ".tar.gz");
  auto ran = world.terminal.run("diag bundle -o " + path.string());
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto listing = path.string() + ".txt";
  ASSERT_EQ(std::system(("tar -xzOf " + path.string() + " > " + listing).c_str()), 0);
  const auto all = content(listing);
  EXPECT_THAT(all, HasSubstr("\"user\": \"admin\""));
  EXPECT_THAT(all, HasSubstr("\"ann\""));
  EXPECT_THAT(all, Not(HasSubstr("hush")));
  EXPECT_THAT(all, Not(HasSubstr("4711")));
  std::filesystem::remove(path);
  std::filesystem::remove(listing);
}

}  // namespace
}  // namespace penstock::cli
