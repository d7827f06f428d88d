// The command against a real penstockd, without hosts: what is applied nowhere is shown as such.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/json.h"
#include "cli/testing/harness.h"

extern char** environ;

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Penstockd : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/penstock-cli-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const std::string program = PENSTOCK_BUILD_DIR "/bin/penstockd";
    const std::string data = folder_ + "/data";
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
    const std::vector<std::string> words{
        program,       "--data",     data, "--listen-http", "127.0.0.1:0", "--listen-grpc",
        "127.0.0.1:0", "--ready-fd", "3",  "--log-level",   "error"};
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ASSERT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ),
              0)
        << program;
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ready[1]);
    std::string line;
    constexpr int kPatienceMs = 20'000;
    pollfd wait{ready[0], POLLIN, 0};
    for (char c; ::poll(&wait, 1, kPatienceMs) == 1 && ::read(ready[0], &c, 1) == 1 && c != '\n';)
      line += c;
    ::close(ready[0]);
    // "ready http=127.0.0.1:PORT grpc=..."
    ASSERT_THAT(line, StartsWith("ready http="));
    terminal.env["PENSTOCK_SERVER"] = "http://" + line.substr(11, line.find(' ', 11) - 11);
    std::ifstream token(data + "/admin.token");
    std::getline(token, terminal.env["PENSTOCK_TOKEN"]);
    ASSERT_FALSE(terminal.env["PENSTOCK_TOKEN"].empty());
  }

  void TearDown() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGTERM);
      int status = 0;
      for (int i = 0; i < 100 && ::waitpid(pid_, &status, WNOHANG) == 0; ++i) ::usleep(50'000);
      if (::kill(pid_, 0) == 0) ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }

  // Runs and expects the exit code; gives what was said.
  Ran expect(int exit, std::string_view command) {
    const Ran ran = terminal.run(command);
    EXPECT_EQ(ran.exit, exit) << command << "\n" << ran.out << ran.err;
    return ran;
  }

  std::string inventory() {
    return write("inventory.yaml", R"(kind: Tenant
metadata: {name: acme}
---
kind: Tenant
metadata: {name: zeta}
---
kind: Cluster
metadata: {name: c1}
---
kind: Host
metadata: {name: h1}
spec:
  cluster: c1
  uplinks: [{name: uplink0, device: eth0, address: 192.0.2.1}]
---
kind: VirtualNetwork
metadata: {name: blue, tenant: acme}
spec:
  subnets: [{cidr: 10.0.1.0/24, gateway: 10.0.1.1}]
---
kind: VirtualMachine
metadata: {name: web-1, tenant: acme, labels: {role: web}}
spec:
  nics: [{name: eth0, network: blue}]
  placement: {host: h1}
---
kind: VmPool
metadata: {name: web, tenant: acme}
spec: {selector: {matchLabels: {role: web}}}
)");
  }

  std::string profile() {
    return write("profile.yaml", R"(kind: ServiceProfile
metadata: {name: office-firewall}
spec:
  definition: firewall
  published: true
  availability: {everyone: true}
)");
  }

  Terminal terminal;
  std::string folder_;
  pid_t pid_ = -1;
};

const std::string kFirewall = PENSTOCK_SOURCE_DIR "/services/firewall/definition.yaml";

