#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;
using Json = cli::Json;

constexpr const char* kTwoHosts = R"(
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}]
hosts: [{name: h1, network: a}, {name: h2, network: b}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: web, network: blue, host: h1}, {name: near, network: blue, host: h1}, {name: far, network: blue, host: h2}]
)";

class Restart : public LabTest {
 protected:
  // Sends 10,000 numbered packets a second for `seconds` while `disturb` runs; what the receiver
  // says.
  std::string counted(const std::string& from, const std::function<void()>& disturb,
                      int seconds = 4) {
    const auto address = address_of("acme", "web");
    auto receiver = lab().enter("acme/web");
    EXPECT_TRUE(receiver);
    receiver->words = {built("penstock-udp-count"), "receive", address, "9000", "1500"};
    receiver->log = lab().folder().path("logs/receive");
    std::filesystem::remove(receiver->log);
    EXPECT_TRUE(start_daemon(lab().folder(), "receive", *receiver));
    const auto said = [&] { return lab().folder().read("logs/receive").value_or(""); };
    EXPECT_TRUE(soon([&] { return said().find("listening") != std::string::npos; }));
    auto sender = lab().enter(from);
    EXPECT_TRUE(sender);
    sender->words = {built("penstock-udp-count"), "send", address, "9000", "10000",
                     std::to_string(seconds)};
    sender->log = lab().folder().path("logs/send");
    EXPECT_TRUE(start_daemon(lab().folder(), "send", *sender));
    std::this_thread::sleep_for(1s);
    disturb();
    EXPECT_TRUE(soon([&] { return said().find("received") != std::string::npos; }, 60'000))
        << said();
    return said();
  }

  void publish_firewall() {
    const auto rule = [](const char* name, const char* protocol, const char* port) {
      return Json{{"name", name},
                  {"direction", "IN"},
                  {"action", "ALLOW"},
                  {"protocols", {protocol}},
                  {"ports", {port}}};
    };
    ASSERT_TRUE(put({{"kind", "ServiceDefinition"},
                     {"metadata", {{"name", "fw"}}},
                     {"spec",
                      {{"vendor", "test"},
                       {"serviceName", "fw"},
                       {"version", "1"},
                       {"insertionPoint", "VIRTUAL_SWITCH"},
                       {"levels", Json::array({{{"name", "basic"}}})},
                       {"filter",
                        {{"defaultIn", "DENY"},
                         {"rules", Json::array({rule("counted", "udp", "9000"),
                                                rule("stream", "tcp", "60000-60001")})}}}}}}));
    ASSERT_TRUE(put(
        {{"kind", "ServiceProfile"},
         {"metadata", {{"name", "fw"}}},
         {"spec",
          {{"definition", "fw"}, {"published", true}, {"availability", {{"everyone", true}}}}}}));
    const auto enabled = put({{"kind", "Enablement"},
                              {"metadata", {{"tenant", "acme"}, {"name", "web-fw"}}},
                              {"spec", {{"profile", "fw"}, {"vm", "web"}}}});
    ASSERT_TRUE(enabled) << enabled.error().text();
  }
};

TEST_F(Restart, KillingTheAgentLosesNoPacketAndKeepsThePolicy) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  publish_firewall();
  if (HasFatalFailure()) return;
  for (const auto* from : {"acme/near", "acme/far"}) {
    const auto said = counted(from, [&] {
      ASSERT_TRUE(lab().stop_host("h1", true));
      ASSERT_TRUE(lab().start_host("h1"));
    });
    EXPECT_NE(said.find("received 40000 lost 0 "), std::string::npos) << from << ": " << said;
  }
  EXPECT_FALSE(pings("acme/near", address_of("acme", "web")));  // still denied
}

// Maps of an earlier ABI version, as an agent after an upgrade finds them. The connections go from
// a low port to a high one: judged in mid-stream, they would pass for ones that the other end
// opened, and be denied. Their flows must come along.
TEST_F(Restart, AnAgentWithOtherMapsTakesOverWithoutLosingAPacketOrAConnection) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  publish_firewall();
  if (HasFatalFailure()) return;
  const auto web = address_of("acme", "web");
  const auto in_background = [&](const std::string& node, const std::string& name,
                                 const std::string& command) {
    auto process = lab().enter(node);
    ASSERT_TRUE(process);
    process->words = {"sh", "-c", command};
    process->log = lab().folder().path("logs/" + name);
    ASSERT_TRUE(start_daemon(lab().folder(), name, *process));
  };
  const std::vector<std::string> clients{"near", "far"};
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const auto& from = clients[i];
    in_background("acme/web", "for-" + from, fmt::format("timeout 60 nc -l {} {}", web, 60000 + i));
    std::this_thread::sleep_for(300ms);
    in_background("acme/" + from, from,
                  fmt::format("(for i in $(seq 110); do echo number-$i; sleep 0.1; done) | "
                              "timeout 40 nc -N -p 1000 {} {}",
                              web, 60000 + i));
  }
  const auto pins = std::filesystem::path(lab().folder().host("h1")) / "bpf/switch";
  const auto maps = [&](const std::string& version) { return pins / ("maps-v" + version); };
  std::string own;
  for (const auto& entry : std::filesystem::directory_iterator(pins))
    if (const auto name = entry.path().filename().string(); name.starts_with("maps-v"))
      own = name.substr(6);
  ASSERT_FALSE(own.empty());
  for (const auto* from : {"acme/near", "acme/far"}) {
    const auto said = counted(from, [&] {
      ASSERT_TRUE(lab().stop_host("h1", true));
      std::filesystem::rename(maps(own), maps("0"));
      ASSERT_TRUE(lab().start_host("h1"));
      EXPECT_TRUE(soon([&] { return !std::filesystem::exists(maps("0")); })) << "old maps stay";
      EXPECT_TRUE(std::filesystem::exists(maps(own)));
    });
    EXPECT_NE(said.find("received 40000 lost 0 "), std::string::npos) << from << ": " << said;
  }
  for (const auto& from : clients) {
    const auto received = [&] { return lab().folder().read("logs/for-" + from).value_or(""); };
    EXPECT_TRUE(soon([&] { return received().find("number-110\n") != std::string::npos; }))
        << from << ": " << received();
  }
  EXPECT_FALSE(pings("acme/near", web)) << "still denied";
}

