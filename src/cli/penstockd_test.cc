// The command against a real penstockd. Most tests have no host: what is applied nowhere is shown
// as such. Some have one that says what the test wants.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "cli/http/client.h"
#include "cli/json.h"
#include "cli/testing/harness.h"
#include "penstock/v1/host.grpc.pb.h"

extern char** environ;

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A host's end of a session on a real stream: takes what comes, acknowledges it, and says of some
// items that they cannot be.
class TestHost {
 public:
  TestHost(const std::string& address, std::string token, v1::Position holds = {})
      : stub_(v1::HostSession::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    context_.AddMetadata("authorization", "Bearer " + token);
    stream_ = stub_->Connect(&context_);
    v1::HostMessage hello;
    hello.mutable_hello()->set_host("h1");
    *hello.mutable_hello()->mutable_position() = std::move(holds);
    stream_->Write(hello);
    reader_ = std::thread([this] { read(); });
  }
  ~TestHost() {
    context_.TryCancel();
    reader_.join();
  }
  // Items with keys that start so fail for good, with this message; empty: none any more.
  void fail(std::string prefix, std::string message) {
    const std::lock_guard lock(mutex_);
    prefix_ = std::move(prefix);
    message_ = std::move(message);
  }
  template <typename Condition>  // of (last message, position)
  bool wait_for(Condition condition) {
    for (int i = 0; i < 500; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (condition(last_)) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  v1::Position position() {
    const std::lock_guard lock(mutex_);
    return position_;
  }

 private:
  void read() {
    for (v1::ServerMessage message; stream_->Read(&message);) {
      v1::HostMessage answer;
      {
        const std::lock_guard lock(mutex_);
        if (message.has_heartbeat()) continue;
        last_ = message;
        if (message.has_refused()) continue;
        position_ = message.position();
        if (message.has_full()) keys_.clear();
        for (const auto& item : message.full().items()) keys_.insert(item.key());
        for (const auto& item : message.delta().put()) keys_.insert(item.key());
        for (const auto& key : message.delta().remove()) keys_.erase(key);
        auto& ack = *answer.mutable_ack();
        *ack.mutable_position() = position_;
        for (const auto& key : keys_)
          if (!prefix_.empty() && key.starts_with(prefix_)) {
            auto& item = *ack.add_not_ready();
            item.set_key(key);
            item.set_reason("Conflict");
            item.set_message(message_);
          }
      }
      stream_->Write(answer);
    }
  }

  std::unique_ptr<v1::HostSession::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::HostMessage, v1::ServerMessage>> stream_;
  std::mutex mutex_;
  std::string prefix_, message_;
  v1::ServerMessage last_;
  v1::Position position_;
  std::set<std::string> keys_;
  std::thread reader_;
};

class Penstockd : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/penstock-cli-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    start();
    std::ifstream token(folder_ + "/data/admin.token");
    std::getline(token, terminal.env["PENSTOCK_TOKEN"]);
    ASSERT_FALSE(terminal.env["PENSTOCK_TOKEN"].empty());
  }

  void start(const std::vector<std::string>& more = {}) {
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const std::string program = PENSTOCK_BUILD_DIR "/bin/penstockd";
    const std::string data = folder_ + "/data";
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
    std::vector<std::string> words{program,       "--data",        data,          "--listen-http",
                                   "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--ready-fd",
                                   "3",           "--log-level",   "error"};
    words.insert(words.end(), more.begin(), more.end());
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
    grpc_ = line.substr(line.find("grpc=") + 5);
  }

  void stop() {
    ::kill(pid_, SIGTERM);
    int status = 0;
    for (int i = 0; i < 100 && ::waitpid(pid_, &status, WNOHANG) == 0; ++i) ::usleep(50'000);
    if (::kill(pid_, 0) == 0) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }

  void TearDown() override {
    if (pid_ > 0) stop();
    std::filesystem::remove_all(folder_);
  }

  // The secret of a new token.
  std::string token_of(const std::string& spec) {
    terminal.in =
        "kind: Token\nmetadata: {name: t" + std::to_string(++tokens_) + "}\nspec: {" + spec + "}\n";
    const auto said = expect(0, "apply -f -").out;
    constexpr std::string_view kSecret = "secret, shown only now: ";
    const auto at = said.find(kSecret) + kSecret.size();
    return said.substr(at, said.find('\n', at) - at);
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
  std::string folder_, grpc_;
  int tokens_ = 0;
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

// The documents of a page: what is between ```yaml and ```.
std::string documents_of(const std::string& page) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/" + page);
  std::string out, line;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == "```yaml") out += "---\n";
    if (inside && line != "```") out += line + "\n";
    inside = line == "```yaml" || (inside && line != "```");
  }
  return out;
}

