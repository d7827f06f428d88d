// Orders in, reports out, over a flow table that the test fills. What the switch then really does:
// tests/packets/preview_test.cc.
#include "host/preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/inspect.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct PreviewTest : testing::Test {
  HostWorld world;
  std::uint64_t next_id = 7;

  void SetUp() override {
    ASSERT_TRUE(world.start());
    world.run(1ms);
    // Port 5 lets TCP 80 in, port 6 has no service.
    world.server.say(items::full(
        {"A", 4, 1},
        {items::overlay("default", "up0", "192.0.2.1"), items::network(7), items::firewall(1, 80),
         items::firewall(3, 80, 9), group({"10.7.0.6"}), items::vm("web", {5}),
         items::port(5, "web", 7, {1}), items::vm("near", {6}), items::port(6, "near", 7),
         items::vm("db", {8}), items::port(8, "db", 7, {3})}));
    world.run(50ms);
    ASSERT_TRUE(world.agent().reconciler().troubles().empty());
  }

  static v1::IntentItem group(std::vector<std::string> addresses) {
    std::vector<std::pair<std::uint32_t, std::string>> members;
    for (auto& address : addresses) members.emplace_back(7, std::move(address));
    return items::group(9, std::move(members));
  }
  std::uint64_t word(std::uint32_t port, int direction) const {
    const auto& table = world.life->agent.reconciler().ports().table();
    return table.port(*table.slot_of(PortId(port))).policy[direction];
  }
  struct Entry {
    std::uint32_t port = 5;
    const char* remote = "10.7.0.6";
    std::uint16_t local_port = 80, remote_port = 40'000;
    int initiator = PS_IN;
    std::uint8_t protocol = 6, flags = PS_FLOW_INSPECTED, state = PS_FLOW_ESTABLISHED;
    bool judged_before = false;  // by something older than what the port has now
  };
  void add(const Entry& entry) {
    ps_flow_key key{};
    key.port_id = entry.port;
    key.local_port = entry.local_port;
    key.remote_port = entry.remote_port;
    key.protocol = entry.protocol;
    key.family = 4;
    const auto address = *IpAddress::parse(entry.remote);
    std::memcpy(key.remote, address.bytes.data(), 16);
    ps_flow flow{};
    flow.policy = entry.judged_before ? 1 : word(entry.port, entry.initiator);
    flow.initiator = static_cast<__u8>(entry.initiator);
    flow.flags = entry.flags;
    flow.state = entry.state;
    flow.tcp_flags = 2;
    world.run(1ms);
    flow.seen_ns = static_cast<std::uint64_t>(world.clock.now().since_start.count());
    ASSERT_TRUE(world.kernel.map_put(Map::kFlows, bytes_of(key), bytes_of(flow)));
  }
  v1::PreviewReport ask(std::vector<v1::IntentItem> put, std::vector<std::string> remove = {}) {
    world.server.heard.clear();
    v1::ServerMessage message;
    auto& order = *message.mutable_preview();
    order.set_id(next_id++);
    order.set_examples(2);
    for (auto& item : put) *order.add_put() = std::move(item);
    for (auto& key : remove) order.add_remove(std::move(key));
    world.server.say(message);
    world.run(1s);
    for (const auto& heard : world.server.heard)
      if (heard.has_preview()) {
        EXPECT_EQ(heard.preview().id(), order.id());
        return heard.preview();
      }
    ADD_FAILURE() << "no report";
    return {};
  }
};

// Allows 443 in as a second step: of what the first allows nothing is left.
v1::IntentItem port_with(std::vector<std::uint64_t> policies, bool observe_last = false) {
  auto item = items::port(5, "web", 7, std::move(policies));
  auto& steps = *item.mutable_port()->mutable_steps();
  steps.rbegin()->set_observe(observe_last);
  return item;
}

