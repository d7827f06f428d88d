// What a host answers when it is asked for its counts.
#include "host/counters.h"

#include <gtest/gtest.h>

#include "host/inspect.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct CountersTest : testing::Test {
  HostWorld world;
  std::int64_t revision = 1;

  void SetUp() override {
    ASSERT_TRUE(world.start());
    world.run(1s);
    sync();
  }
  void sync() {
    world.server.say(
        items::full({"store", 1, 1},
                    {items::network(100), items::firewall(7, 22), items::port(1, "web", 100, {7}),
                     items::vm("web", {1}), items::port(2, "db", 100, {7}), items::vm("db", {2})}));
    world.run(1s);
  }
  void change(std::vector<v1::IntentItem> put) {
    const auto before = revision++;
    world.server.say(items::delta(before, {"store", revision, 1}, std::move(put)));
    world.run(1s);
  }
  const HeldStep& step(std::uint32_t port, ps_direction direction) {
    return world.agent().reconciler().ports().steps(PortId(port))->at(direction).steps.at(0);
  }
  void count(std::uint32_t index, std::uint64_t flows) {
    kernel_count(index) = {.flows = flows,
                           .would_deny = 1,
                           .last_ns = 5'000'000'000,
                           .packets = flows * 10,
                           .bytes = flows * 1000};
  }
  ps_rule_count& kernel_count(std::uint32_t index) { return world.kernel.counted_rules[index]; }
  v1::CountersReport ask(std::vector<std::uint64_t> policies, std::vector<std::uint32_t> ports) {
    v1::ServerMessage message;
    auto& order = *message.mutable_counters();
    order.set_id(5);
    for (const auto policy : policies) order.add_policies(policy);
    for (const auto port : ports) order.add_ports(port);
    world.server.heard.clear();
    world.server.say(message);
    world.run(1s);
    for (const auto& heard : world.server.heard)
      if (heard.has_counters()) return heard.counters();
    ADD_FAILURE() << "no answer";
    return {};
  }
};

TEST_F(CountersTest, RulesOfAPolicySummedOverPortsAndDirections) {
  // items::firewall: nothing decides about what goes out but the default; in: rule 1, then the
  // default.
  count(step(1, PS_OUT).counts, 3);
  count(step(1, PS_IN).counts + 1, 5);
  count(step(2, PS_IN).counts + 1, 2);
  const auto all = ask({7}, {});
  EXPECT_EQ(all.id(), 5u);
  ASSERT_EQ(all.rules_size(), 2) << all.ShortDebugString();
  EXPECT_EQ(all.rules(0).rule_number(), 0u);
  EXPECT_EQ(all.rules(0).flows(), 3);
  EXPECT_EQ(all.rules(1).rule_number(), 1u);
  EXPECT_EQ(all.rules(1).flows(), 7);
  EXPECT_EQ(all.rules(1).packets(), 70);
  EXPECT_EQ(all.rules(1).bytes(), 7000);
  EXPECT_EQ(all.rules(1).would_deny(), 2);
  EXPECT_EQ(all.rules(1).policy(), 7u);
  EXPECT_GT(all.rules(1).last_ns(), 0);
  EXPECT_EQ(all.ports_size(), 0);
  EXPECT_EQ(ask({7}, {2}).rules(1).flows(), 2) << "only what port 2 counted";
  EXPECT_EQ(ask({8}, {}).rules_size(), 0);
}

TEST_F(CountersTest, PortsWithTheirDropsByName) {
  auto& port = world.kernel.counted_ports[PortId(2)];
  port.packets = {10, 20};
  port.bytes = {100, 200};
  port.flows = 4;
  port.drops = {{PS_DROP_POLICY_DENY, 7}, {PS_DROP_RATE_LIMIT, 2}};
  const auto report = ask({}, {2, 99});
  ASSERT_EQ(report.ports_size(), 1) << "port 99 is not here";
  EXPECT_EQ(report.ports(0).port_id(), 2u);
  EXPECT_EQ(report.ports(0).packets_in(), 20);
  EXPECT_EQ(report.ports(0).bytes_out(), 100);
  EXPECT_EQ(report.ports(0).flows(), 4);
  EXPECT_EQ(report.ports(0).drops().at("policy_deny"), 7);
  EXPECT_EQ(report.ports(0).drops().at("rate_limit"), 2);
}