TEST_F(Penstockd, TheServicesOfTheDocumentationWork) {
  expect(0, "apply -f " + inventory());
  terminal.in = documents_of("services.md");
  ASSERT_THAT(terminal.in, HasSubstr("kind: VmPool"));
  EXPECT_THAT(expect(0, "apply -f -").out, StartsWith("6 objects: 6 created"));
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

TEST_F(Penstockd, ATerminalFailureEndsEveryWaitWithEight) {
  expect(0, "apply -f " + inventory());
  expect(0, "apply -f " + kFirewall + " -f " + profile());
  TestHost host(grpc_, token_of("host: h1"));
  expect(0, "wait vm acme/web-1 --for=ready --deadline 10s");
  host.fail("60/port/", "flow steps 4096 of 4096");
  auto ran = expect(8, "enable office-firewall --on vm/acme/web-1 --wait --deadline 20s");
  EXPECT_THAT(ran.out, HasSubstr("h1 not applied: flow steps 4096 of 4096"));
  EXPECT_THAT(ran.out, HasSubstr("it is tried again when something about it changes.\n"
                                 "Try: penstock explain enablement/acme/"));
  auto name = expect(0, "get enablements -A -o name").out;  // "enablement/acme/NAME\n"
  name = name.substr(16, name.size() - 17);
  for (const auto* goal : {"ready", "applied"}) {
    ran = expect(8, "wait enablement acme/" + name + " --for=" + goal + " --deadline 20s");
    EXPECT_THAT(ran.out, StartsWith("enablement acme/" + name + ": failed after"));
    EXPECT_THAT(ran.out, HasSubstr("h1"));
    EXPECT_THAT(ran.out, HasSubstr("flow steps 4096 of 4096"));
    EXPECT_THAT(ran.out, HasSubstr("Try: penstock explain enablement/acme/" + name + "\n"));
  }
  expect(8, "patch enablement/acme/" + name + " -p '{spec: {level: strict}}' --wait");
  EXPECT_THAT(expect(0, "describe vm acme/web-1").out, HasSubstr("not ready (Failed)"));
  host.fail("", "");
  expect(0, "disable office-firewall --on vm/acme/web-1 --wait --deadline 20s");
  expect(0, "wait vm acme/web-1 --for=ready --deadline 20s");
}

TEST_F(Penstockd, PatchAndLabel) {
  expect(0, "apply -f " + inventory());
  EXPECT_EQ(
      expect(10, R"(patch vm/acme/web-1 --exit-code -p '{"spec": {"power": "STOPPED"}}')").out,
      "vm acme/web-1 changed\n");
  EXPECT_EQ(expect(0, R"(patch vm/acme/web-1 --exit-code -p '{"spec": {"power": "STOPPED"}}')").out,
            "vm acme/web-1 unchanged\n");
  EXPECT_EQ(expect(0, "get vm acme/web-1 -o jsonpath={.spec.power}").out, "STOPPED\n");
  auto ran = expect(6, "patch vm/acme/web-1 -p '{spec: {powr: x, nics: 3}}'");
  EXPECT_THAT(ran.err, HasSubstr("spec.powr"));
  EXPECT_THAT(ran.err, HasSubstr("spec.nics"));
  EXPECT_THAT(expect(5, "patch vm/acme/web-1 -p '{metadata: {resourceVersion: \"1\"}}'").err,
              HasSubstr("has changed"));
  EXPECT_EQ(expect(0, "label vm acme/web-1 role=db tier=back").out,
            "vm acme/web-1 labelled: role=db, tier=back\n");
  EXPECT_EQ(expect(0, "label vm/acme/web-1 tier-").out, "vm acme/web-1 labelled: tier removed\n");
  EXPECT_EQ(expect(0, "label vm/acme/web-1").out, "vm acme/web-1: role=db\n");
  expect(6, "label vm/acme/web-1 'bad key=1'");
  // Another media type would be another kind of patch.
  HttpClient http(parse_server(terminal.env["PENSTOCK_SERVER"]).value(),
                  terminal.env["PENSTOCK_TOKEN"]);
  const auto answer = http.call({"PATCH", "/v1/tenants/acme/vms/web-1", "{}", "application/json"},
                                std::chrono::seconds(10));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 415);
  EXPECT_THAT(answer->body, HasSubstr("application/merge-patch+json"));
}

