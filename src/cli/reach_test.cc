// `penstock reach`: files read with places, traces compared, exit codes, JUnit.
#include "cli/reach_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/testing/world.h"

namespace penstock::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json trace_of(const std::string& disposition, const std::string& rule = "") {
  Json trace{{"disposition", disposition},
             {"packet", Json{{"source", "10.0.1.5"}, {"destination", "10.0.2.7"}}},
             {"steps", Json::array()},
             {"noReply", "not reached"}};
  if (!rule.empty())
    trace["decidedBy"] =
        Json{{"kind", "filter"}, {"name", "office"}, {"rule", rule}, {"number", 3}};
  return trace;
}

TEST(Reach, AFileIsReadWithPlaces) {
  const auto read = read_reach("r.yaml",
                               "- {from: web-1, to: \"10.0.2.7:22/tcp\", expect: deny}\n"
                               "- from: acme/web-1/eth1\n"
                               "  to: db-1\n"
                               "  port: 53\n"
                               "  protocol: udp\n"
                               "  expect: allow\n"
                               "  rule: 3\n",
                               "acme");
  ASSERT_TRUE(read.problems.empty()) << read.problems[0];
  ASSERT_EQ(read.all.size(), 2u);
  EXPECT_EQ(
      read.all[0].request.dump(),
      R"({"vm":"web-1","packet":{"protocol":"tcp","destination":"10.0.2.7","destinationPort":22}})");
  EXPECT_EQ(
      read.all[1].request.dump(),
      R"({"vm":"web-1","packet":{"protocol":"udp","destination":"db-1","destinationPort":53},"nic":"eth1"})");
  EXPECT_EQ(read.all[1].line, 2);
}

TEST(Reach, EveryMistakeHasItsPlace) {
  const auto problems = [](const std::string& text) {
    return read_reach("r.yaml", text, "acme").problems;
  };
  EXPECT_THAT(
      problems("- {from: a, to: b, expct: allow}\n"),
      ElementsAre(HasSubstr("r.yaml:1:20  unknown field \"expct\"; did you mean \"expect\"?"),
                  HasSubstr("\"expect\" is missing")));
  EXPECT_THAT(problems("- {from: a, to: b, expect: perhaps}\n"),
              ElementsAre(HasSubstr("r.yaml:1:28")));
  EXPECT_THAT(problems("- from: a\n  to: b\n  expect: deny\n  port: 70000\n"),
              ElementsAre(HasSubstr("r.yaml:4:9  \"70000\" is not a port")));
  EXPECT_THAT(problems("- from: a\n  to: b\n  expect: deny\n  protocol: tpc\n"),
              ElementsAre(HasSubstr("r.yaml:4:13")));
  EXPECT_THAT(problems("from: a\n"), ElementsAre(HasSubstr("r.yaml:1:1  a list")));
  EXPECT_THAT(problems("- 7\n"), ElementsAre(HasSubstr("r.yaml:1:3")));
  EXPECT_THAT(problems("- {from: a\n"), testing::SizeIs(1));
  EXPECT_THAT(problems(""), ElementsAre(HasSubstr("no expectation")));
}

TEST(Reach, WhatIsAsExpected) {
  Expectation one;
  one.expect = "deny";
  EXPECT_EQ(unmet(one, trace_of("DROPPED", "no-ssh")), "");
  EXPECT_THAT(unmet(one, trace_of("DELIVERED")), HasSubstr("allow instead of deny"));
  EXPECT_THAT(unmet(one, trace_of("REJECTED", "x")), HasSubstr("reject instead of deny"));
  EXPECT_THAT(unmet(one, trace_of("LOST")), HasSubstr("cannot be told"));
  one.profile = "office";
  one.rule = "no-ssh";
  EXPECT_EQ(unmet(one, trace_of("DROPPED", "no-ssh")), "");
  one.rule = "3";
  EXPECT_EQ(unmet(one, trace_of("DROPPED", "no-ssh")), "");
  one.rule = "other";
  EXPECT_THAT(unmet(one, trace_of("DROPPED", "no-ssh")), HasSubstr("instead of other"));
  one.rule.clear();
  one.profile = "another";
  EXPECT_THAT(unmet(one, trace_of("DROPPED", "no-ssh")), HasSubstr("instead of profile another"));
}

struct ReachRun : ::testing::Test {
  ReachRun() {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "r.yaml")
        << "- {from: acme/web-1, to: \"10.0.2.7:22/tcp\", expect: deny}\n"
           "- {from: acme/web-1, to: \"10.0.2.7:22/tcp\", expect: allow}\n";
  }
  ~ReachRun() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("penstock-reach-" + std::to_string(getpid()));
  World world;
};

TEST_F(ReachRun, TheAnswerFirstThenEachFailureWithItsTrace) {
  world.on("POST /v1/tenants/acme:trace", trace_of("DROPPED", "no-ssh"));
  const auto junit = (folder / "out.xml").string();
  auto ran = world.terminal.run("reach -f " + (folder / "r.yaml").string() + " --junit " + junit);
  EXPECT_EQ(ran.exit, 1);
  EXPECT_TRUE(ran.out.starts_with("1 of 2 as expected\n")) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("r.yaml:2  acme/web-1 -> 10.0.2.7:22/tcp allow: deny instead of"));
  EXPECT_THAT(ran.out, HasSubstr("DROPPED"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock trace acme/web-1 10.0.2.7:22/tcp\n"));
  std::ifstream file(junit);
  const std::string xml{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(xml, HasSubstr("tests=\"2\" failures=\"1\""));
}

TEST_F(ReachRun, ABadFileRunsNothing) {
  std::ofstream(folder / "r.yaml") << "- {from: acme/web-1, expect: deny}\n";
  auto ran = world.terminal.run("reach -f " + (folder / "r.yaml").string());
  EXPECT_EQ(ran.exit, 6);
  EXPECT_THAT(ran.err, HasSubstr("r.yaml:1:3  \"to\" is missing"));
  EXPECT_THAT(ran.err, HasSubstr("1 error; nothing was run."));
}

TEST_F(ReachRun, TheSchemaIsPublished) {
  auto ran = world.terminal.run("schema reach");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(Json::parse(ran.out), reach_schema());
}

}  // namespace
}  // namespace penstock::cli
