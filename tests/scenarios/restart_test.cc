#include <chrono>
#include <thread>

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
    const auto rule = [](const char* name, const char* action, const char* port) {
      return Json{{"name", name},
                  {"direction", "IN"},
                  {"action", action},
                  {"protocols", {"udp"}},
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
                         {"rules", Json::array({rule("counted", "ALLOW", "9000")})}}}}}}));
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
