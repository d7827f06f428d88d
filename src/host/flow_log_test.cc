#include "host/flow_log.h"

#include <gtest/gtest.h>

#include "abi/policy.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct FlowLogTest : testing::Test {
  HostWorld world;

  void SetUp() override {
    ASSERT_TRUE(world.start());
    world.run(1s);
    auto vm = items::port(1, "web", 100, {7});
    auto& step = *vm.mutable_port()->mutable_steps(0);
    step.set_profile("office");
    step.set_level("basic");
    step.set_enablement("acme/web-office");
    world.server.say(items::full(
        {"store", 1, 1}, {items::network(100), items::firewall(7, 22), vm, items::vm("web", {1})}));
    world.run(1s);
    world.server.heard.clear();
  }

  ps_event event(std::uint32_t rule, ps_outcome outcome) const {
    ps_event e{};
    e.time_ns = static_cast<std::uint64_t>(world.clock.now().since_start.count());
    e.port_id = 1;
    e.profile = 7;
    e.rule = rule;
    e.direction = PS_IN;
    e.outcome = static_cast<__u8>(outcome);
    e.family = 4;
    e.protocol = 6;
    e.source_port = 40000;
    e.destination_port = 22;
    e.source[0] = e.destination[0] = 10;
    e.destination[3] = 5;
    e.tcp_flags = 2;
    e.length = 74;
    return e;
  }
  std::vector<v1::FlowLog> told() const {
    std::vector<v1::FlowLog> out;
    for (const auto& message : world.server.heard)
      if (message.has_flow_log()) out.push_back(message.flow_log());
    return out;
  }
};

TEST_F(FlowLogTest, ARecordIsNamedAsPeopleKnowTheRule) {
  world.agent().flow_seen(event(0, PS_OUTCOME_ALLOW));
  world.agent().flow_seen(event(PS_NO_RULE, PS_OUTCOME_DENY));
  world.run(1s);
  const auto logs = told();
  ASSERT_EQ(logs.size(), 1u) << "gathered";
  ASSERT_EQ(logs[0].flows_size(), 2);
  const auto& allowed = logs[0].flows(0);
  EXPECT_EQ(allowed.profile(), "office");
  EXPECT_EQ(allowed.level(), "basic");
  EXPECT_EQ(allowed.enablement(), "acme/web-office");
  const auto& rule = world.agent().intent().policy(7)->filter().rules(0);
  EXPECT_EQ(allowed.rule(), rule.name());
  EXPECT_EQ(allowed.rule_number(), static_cast<int>(rule.index()) + 1);
  EXPECT_EQ(allowed.outcome(), v1::LoggedFlow::ALLOW);
  EXPECT_EQ(allowed.source(), std::string("\x0a\0\0\0", 4));
  EXPECT_EQ(allowed.destination_port(), 22u);
  EXPECT_EQ(allowed.tcp_flags(), 2u);
  EXPECT_FALSE(allowed.out());
  EXPECT_EQ(logs[0].flows(1).rule_number(), 0);
  EXPECT_EQ(logs[0].flows(1).profile(), "office") << "the default action has its profile too";
}

TEST_F(FlowLogTest, WithoutAServerTheNewestAreKeptAndTheLossIsTold) {
  world.server.reachable = false;
  world.server.hang_up();
  world.run(1s);
  const auto most = world.tunables.flow_log_queue_max;
  for (int i = 0; i < most + 5; ++i) {
    auto e = event(0, PS_OUTCOME_ALLOW);
    e.source_port = static_cast<__u16>(i);
    world.agent().flow_seen(e);
  }
  world.run(5s);
  EXPECT_TRUE(told().empty());
  world.server.reachable = true;
  world.server.on_message = [&](const v1::HostMessage& message) {
    if (message.has_hello()) world.server.say(items::delta(1, {"store", 1, 1}, {}));
  };
  world.run(20s);
  const auto logs = told();
  ASSERT_EQ(logs.size(), 1u);
  EXPECT_EQ(logs[0].flows_size(), most);
  EXPECT_EQ(logs[0].lost(), 5);
  EXPECT_EQ(logs[0].flows(0).source_port(), 5u);
}

TEST_F(FlowLogTest, ARecordOfAPolicyThatIsGoneStillTellsTheFlow) {
  auto e = event(3, PS_OUTCOME_DENY);
  e.profile = 99;
  world.agent().flow_seen(e);
  world.run(1s);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].flows(0).profile(), "");
  EXPECT_EQ(told()[0].flows(0).destination_port(), 22u);
}

}  // namespace
}  // namespace penstock::host
