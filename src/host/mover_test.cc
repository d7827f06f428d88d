// A host's part in moves: guests that were let go are left alone, guests that come bring their
// flows, and both survive the agent.
#include "host/mover.h"

#include <gtest/gtest.h>

#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct MoverTest : testing::Test {
  FakeTransit transit;
  HostWorld from, to{2};
  std::uint64_t next_order = 1;

  static std::vector<v1::IntentItem> items_with(bool arriving) {
    auto vm = items::vm("web", {5});
    vm.mutable_instance()->set_arriving(arriving);
    return {items::overlay("vs0", "up0", arriving ? "192.0.2.2" : "192.0.2.1"),
            items::network(7),
            items::firewall(1, 80),
            vm,
            items::port(5, "web", 7, {1}),
            items::neighbor(5, 7, arriving ? "192.0.2.1" : "192.0.2.2")};
  }
  void SetUp() override {
    for (auto* world : {&from, &to}) {
      world->machines.transit = &transit;
      ASSERT_TRUE(world->start());
      world->run(1ms);
      world->server.say(items::full({"A", 1, 1}, items_with(world == &to)));
      world->run(3s);
      ASSERT_TRUE(world->agent().reconciler().troubles().empty())
          << world->agent().reconciler().troubles().begin()->second.message;
      world->server.heard.clear();
    }
  }
  static v1::ServerMessage at(std::int64_t epoch) {
    v1::ServerMessage message;
    *message.mutable_position() = message_of({"A", 1, epoch});
    return message;
  }
  v1::MoveReport order(HostWorld& world, v1::MoveOrder::Step step, const std::string& handle = {}) {
    auto message = at(1);
    auto& order = *message.mutable_move();
    order.set_id(next_order++);
    order.set_step(step);
    order.set_tenant("acme");
    order.set_vm("web");
    order.add_ports(5);
    order.set_handle(handle);
    world.server.say(message);
    world.run(1s);
    for (const auto& heard : world.server.heard)
      if (heard.has_move() && heard.move().id() == order.id()) return heard.move();
    ADD_FAILURE() << "no report";
    return {};
  }
  static v1::FlowBatch flows_heard(const HostWorld& world) {
    v1::FlowBatch all;
    for (const auto& heard : world.server.heard)
      if (heard.has_flows()) all.mutable_flows()->MergeFrom(heard.flows().flows());
    return all;
  }
  static void put_flow(HostWorld& world, std::uint16_t remote_port, Duration idle) {
    ps_flow_key key{};
    key.port_id = 5;
    key.remote_port = remote_port;
    ps_flow flow{};
    flow.seen_ns = static_cast<std::uint64_t>((world.clock.now().since_start - idle).count());
    flow.created_ns = 1;
    flow.policy = 77;
    flow.slot = 999;
    flow.counts[0] = 40;
    flow.packets[PS_OUT] = 7;
    flow.packets[PS_IN] = 5;
    flow.bytes[PS_IN] = 600;
    flow.counted_packets = 3;
    flow.initiator = PS_OUT;
    ASSERT_TRUE(world.kernel.map_put(Map::kFlows, bytes_of(key), bytes_of(flow)));
  }
  static bool live(HostWorld& world) { return world.agent().reconciler().ports().live(PortId(5)); }
  const FakeMachines::Machine& machine(HostWorld& world) {
    return world.machines.machines.at("acme/web");
  }
};

TEST_F(MoverTest, AGuestThatWasLetGoIsLeftAloneUntilItIsTakenBack) {
  const auto guest = machine(from).guest;
  put_flow(from, 80, 10ms);
  const auto left = order(from, v1::MoveOrder::DEPART);
  EXPECT_EQ(left.code(), "");
  EXPECT_NE(left.handle(), "");
  EXPECT_EQ(flows_heard(from).flows_size(), 1);
  EXPECT_FALSE(live(from));
  EXPECT_TRUE(machine(from).devices.empty());
  from.run(30s);
  EXPECT_TRUE(machine(from).departed) << "audits leave it alone";
  EXPECT_TRUE(from.agent().reconciler().troubles().empty());
  from.crash();
  ASSERT_TRUE(from.start());
  from.run(5s);
  EXPECT_TRUE(machine(from).departed) << "and so does the agent's next life";
  EXPECT_EQ(order(from, v1::MoveOrder::DEPART).handle(), left.handle()) << "asked again";
  EXPECT_EQ(order(from, v1::MoveOrder::RETURN, left.handle()).code(), "");
  EXPECT_TRUE(live(from));
  EXPECT_EQ(machine(from).guest, guest) << "it ran on";
  EXPECT_EQ(from.machines.made, 1);
}

