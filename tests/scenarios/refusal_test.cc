// What is refused leaves nothing behind, and nothing of the user's is taken away unasked.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

constexpr const char* kLab = R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
)";

Output penstock(const std::string& arguments) {
  const auto output = capture_in(
      {{"/bin/sh", "-c", built("penstock") + " " + arguments + " 2>&1"}, "", "", ""}, 120'000);
  return output ? *output : Output{-1, output.error().text()};
}

class Refusal : public LabTest {
 protected:
  std::string file(const std::string& more) {
    const auto path = fmt::format("{}/{}.yaml", testing::TempDir(), name());
    std::ofstream(path) << "name: " << name() << kLab << more;
    return path;
  }
  bool is_up() { return Folder(name()).exists(); }
  void contains(const Output& output, const std::string& wanted) {
    EXPECT_NE(output.text.find(wanted), std::string::npos) << wanted << " in\n" << output.text;
  }
};

TEST_F(Refusal, AWrongObjectStartsNothing) {
  const auto path = file("    vms: [{name: db, network: blue, host: k9}]\n");
  const auto output = penstock("lab up " + path);
  EXPECT_EQ(output.status, 6);
  contains(output,
           path + ":8:43  VirtualMachine/acme/db  tenants[0].vms[0].host: there is no Host \"k9\"");
  contains(output, "nothing was started");
  EXPECT_FALSE(is_up());
}

TEST_F(Refusal, ATopologyIsNotAppliedAndSaysWhatItIsFor) {
  const auto path = std::string(PENSTOCK_SOURCE_DIR) + "/examples/figure1.yaml";
  const auto output = penstock("apply -f " + path);
  EXPECT_EQ(output.status, 6);
  contains(output, "figure1.yaml:3:1  is the topology of a lab: penstock lab up " + path);
}

// A server that takes less than the check knows of: an object too large for its transactions.
TEST_F(Refusal, WhatOnlyTheServerRefusesIsTakenDownUnlessKept) {
  const auto path = file(fmt::format(
      "objects:\n  - kind: Tenant\n    metadata: {{name: big, annotations: {{text: {}}}}}\n",
      std::string(6'000, 'x')));
  auto topology = read_topology(path);
  ASSERT_TRUE(topology) << topology.error().text();
  topology->programs = testing::TempDir() + name() + "-programs";
  std::filesystem::create_directories(topology->programs);
  for (const auto* program : {"penstockd", "penstock-hostd"}) {
    const auto script = topology->programs + "/" + program;
    const bool server = std::string(program) == "penstockd";
    std::ofstream(script) << "#!/bin/sh\nexec " << built(program) << " \"$@\""
                          << (server ? " --set store_txn_max_bytes=4096" : "") << "\n";
    chmod(script.c_str(), 0755);
  }
  const auto quiet = [](const std::string&, bool) {};
  const auto refused = Lab::up(*topology, quiet);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  const auto text = refused.error().text();
  EXPECT_NE(text.find(path + ":9:5  Tenant/big  objects[0]"), std::string::npos) << text;
  EXPECT_NE(text.find("taken down again"), std::string::npos) << text;
  EXPECT_FALSE(is_up());

  const auto kept = Lab::up(*topology, quiet, /*keep=*/true);
  ASSERT_FALSE(kept);
  EXPECT_TRUE(is_up());
  std::filesystem::remove_all(topology->programs);
}

TEST_F(Refusal, TheDemoLeavesALabThatIsUpAlone) {
  up(kLab);
  if (HasFatalFailure()) return;
  ASSERT_TRUE(
      put({{"kind", "Tenant"}, {"metadata", {{"name", "mine"}}}, {"spec", cli::Json::object()}}));
  const auto output = penstock("demo --lab " + name());
  EXPECT_EQ(output.status, 5);
  for (const auto* wanted : {"lab status ", "lab down ", "penstock demo services --replace --lab "})
    contains(output, wanted + name());
  auto api = lab().api();
  ASSERT_TRUE(api);
  EXPECT_TRUE(api->get({"tenants", "", "mine"}));

  const auto replaced = penstock("demo --keep --replace --lab " + name());
  EXPECT_EQ(replaced.status, 0) << replaced.text;
  const auto token = lab().folder().path("tokens/alice");
  contains(replaced, "PENSTOCK_TOKEN=$(cat " + token + ")");
  struct stat found {};
  ASSERT_EQ(stat(token.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
  std::ifstream in(token);
  std::string secret;
  ASSERT_TRUE(in >> secret);
  EXPECT_EQ(replaced.text.find(secret), std::string::npos);
  const auto used = penstock("auth whoami --server " + lab().folder().server_url() +
                             " --token $(cat " + token + ")");
  EXPECT_EQ(used.status, 0) << used.text;
  contains(used, "alice");
}

TEST_F(Refusal, ALabOfAnotherVersionIsNamedSoAndCanBeTakenDown) {
  up(kLab);
  if (HasFatalFailure()) return;
  unlink(lab().folder().path("layout").c_str());
  unlink(lab().folder().path("topology.yaml").c_str());
  contains(penstock("lab status " + name()), "was made by another version of penstock");
  contains(penstock("lab list"), "of another version");
  const auto again = penstock("lab up " + file(""));
  EXPECT_EQ(again.status, 5);
  contains(again, "made by another version of penstock");
  EXPECT_EQ(penstock("lab down " + name()).status, 0);
  EXPECT_FALSE(is_up());
}

}  // namespace
}  // namespace penstock::lab