TEST_F(Penstockd, TheCatalogCanBeFollowed) {
  expect(0, "apply -f " + inventory());
  expect(0, "apply -f " + kFirewall + " -f " + profile());
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    Terminal other;
    other.env = terminal.env;
    other.run("patch profile office-firewall -p '{spec: {published: false}}'");
  });
  const auto said = expect(0, "catalog -t acme --watch --deadline 1500ms -o name").out;
  later.join();
  EXPECT_EQ(said, "ADDED catalog/office-firewall\nDELETED catalog/office-firewall\n");
  EXPECT_EQ(expect(0, "watch catalog -t acme --deadline 300ms -o name").out, "");
  expect(2, "catalog -t acme --watch --vm web-1");
}

TEST_F(Penstockd, WhatNeedsApprovalIsAskedForGrantedAndRefused) {
  expect(0, "apply -f " + inventory());
  expect(0, "apply -f " + kFirewall + " -f " + profile());
  const auto people = write("people.yaml", R"(kind: Group
metadata: {name: netadmins}
---
kind: User
metadata: {name: ann}
spec: {roles: [{role: VM_OWNER, tenant: acme}]}
---
kind: User
metadata: {name: nat}
spec: {groups: [netadmins]}
)");
  expect(0, "apply -f " + people);
  expect(0, "patch vm/acme/web-1 -p '{spec: {owner: \"user:ann\"}}'");
  expect(0, "patch profile/office-firewall -p '{spec: {approval: {groups: [netadmins]}}}'");
  const auto admin = terminal.env["PENSTOCK_TOKEN"];
  const auto ann = token_of("user: ann"), nat = token_of("user: nat");
  TestHost host(grpc_, token_of("host: h1"));
  expect(0, "wait vm acme/web-1 --for=ready --deadline 10s");
  expect(0, "wait profile office-firewall --for=ready --deadline 10s");
  const auto as = [&](const std::string& token) { terminal.env["PENSTOCK_TOKEN"] = token; };

  as(ann);
  EXPECT_THAT(expect(0, "catalog --vm acme/web-1").out,
              HasSubstr("ask     needs approval by netadmins"));
  auto ran = expect(8, "enable office-firewall --level basic --on vm/acme/web-1 --wait");
  EXPECT_THAT(ran.out, StartsWith("office-firewall (basic) on vm acme/web-1: asked for"));
  EXPECT_THAT(ran.out, HasSubstr("Nothing is on: asked by ann; waits for netadmins or an "));
  expect(7, "wait enablement/acme/office-firewall-web-1 --for=applied --deadline 300ms");
  expect(4, "approve enablement/acme/office-firewall-web-1");
  EXPECT_THAT(expect(0, "explain vm acme/web-1").out, HasSubstr("not protected by it"));

  as(nat);
  EXPECT_THAT(expect(0, "get enablements -A --awaiting").out, HasSubstr("vm web-1  ann"));
  EXPECT_THAT(expect(0, "refuse enablement/acme/office-firewall-web-1 --reason 'not now'").out,
              StartsWith("office-firewall (basic) on vm web-1 of acme: refused"));
  EXPECT_THAT(expect(0, "get enablements -A --awaiting").err, HasSubstr("nothing waits"));
  as(ann);
  EXPECT_THAT(expect(0, "catalog --vm acme/web-1").out, HasSubstr("refused: not now"));
  EXPECT_THAT(
      expect(8, "wait enablement/acme/office-firewall-web-1 --for=ready --deadline 20s").out,
      HasSubstr("not now"));
  EXPECT_THAT(expect(0, "enable office-firewall --on vm/acme/web-1").out, HasSubstr("asked for"));
  as(nat);
  EXPECT_THAT(expect(0, "approve acme/office-firewall-web-1").out, HasSubstr("granted"));
  as(ann);
  EXPECT_THAT(expect(0, "catalog --vm acme/web-1").out,
              HasSubstr("on      level basic, on the VM"));
  EXPECT_THAT(expect(0, "get events").out, HasSubstr("nat granted office-firewall (basic)"));

  as(admin);
  expect(0, "enable office-firewall --on vm/acme/web-1 --mandatory");
  as(ann);
  ran = expect(4, "disable office-firewall --on vm/acme/web-1");
  EXPECT_THAT(ran.err, HasSubstr("is mandatory"));
  EXPECT_THAT(expect(0, "explain vm acme/web-1").out, HasSubstr("mandatory"));
  EXPECT_THAT(expect(0, "catalog --vm acme/web-1").out,
              HasSubstr("on      mandatory, level basic"));
}