TEST_F(Penstockd, ApplyTwiceThenDiffThenGetBack) {
  const auto file = inventory();
  EXPECT_THAT(expect(0, "apply --dry-run=server -f " + file).out, HasSubstr("7 created"));
  EXPECT_EQ(expect(3, "get tenant acme").out, "") << "a dry run changes nothing";
  EXPECT_EQ(expect(1, "diff -f " + file).exit, 1);
  EXPECT_THAT(expect(10, "apply --exit-code -f " + file).out,
              StartsWith("7 objects: 7 created, 0 updated, 0 unchanged\n"));
  EXPECT_THAT(expect(0, "apply --exit-code -f " + file).out,
              StartsWith("7 objects: 0 created, 0 updated, 7 unchanged\n"));
  EXPECT_THAT(expect(0, "diff -f " + file).out, StartsWith("no difference"));
  EXPECT_THAT(expect(0, "get vms -t acme").out, HasSubstr("web-1  h1"));
  EXPECT_THAT(expect(0, "get vms -A -o name").out, "vm/acme/web-1\n");
  EXPECT_THAT(expect(0, "get vm acme/web-1 -o jsonpath={.spec.nics[0].addresses[0]}").out,
              StartsWith("10.0.1."));
  // What get printed can be applied again, as YAML and as JSON.
  for (const auto* form : {"yaml", "json"}) {
    terminal.in = expect(0, std::string("get vms -A -o ") + form).out;
    EXPECT_THAT(expect(0, "apply -f -").out,
                StartsWith("1 object: 0 created, 0 updated, 1 unchanged"));
  }
  EXPECT_THAT(expect(0, "describe vm acme/web-1").out, StartsWith("vm acme/web-1: "));
  EXPECT_THAT(expect(0, "explain vm acme/web-1").out, HasSubstr("As of revision "));
  EXPECT_THAT(expect(1, "status").out, HasSubstr("h1")) << "no host has a session";
  EXPECT_THAT(expect(0, "auth whoami").out, StartsWith("admin: ADMINISTRATOR"));
  EXPECT_THAT(expect(7, "wait vm acme/web-1 --for=applied --deadline 100ms").out, HasSubstr("h1"));
  EXPECT_THAT(expect(0, "get events").out, HasSubstr("TIME"));
}

TEST_F(Penstockd, ErrorsPointIntoTheFile) {
  expect(0, "apply -f " + inventory());
  const auto file = write("bad.yaml",
                          "kind: VirtualNetwork\n"
                          "metadata: {name: red, tenant: acme}\n"
                          "spec:\n"
                          "  subnets:\n"
                          "    - cidr: 10.0.1.0/99\n"
                          "---\n"
                          "kind: VirtualMachine\n"
                          "metadata: {name: web-2, tenant: acme}\n"
                          "spec:\n"
                          "  nicks: []\n"
                          "  nics: [{name: eth0, network: nowhere}]\n");
  auto ran = expect(6, "apply -f " + file);
  EXPECT_THAT(ran.err,
              HasSubstr(file + ":10:3  VirtualMachine/acme/web-2  spec.nicks  unknown field"));
  EXPECT_THAT(ran.err, HasSubstr("nothing was changed."));
  const auto file2 = write("bad2.yaml",
                           "kind: VirtualNetwork\n"
                           "metadata: {name: red, tenant: acme}\n"
                           "spec:\n"
                           "  subnets:\n"
                           "    - cidr: 10.0.1.0/99\n"
                           "---\n"
                           "kind: VirtualMachine\n"
                           "metadata: {name: web-2, tenant: acme}\n"
                           "spec:\n"
                           "  nics: [{name: eth0, network: nowhere}]\n"
                           "---\n"
                           "kind: Tenant\n"
                           "metadata: {name: fresh}\n");
  ran = expect(6, "apply -f " + file2);
  EXPECT_THAT(ran.err, HasSubstr(file2 + ":5:13  VirtualNetwork/acme/red  spec.subnets[0].cidr"));
  EXPECT_THAT(ran.err, HasSubstr(file2 + ":10:"));
  EXPECT_THAT(ran.err, HasSubstr("in 2 of 3 documents; nothing was changed."));
  expect(3, "get tenant fresh");
}