TEST_F(MoverTest, AGuestArrivesWithItsFlowsAndIsNotMadeAnew) {
  to.run(20s);  // its clock is its own
  EXPECT_FALSE(live(to));
  EXPECT_EQ(to.machines.made, 0);
  put_flow(from, 80, 2s);
  put_flow(from, 81, 1s);
  EXPECT_EQ(order(from, v1::MoveOrder::SEND_FLOWS).flows(), 2);
  const auto guest = machine(from).guest;
  const auto left = order(from, v1::MoveOrder::DEPART);
  EXPECT_EQ(left.flows(), 0) << "nothing has changed since";
  auto batch = at(1);
  *batch.mutable_flows() = flows_heard(from);
  to.server.say(batch);
  to.run(1s);
  const auto arrived = order(to, v1::MoveOrder::ARRIVE, left.handle());
  EXPECT_EQ(arrived.code(), "") << arrived.message();
  EXPECT_EQ(arrived.flows(), 2);
  EXPECT_TRUE(live(to));
  EXPECT_EQ(machine(to).guest, guest);
  const auto slot = to.agent().reconciler().ports().table().slot_of(PortId(5));
  const auto entries = to.kernel.map_dump(Map::kFlows).value();
  ASSERT_EQ(entries.size(), 2U);
  const auto flow = value_of<ps_flow>(entries[0].second).value();
  EXPECT_EQ(flow.slot, *slot);
  EXPECT_EQ(flow.policy, UINT64_MAX) << "it is judged again";
  EXPECT_EQ(flow.counts[0], 0u) << "numbers of another host's rules";
  EXPECT_EQ(flow.counted_packets, 12u) << "what it carried before is not counted again";
  EXPECT_EQ(flow.counted_bytes, 600u);
  const auto idle = static_cast<std::uint64_t>(to.clock.now().since_start.count()) - flow.seen_ns;
  EXPECT_GT(idle, 2'000'000'000U);
  EXPECT_LT(idle, 6'000'000'000U);

  EXPECT_EQ(order(to, v1::MoveOrder::ARRIVE, left.handle()).code(), "") << "asked again";
  const auto back = order(from, v1::MoveOrder::RETURN, left.handle());
  EXPECT_EQ(back.code(), "failed_precondition") << "another host has it";
  to.server.say(items::delta(1, {"A", 2, 1}, {items::vm("web", {5})}));
  from.server.say(items::delta(1, {"A", 2, 1}, {}, {"50/vm/acme/web", "60/port/5", "70/nbr/7/5"}));
  to.run(20s);
  from.run(20s);
  EXPECT_EQ(machine(to).guest, guest);
  EXPECT_TRUE(machine(to).sending);
  EXPECT_TRUE(live(to));
  EXPECT_FALSE(from.machines.machines.contains("acme/web"));
}

// Entries on their way may be older than what the guest has at its new place.
TEST_F(MoverTest, FlowsThatComeAfterTheGuestAreLeftOut) {
  const auto left = order(from, v1::MoveOrder::DEPART);
  EXPECT_EQ(order(to, v1::MoveOrder::ARRIVE, left.handle()).code(), "");
  put_flow(from, 80, 10ms);
  order(from, v1::MoveOrder::SEND_FLOWS);
  auto batch = at(1);
  *batch.mutable_flows() = flows_heard(from);
  ASSERT_EQ(batch.flows().flows_size(), 1);
  to.server.say(batch);
  to.run(1s);
  EXPECT_TRUE(to.kernel.map_dump(Map::kFlows)->empty());
}

TEST_F(MoverTest, AHostThatCannotTakeTheGuestLeavesItFree) {
  const auto left = order(from, v1::MoveOrder::DEPART);
  to.machines.broken.insert("acme/web");
  EXPECT_NE(order(to, v1::MoveOrder::ARRIVE, left.handle()).code(), "");
  EXPECT_FALSE(live(to));
  EXPECT_EQ(order(from, v1::MoveOrder::RETURN, left.handle()).code(), "");
  EXPECT_TRUE(live(from));
  to.run(20s);
  EXPECT_FALSE(to.machines.machines.contains("acme/web"));
}

// Found by simulation: the host acknowledged the port, which had a device and did not forward.
TEST_F(MoverTest, AGuestThatIsTakenBackIsTheReconcilersWhateverFails) {
  const auto left = order(from, v1::MoveOrder::DEPART);
  from.kernel.faults.attach_denied_everywhere = true;
  EXPECT_NE(order(from, v1::MoveOrder::RETURN, left.handle()).code(), "");
  EXPECT_TRUE(from.agent().reconciler().troubles().contains("50/vm/acme/web"));
  from.kernel.faults.attach_denied_everywhere = false;
  from.run(20s);
  EXPECT_TRUE(from.agent().reconciler().troubles().empty());
  EXPECT_TRUE(live(from));
}

// Found by simulation: the host was away while the VM moved, was deleted, and another of its name
// was placed here; it never came up.
TEST_F(MoverTest, AVmThatIsPlacedAnewWhereItLeftComesUp) {
  const auto left = order(from, v1::MoveOrder::DEPART);
  ASSERT_EQ(order(to, v1::MoveOrder::ARRIVE, left.handle()).code(), "");
  from.server.say(items::delta(1, {"A", 2, 1},
                               {items::vm("web", {9}), items::port(9, "web", 7, {1})},
                               {"60/port/5", "70/nbr/7/5"}));
  from.run(2s);
  EXPECT_TRUE(from.agent().reconciler().troubles().empty());
  EXPECT_TRUE(from.agent().reconciler().ports().live(PortId(9)));
  EXPECT_NE(machine(from).guest, machine(to).guest);
  EXPECT_TRUE(live(to)) << "the other one is left alone";
}

// Found by simulation: the VM was placed back where it left before its host heard that the move was
// over; all it heard was that no other place is left.
TEST_F(MoverTest, AVmThatIsPlacedBackWhereItLeftComesUp) {
  const auto left = order(from, v1::MoveOrder::DEPART);
  ASSERT_EQ(order(to, v1::MoveOrder::ARRIVE, left.handle()).code(), "");
  from.server.say(items::delta(1, {"A", 2, 1}, {}, {"70/nbr/7/5"}));
  from.run(2s);
  EXPECT_TRUE(live(from));
  EXPECT_NE(machine(from).guest, machine(to).guest);
}

TEST_F(MoverTest, AnOlderServersOrderIsRefused) {
  from.server.say(items::delta(1, {"A", 1, 2}, {}));
  from.run(1s);
  auto late = at(1);
  late.mutable_move()->set_step(v1::MoveOrder::DEPART);
  late.mutable_move()->set_tenant("acme");
  late.mutable_move()->set_vm("web");
  from.server.say(late);
  from.run(1s);
  EXPECT_TRUE(live(from));
}

}  // namespace
}  // namespace penstock::host