TEST_F(CountersTest, CountsOutliveTheAgent) {
  count(step(1, PS_IN).counts + 1, 5);
  world.crash();
  ASSERT_TRUE(world.start());
  world.run(1s);
  sync();
  const auto report = ask({7}, {1});
  ASSERT_EQ(report.rules_size(), 2);
  EXPECT_EQ(report.rules(1).flows(), 5);
}

TEST_F(CountersTest, APolicyThatChangesKeepsTheCountsOfRulesThatStay) {
  count(step(1, PS_IN).counts + 1, 5);
  count(step(1, PS_IN).counts, 4);
  const auto old = step(1, PS_IN);
  auto changed = items::firewall(7, 22);
  auto& filter = *changed.mutable_policy()->mutable_filter();
  auto first = filter.rules(0);
  first.set_index(1);
  auto& fresh = *filter.mutable_rules(0);
  fresh.set_name("fresh");
  fresh.mutable_ports(0)->set_low(99);
  fresh.mutable_ports(0)->set_high(99);
  *filter.add_rules() = first;
  change({changed});
  EXPECT_NE(step(1, PS_IN).counts, old.counts);
  const auto report = ask({7}, {1});
  ASSERT_EQ(report.rules_size(), 3);
  EXPECT_EQ(report.rules(0).flows(), 4) << "the default action is what it was";
  EXPECT_EQ(report.rules(1).flows(), 0);
  EXPECT_EQ(report.rules(2).flows(), 5);
}

TEST_F(CountersTest, SwitchedOffAndOnAgainCountsAnew) {
  count(step(1, PS_IN).counts + 1, 5);
  change({items::port(1, "web", 100)});
  EXPECT_EQ(ask({7}, {1}).rules_size(), 0);
  change({items::port(1, "web", 100, {7})});
  EXPECT_EQ(ask({7}, {1}).rules(1).flows(), 0);
}

struct LittleRoom : CountersTest {
  LittleRoom() { world.kernel.rule_counters_most = 5 * PS_RULES_PER_BLOCK; }
};

TEST_F(LittleRoom, TheNumbersAreSaidToBeIncomplete) {
  change(
      {items::port(1, "web", 100, {7}), items::firewall(8, 80), items::port(2, "db", 100, {7, 8})});
  EXPECT_TRUE(world.agent().reconciler().ports().live(PortId(2))) << "and all are enforced";
  const auto report = ask({7, 8}, {});
  EXPECT_EQ(report.code(), "resource_exhausted") << report.ShortDebugString();
  EXPECT_GT(report.rules_size(), 0);
}

TEST_F(CountersTest, LimitsOfStepsReachThePort) {
  auto port = items::port(1, "web", 100, {7});
  auto& limits = *port.mutable_port()->mutable_steps(0)->mutable_limits();
  limits.set_connections(50);
  limits.set_rate_bits_per_second(8'000'000'000);
  change({port});
  const auto entry = [&] {
    const auto slot = *world.agent().reconciler().ports().table().slot_of(PortId(1));
    return world.agent().reconciler().ports().table().port(slot);
  };
  EXPECT_EQ(entry().limited, PS_LIMITED(PS_LIMIT_RATE) | PS_LIMITED(PS_LIMIT_CONNECTIONS));
  EXPECT_EQ(entry().limits.connections, 50u);
  EXPECT_EQ(entry().limits.byte_cost, 1u << PS_RATE_SHIFT);
  EXPECT_EQ(entry().limits.profile[PS_LIMIT_RATE], 7u);
  const auto policy = load_policy(entry(), PS_OUT);
  limits.set_connections(0);
  change({port});
  EXPECT_EQ(entry().limited, PS_LIMITED(PS_LIMIT_RATE));
  EXPECT_EQ(load_policy(entry(), PS_OUT), policy) << "no flow is judged again for it";
  port.mutable_port()->mutable_steps(0)->set_observe(true);
  change({port});
  EXPECT_EQ(entry().limited, 0) << "what only observes drops nothing";
}

}  // namespace
}  // namespace penstock::host