TEST_F(Penstockd, TheCatalogShowsLevelsWithTheirLimits) {
  expect(0, "apply -f " + inventory());
  terminal.in = R"(kind: ServiceDefinition
metadata: {name: d}
spec:
  vendor: example
  serviceName: Guard
  version: "1"
  categories: [security]
  levels:
  - {name: silver, limits: {users: 5, rateBitsPerSecond: 10000000}}
  - {name: gold, limits: {connections: 7}, priceHint: dear}
  filter: {defaultIn: DENY}
---
kind: ServiceProfile
metadata: {name: guard}
spec: {definition: d, published: true, availability: {everyone: true}}
)";
  expect(0, "apply -f -");
  const auto wide = expect(0, "catalog -t acme -o wide --query SECURITY").out;
  EXPECT_THAT(wide, HasSubstr("guard  filter  silver  5      10 Mbit/s"));
  EXPECT_THAT(wide, HasSubstr("guard  filter  gold    -      -          7"));
  const auto described = expect(0, "describe catalog guard -t acme").out;
  EXPECT_THAT(described, StartsWith("guard: Guard by example; usable: yes\n"));
  EXPECT_THAT(described, HasSubstr("dear"));
  expect(3, "describe catalog nothing -t acme");
}

// The bytes of all files of a folder.
std::string bytes_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::string all;
  for (const auto& [name, text] : files) all += name + "\n" + text;
  return all;
}

TEST_F(Penstockd, ExportWipeImportExportGivesEqualBytes) {
  expect(0, "apply -f " + inventory());
  expect(0, "apply -f " + kFirewall + " -f " + profile());
  terminal.in = documents_of("services.md");
  expect(0, "apply -f -");
  expect(0, "label profile/office-firewall zone=b area=a");
  const auto first = folder_ + "/first", second = folder_ + "/second";
  EXPECT_THAT(expect(0, "catalog export " + first).out, HasSubstr("4 files written"));
  EXPECT_THAT(expect(0, "catalog export " + first).out,
              HasSubstr("0 files written, 4 as they were"));
  const auto text = expect(0, "catalog export -").out;
  for (const auto* name : {"firewall", "web-guard"})
    expect(0, std::string("delete definition ") + name + " --cascade");
  EXPECT_EQ(expect(0, "catalog export -").out, "");
  EXPECT_THAT(expect(0, "catalog import " + first + " --dry-run=server").out,
              HasSubstr("4 created"));
  EXPECT_THAT(expect(0, "catalog import " + first).out, StartsWith("4 objects: 4 created"));
  expect(0, "catalog export " + second);
  EXPECT_EQ(bytes_of(first), bytes_of(second));
  EXPECT_EQ(expect(0, "catalog export -").out, text);
  EXPECT_THAT(expect(0, "apply -f " + first).out, HasSubstr("4 unchanged")) << "apply takes it too";
  expect(0, "catalog export " + folder_ + "/one.yaml");
  EXPECT_THAT(expect(0, "catalog import " + folder_ + "/one.yaml").out, HasSubstr("4 unchanged"));
  expect(0, "delete profile acme-web");
  EXPECT_THAT(expect(0, "catalog export " + first).out,
              HasSubstr("20-profile-acme-web.yaml is of no"));
  expect(0, "catalog export " + first + " --prune");
  EXPECT_FALSE(std::filesystem::exists(first + "/20-profile-acme-web.yaml"));
}