TEST_F(Penstockd, CatalogEnableDisableDelete) {
  expect(0, "apply -f " + inventory());
  expect(0, "apply -f " + kFirewall + " -f " + profile());
  EXPECT_THAT(expect(0, "catalog --vm acme/web-1").out, HasSubstr("office-firewall"));
  auto ran = expect(0, "enable office-firewall --level basic --on vm/acme/web-1");
  EXPECT_THAT(ran.out, StartsWith("office-firewall (basic) on vm acme/web-1: enabled"));
  EXPECT_THAT(expect(0, "enable office-firewall --level basic --on vm/acme/web-1").out,
              HasSubstr("was already enabled"));
  EXPECT_THAT(expect(0, "enable office-firewall --on pool/web -t acme").out, HasSubstr("enabled"));
  EXPECT_THAT(expect(0, "get enablements -A").out, HasSubstr("vm web-1"));
  EXPECT_THAT(
      expect(7, "enable office-firewall --level strict --on vm/acme/web-1 --wait --deadline 200ms")
          .out,
      HasSubstr("h1"));
  EXPECT_THAT(expect(0, "explain vm acme/web-1").out, HasSubstr("office-firewall"));
  EXPECT_THAT(expect(0, "describe profile office-firewall --rule 1").out,
              HasSubstr("no-blocked-ports"));
  EXPECT_THAT(expect(0, "disable office-firewall --on vm/acme/web-1").out, HasSubstr("warning: "));
  expect(3, "disable office-firewall --on vm/acme/web-1");
  EXPECT_THAT(expect(5, "delete network acme/blue").err, HasSubstr("--cascade"));
  EXPECT_THAT(expect(0, "delete network acme/blue --cascade").out, HasSubstr("vm acme/web-1"));
  expect(3, "get vm acme/web-1");
}

TEST_F(Penstockd, ForeignObjectsLookAbsent) {
  expect(0, "apply -f " + inventory());
  const auto file = write("ann.yaml",
                          "kind: User\nmetadata: {name: ann}\nspec: {roles: [{role: "
                          "TENANT_ADMINISTRATOR, tenant: zeta}]}\n"
                          "---\nkind: Token\nmetadata: {name: ann}\nspec: {user: ann}\n");
  const auto said = expect(0, "apply -f " + file).out;
  constexpr std::string_view kSecret = "secret, shown only now: ";
  ASSERT_THAT(said, HasSubstr(std::string(kSecret)));
  const auto at = said.find(kSecret) + kSecret.size();
  terminal.env["PENSTOCK_TOKEN"] = said.substr(at, said.find('\n', at) - at);
  EXPECT_THAT(expect(0, "auth whoami").out, StartsWith("ann: TENANT_ADMINISTRATOR of zeta"));
  expect(3, "get vm acme/web-1");
  EXPECT_EQ(expect(0, "get vms -A").out, "");
  terminal.in =
      "kind: VirtualNetwork\nmetadata: {name: mine, tenant: acme}\nspec: {subnets: [{cidr: "
      "10.9.0.0/24}]}\n";
  EXPECT_THAT(terminal.run("apply -f -").exit, testing::AnyOf(3, 4));
  terminal.env["PENSTOCK_TOKEN"] = "wrong";
  expect(4, "get vms -A");
}

TEST_F(Penstockd, DraftsWatchAndNames) {
  expect(0, "apply -f " + inventory());
  const auto draft = write("draft.yaml",
                           "kind: ServiceDefinition\nmetadata: {name: mine}\nspec: {vendor: v, "
                           "serviceName: s, version: \"1\", draft: true}\n");
  expect(0, "apply -f " + draft);
  EXPECT_NE(terminal.run("definition submit mine").exit, 0) << "nothing in it yet";
  const auto part =
      write("part.yaml",
            "insertionPoint: VIRTUAL_SWITCH\nlevels: [{name: only}]\nfilter: {defaultIn: DENY}\n");
  expect(0, "definition add mine -f " + part);
  expect(0, "definition submit mine");
  EXPECT_THAT(expect(0, "watch vms -A --deadline 300ms -o name").out,
              HasSubstr("ADDED vm/acme/web-1\n"));
  EXPECT_EQ(expect(0, "__complete describe vm acme/").out, "acme/web-1\n");
  EXPECT_THAT(expect(0, "get hosts -w --deadline 200ms").out, HasSubstr("ADDED"));
}

}  // namespace
}  // namespace penstock::cli