TEST_F(Restart, KillingTheServerLosesNeitherPacketsNorWhatItAcknowledged) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  publish_firewall();
  if (HasFatalFailure()) return;
  const auto said = counted("acme/near", [&] {
    ASSERT_TRUE(lab().stop_server(true));
    ASSERT_TRUE(lab().start_server());
  });
  EXPECT_NE(said.find("received 40000 lost 0 "), std::string::npos) << said;
  auto api = lab().api();
  ASSERT_TRUE(api);
  EXPECT_TRUE(api->get({"enablements", "acme", "web-fw"}));
}

TEST_F(Restart, AHostWhoseServerIsAwayGoesOnAndCatchesUp) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  const auto web = address_of("acme", "web");
  ASSERT_TRUE(pings("acme/near", web));
  const auto near = *lab().enter("acme/near");
  ASSERT_TRUE(lab().stop_server(true));
  ASSERT_TRUE(lab().stop_host("h1", true));
  ASSERT_TRUE(lab().start_host("h1"));  // restarted without a server: its own file is all it has
  auto spec = near;
  spec.words = {"ping", "-c", "1", "-W", "1", web};
  const auto output = capture_in(spec, 3'000);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->status, 0) << output->text;
  ASSERT_TRUE(lab().start_server());
  publish_firewall();
  EXPECT_FALSE(pings("acme/near", web));
}

TEST_F(Restart, ARemovedDeviceIsMadeAgain) {
  up(kTwoHosts);
  if (HasFatalFailure()) return;
  const auto web = address_of("acme", "web");
  ASSERT_TRUE(pings("acme/near", web));
  const auto removed =
      run("h1", {"sh", "-c", "ip link show | grep -o 'ps-p[0-9]*' | head -1 | xargs ip link del"});
  ASSERT_EQ(removed.status, 0) << removed.text;
  EXPECT_TRUE(soon([&] { return pings("acme/near", web) && pings("acme/far", web); }, 20'000));
}

}  // namespace
}  // namespace penstock::lab