TEST_F(Penstockd, ASyncMakesTheCatalogWhatTheFolderSays) {
  expect(0, "apply -f " + inventory());
  const auto folder = folder_ + "/office";
  std::filesystem::create_directories(folder + "/more");
  std::filesystem::copy(kFirewall, folder + "/firewall.yaml");
  const auto put = [&](const std::string& name, const std::string& more) {
    return write("office/more/" + name + ".yaml",
                 "kind: ServiceProfile\nmetadata: {name: " + name +
                     "}\nspec: {definition: firewall, published: true" + more + "}\n");
  };
  put("strict", ", availability: {everyone: true}");
  put("loose", ", availability: {everyone: true}");
  auto ran = expect(0, "catalog sync " + folder + " --dry-run=server");
  EXPECT_THAT(ran.out, HasSubstr("create profile strict"));
  EXPECT_THAT(ran.out, HasSubstr("dry run: nothing was changed"));
  expect(3, "get profile strict");
  expect(0, "catalog sync " + folder);
  EXPECT_THAT(expect(0, "catalog sync " + folder).out,
              HasSubstr("is as the folder says, 3 objects"));

  // A partly wrong folder changes nothing.
  put("strict", ", description: better");
  put("wrong", ", levls: []");
  EXPECT_THAT(expect(6, "catalog sync " + folder + " --prune").err, HasSubstr("spec.levls"));
  write("office/more/wrong.yaml", "kind: VirtualMachine\nmetadata: {name: x}\n");
  EXPECT_THAT(expect(6, "catalog sync " + folder).err, HasSubstr("is not of the catalog"));
  EXPECT_THAT(expect(0, "get profile strict -o yaml").out, Not(HasSubstr("better")));
  std::filesystem::remove(folder + "/more/wrong.yaml");
  EXPECT_THAT(expect(0, "catalog sync " + folder).out, HasSubstr("update profile strict"));

  // What it does not manage it leaves alone; what is in use it keeps, and says so.
  expect(0, "apply -f " + profile());
  expect(0, "enable loose --on vm/acme/web-1");
  std::filesystem::remove(folder + "/more/loose.yaml");
  std::filesystem::remove(folder + "/more/strict.yaml");
  EXPECT_THAT(expect(0, "catalog sync " + folder).out,
              HasSubstr("keep profile strict: not in the folder"));
  ran = expect(0, "catalog sync " + folder + " --prune");
  EXPECT_THAT(ran.out, HasSubstr("delete profile strict"));
  EXPECT_THAT(ran.out, HasSubstr("keep profile loose: in use by 1 enablement"));
  expect(3, "get profile strict");
  expect(0, "get profile loose");
  expect(0, "get profile office-firewall");
  expect(0, "disable loose --on vm/acme/web-1");
  EXPECT_THAT(expect(0, "catalog sync " + folder + " --prune").out,
              HasSubstr("delete profile loose"));

  // What another one manages is not taken.
  EXPECT_THAT(expect(5, "catalog sync " + folder + " --name other").err, HasSubstr("\"office\""));
  // What is there as the folder says, and nobody's, is taken over.
  std::filesystem::copy(folder_ + "/profile.yaml", folder + "/more/profile.yaml");
  EXPECT_THAT(expect(0, "catalog sync " + folder).out,
              HasSubstr("take over profile office-firewall"));
}

TEST_F(Penstockd, ASyncThatWatchesFollowsTheFolder) {
  const auto folder = folder_ + "/office";
  std::filesystem::create_directories(folder);
  std::filesystem::copy(kFirewall, folder + "/firewall.yaml");
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    write("office/profile.yaml",
          "kind: ServiceProfile\nmetadata: {name: late}\nspec: {definition: firewall}\n");
  });
  const auto said = expect(0, "catalog sync " + folder + " --watch --deadline 6s").out;
  later.join();
  EXPECT_THAT(said, HasSubstr("create definition firewall"));
  EXPECT_THAT(said, HasSubstr("create profile late"));
  expect(0, "get profile late");
}

TEST_F(Penstockd, ABackupPutBackIsServedToHostsOnceItIsSaidSo) {
  expect(0, "apply -f " + inventory());
  const auto token = token_of("host: h1");
  stop();
  std::filesystem::copy(folder_ + "/data", folder_ + "/backup");
  start();
  v1::Position held;
  {
    TestHost host(grpc_, token);
    expect(0, "label vm/acme/web-1 later=yes");
    expect(0, "label vm/acme/web-1 later=still");
    expect(0, "patch vm/acme/web-1 -p '{spec: {power: STOPPED}}' --wait --deadline 20s");
    held = host.position();
    ASSERT_GT(held.revision(), 0);
  }
  stop();
  std::filesystem::remove_all(folder_ + "/data");
  std::filesystem::rename(folder_ + "/backup", folder_ + "/data");
  start();
  {
    TestHost host(grpc_, token, held);
    EXPECT_TRUE(host.wait_for([](const auto& last) { return last.has_refused(); }));
    const auto status = expect(1, "status").out;
    EXPECT_THAT(status, HasSubstr("host h1 holds revision " + std::to_string(held.revision())));
    EXPECT_THAT(status, HasSubstr("start penstockd once with --restored"));
  }
  stop();
  start({"--restored"});
  {
    TestHost host(grpc_, token, held);
    EXPECT_TRUE(host.wait_for([](const auto& last) { return last.full().new_incarnation(); }));
    expect(0, "wait vm acme/web-1 --for=ready --deadline 20s");
    held = host.position();
  }
  stop();
  start();  // without the flag: the same life goes on
  TestHost host(grpc_, token, held);
  EXPECT_TRUE(host.wait_for([](const auto& last) { return last.has_full() || last.has_delta(); }));
  EXPECT_EQ(host.position().incarnation(), held.incarnation());
}

}  // namespace
}  // namespace penstock::cli