TEST_F(PreviewTest, OneMoreServiceCutsWhatItDenies) {
  add({});
  add({.remote = "10.7.0.9", .remote_port = 50'000});
  add({.local_port = 33'000, .remote_port = 443, .initiator = PS_OUT});
  add({.port = 6});
  const auto before = canonical_state(world.kernel);
  const auto report = ask({items::firewall(2, 443), port_with({1, 2})});
  EXPECT_EQ(report.code(), "");
  EXPECT_EQ(report.ports(), 1);
  EXPECT_EQ(report.flows(), 3);
  EXPECT_EQ(report.cut(), 2);
  ASSERT_EQ(report.examples_size(), 2);
  const auto& newest = report.examples(0);
  EXPECT_EQ(newest.source_port(), 50'000u) << "the one seen last comes first";
  EXPECT_EQ(newest.destination_port(), 80u);
  EXPECT_EQ(IpAddress::parse("10.7.0.9")->bytes[3], static_cast<std::uint8_t>(newest.source()[3]));
  EXPECT_FALSE(newest.out());
  EXPECT_EQ(newest.outcome(), v1::LoggedFlow::DENY);
  EXPECT_EQ(newest.profile(), "firewall-2");
  EXPECT_EQ(newest.enablement(), "acme/enable-2");
  EXPECT_EQ(newest.rule_number(), 0) << "the default action";
  EXPECT_EQ(*canonical_state(world.kernel), *before) << "nothing was changed";
}

TEST_F(PreviewTest, WhatOnlyObservesCutsNothingAndEnforcingDoes) {
  add({});
  auto report = ask({items::firewall(2, 443), port_with({1, 2}, true)});
  EXPECT_EQ(report.flows(), 1);
  EXPECT_EQ(report.cut(), 0);
  world.server.say(
      items::delta(4, {"A", 5, 1}, {items::firewall(2, 443), port_with({1, 2}, true)}));
  world.run(50ms);
  const auto observing = inspect(world.kernel)->at(PortId(5)).direction[PS_OUT];
  ASSERT_EQ(observing.steps.size(), 2u);
  EXPECT_FALSE(observing.steps[0].observe);
  EXPECT_TRUE(observing.steps[1].observe);
  EXPECT_EQ(ask({port_with({1, 2}, true)}).flows(), 0) << "the same as now";
  report = ask({port_with({1, 2}, false)});
  EXPECT_EQ(report.flows(), 1);
  EXPECT_EQ(report.cut(), 1);
  world.server.say(items::delta(5, {"A", 6, 1}, {port_with({1, 2}, false)}));
  world.run(50ms);
  const auto enforcing = inspect(world.kernel)->at(PortId(5)).direction[PS_OUT];
  EXPECT_FALSE(enforcing.steps[1].observe);
  EXPECT_NE(enforcing.generation, observing.generation) << "flows are judged again";
}

TEST_F(PreviewTest, OtherRulesReachEveryPortThatHasThem) {
  add({});
  add({.local_port = 33'000, .remote_port = 443, .initiator = PS_OUT});
  auto report = ask({items::firewall(1, 443)});
  EXPECT_EQ(report.ports(), 1) << "no port is in the order: the host knows";
  EXPECT_EQ(report.flows(), 1) << "what goes out is judged by the same image as before";
  EXPECT_EQ(report.cut(), 1);
  report = ask({items::firewall(1, 80)});
  EXPECT_EQ(report.flows(), 0);
}

TEST_F(PreviewTest, GroupsAreAsTheyWouldBe) {
  add({.port = 8});
  EXPECT_EQ(ask({group({"10.7.0.6", "10.7.0.9"})}).cut(), 0);
  const auto report = ask({group({"10.7.0.9"})});
  EXPECT_EQ(report.ports(), 1);
  EXPECT_EQ(report.cut(), 1);
  EXPECT_EQ(ask({}, {group_key(9)}).cut(), 1);
  EXPECT_EQ(ask({group({"10.7.0.6"})}).flows(), 0) << "no member comes or goes";
}

TEST_F(PreviewTest, APortThatGoesTakesItsFlowsWithIt) {
  add({});
  const auto report = ask({}, {port_key(5)});
  EXPECT_EQ(report.flows(), 1);
  EXPECT_EQ(report.cut(), 1);
  EXPECT_EQ(report.examples(0).profile(), "");
}

TEST_F(PreviewTest, WhatIsNotLiveIsNotCut) {
  add({.remote_port = 4, .protocol = 17});
  world.run(std::chrono::hours(1));  // it has expired; nobody sweeps here
  add({.remote_port = 1, .flags = PS_FLOW_DENIED});
  add({.remote_port = 2, .flags = PS_FLOW_INSPECTED | PS_FLOW_DYING});
  add({.remote_port = 3, .state = PS_FLOW_CLOSED});
  // The port's services of now would refuse it too, at its next packet.
  add({.local_port = 22, .remote_port = 5, .judged_before = true});
  EXPECT_EQ(ask({items::firewall(2, 443), port_with({1, 2})}).flows(), 0);
  add({.remote_port = 6, .judged_before = true});
  EXPECT_EQ(ask({items::firewall(2, 443), port_with({1, 2})}).cut(), 1);
}

TEST_F(PreviewTest, TheLastServiceGoesAndNothingIsJudged) {
  add({});
  const auto report = ask({items::port(5, "web", 7)});
  EXPECT_EQ(report.ports(), 1);
  EXPECT_EQ(report.flows(), 0);
}

TEST_F(PreviewTest, ManyEntriesAreLookedAtInParts) {
  for (int i = 0; i < 10'000; ++i) add({.remote_port = static_cast<std::uint16_t>(i + 1)});
  const auto parts = world.kernel.calls.parts;
  EXPECT_EQ(ask({items::firewall(1, 443)}).cut(), 10'000);
  EXPECT_GE(world.kernel.calls.parts - parts, 3) << "each in a turn of its own";
}

TEST_F(PreviewTest, WhatCannotBeCompiledIsSaidAndTheNextOrderIsAnswered) {
  auto broken = items::firewall(2, 443);
  broken.mutable_policy()->mutable_filter()->mutable_rules(0)->add_from()->set_cidr("10.0.0.0/99");
  const auto report = ask({broken, port_with({1, 2})});
  EXPECT_EQ(report.code(), "invalid_argument");
  EXPECT_THAT(report.message(), HasSubstr("firewall-2"));
  EXPECT_EQ(ask({port_with({1, 77})}).code(), "unavailable") << "a policy that nobody has";
  EXPECT_EQ(ask({items::firewall(2, 443), port_with({1, 2})}).code(), "");
}

TEST_F(PreviewTest, OrdersBeyondTheQueueAreRefused) {
  world.server.heard.clear();
  for (int i = 0; i < 40; ++i) {
    v1::ServerMessage message;
    message.mutable_preview()->set_id(static_cast<std::uint64_t>(100 + i));
    world.server.say(message);
  }
  world.run(1s);
  int done = 0, refused = 0;
  for (const auto& message : world.server.heard)
    if (message.has_preview()) ++(message.preview().code().empty() ? done : refused);
  EXPECT_EQ(done + refused, 40);
  EXPECT_GE(done, 17);
}

}  // namespace
}  // namespace penstock::host
