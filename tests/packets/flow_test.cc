// The flow table: replies, states, policy changes, related errors, a full table, quotas, ages.
#include <ctime>

#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using Flows = TwoPorts;

Frame udp_a_to_b(std::uint16_t source, std::uint16_t destination) {
  return Packet(kAToB).ip(kIpAToB).udp(source, destination).payload(4).frame();
}
Frame udp_b_to_a(std::uint16_t source, std::uint16_t destination) {
  return Packet(kBToA).ip(kIpBToA).udp(source, destination).payload(4).frame();
}

TEST_F(Flows, RepliesPassByTheEntry) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_b(udp_b_to_a(53, 4000)), "drop policy_deny") << "before the request";
  EXPECT_EQ(from_a(udp_a_to_b(4000, 53)), "redirect");
  EXPECT_EQ(from_b(udp_b_to_a(53, 4000)), "redirect");
  EXPECT_EQ(from_b(udp_b_to_a(53, 4001)), "drop policy_deny") << "another port of the same hosts";
  const auto flow = world->flow(kA);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->state, PS_FLOW_ESTABLISHED);
  EXPECT_EQ(flow->packets[PS_OUT], 1u);
  EXPECT_EQ(flow->packets[PS_IN], 1u);
  EXPECT_EQ(flow->bytes[PS_OUT], 46u);
}

TEST_F(Flows, EchoRepliesPassByTheEntry) {
  for (const auto family : {Family::kV4, Family::kV6}) {
    const bool four = family == Family::kV4;
    world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {echo(Action::kAllow, family)})));
    world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
    const auto request = [&](std::uint32_t id) {
      return Packet(kAToB)
          .ip(four ? kIpAToB : kIp6AToB)
          .icmp(four ? 8 : 128, 0, id << 16 | 1)
          .payload(8)
          .frame();
    };
    const auto reply = [&](std::uint32_t id) {
      return Packet(kBToA)
          .ip(four ? kIpBToA : kIp6BToA)
          .icmp(four ? 0 : 129, 0, id << 16 | 1)
          .payload(8)
          .frame();
    };
    EXPECT_EQ(from_b(reply(7)), "drop policy_deny");
    EXPECT_EQ(from_a(request(7)), "redirect");
    EXPECT_EQ(from_b(reply(7)), "redirect");
    EXPECT_EQ(from_b(reply(8)), "drop policy_deny");
  }
}

TEST_F(Flows, TcpStates) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  const auto state = [&] { return static_cast<int>(world->flow(kA)->state); };
  from_a(tcp_a_to_b(1000, 80, SYN));
  EXPECT_EQ(state(), PS_FLOW_NEW);
  from_b(tcp_b_to_a(80, 1000, SYN | ACK));
  EXPECT_EQ(state(), PS_FLOW_ANSWERED);
  from_a(tcp_a_to_b(1000, 80, ACK));
  EXPECT_EQ(state(), PS_FLOW_ESTABLISHED);
  from_a(tcp_a_to_b(1000, 80, FIN | ACK));
  EXPECT_EQ(state(), PS_FLOW_CLOSING);
  from_b(tcp_b_to_a(80, 1000, FIN | ACK));
  EXPECT_EQ(state(), PS_FLOW_CLOSED);
  // The same ports again: a new connection, judged anew.
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  from_a(tcp_a_to_b(1000, 80, SYN));
  EXPECT_EQ(state(), PS_FLOW_NEW);
  from_b(tcp_b_to_a(80, 1000, RST | ACK));
  EXPECT_EQ(state(), PS_FLOW_CLOSED);
}

TEST_F(Flows, ReopenedConnectionIsJudgedInItsNewDirection) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_b(tcp_b_to_a(80, 1000, RST));
  EXPECT_EQ(from_b(tcp_b_to_a(80, 1000, SYN)), "drop policy_deny");
}

TEST_F(Flows, PolicyChangeJudgesByTheFirstPacket) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  from_a(udp_a_to_b(4000, 53));
  // Still allowed: the reply comes first and passes, because what is judged is the request.
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  EXPECT_EQ(from_b(udp_b_to_a(53, 4000)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_REJUDGED), 1u);
  // Denied now: both directions stop.
  const auto classified = world->counter(PS_COUNT_CLASSIFIED);
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_b(udp_b_to_a(53, 4000)), "drop flow_denied");
  EXPECT_EQ(from_a(udp_a_to_b(4000, 53)), "drop flow_denied");
  EXPECT_EQ(world->counter(PS_COUNT_CLASSIFIED), classified)
      << "judging again is not counted again";
  // Disabled: open at once.
  world->enable(kA, PS_OUT, 0);
  EXPECT_EQ(from_a(udp_a_to_b(4000, 53)), "redirect");
}

TEST_F(Flows, DeniedFlowIsNotRevivedByTheOtherEnd) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  world->enable(kA, PS_IN, world->policy(rules(Action::kAllow)));
  from_a(tcp_a_to_b(40000, 22, SYN));
  from_b(tcp_b_to_a(22, 40000, SYN | ACK));
  from_a(tcp_a_to_b(40000, 22, ACK));
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_b(tcp_b_to_a(22, 40000, ACK)), "drop flow_denied");
  EXPECT_EQ(from_a(tcp_a_to_b(40000, 22, ACK)), "drop flow_denied");
  EXPECT_EQ(from_b(tcp_b_to_a(22, 40000, SYN)), "drop flow_denied");
}

TEST_F(Flows, ConnectionOlderThanThePolicyIsJudgedInTheDirectionItWasOpened) {
  // A is a client of B's port 22; neither packet has a SYN.
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  world->enable(kA, PS_IN, world->policy(rules(Action::kAllow)));
  EXPECT_EQ(from_b(tcp_b_to_a(22, 40000, ACK)), "drop policy_deny");
  EXPECT_EQ(from_a(tcp_a_to_b(40000, 22, ACK)), "drop policy_deny");
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 22)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_b(tcp_b_to_a(22, 40000, ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(40000, 22, ACK)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_PICKED_UP), 1u);
  EXPECT_EQ(world->flow(kA)->initiator, PS_OUT);
}

// A allows what it opens itself, and of others only connections to port 80.
void protect(World& world) {
  world.enable(kA, PS_OUT, world.policy(rules(Action::kAllow)));
  world.enable(kA, PS_IN, world.policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
}

TEST_F(Flows, StrayAnswersOpenNoPort) {
  protect(*world);
  from_b(tcp_b_to_a(40001, 22, SYN | ACK));
  EXPECT_EQ(from_b(tcp_b_to_a(40001, 22, SYN)), "drop policy_deny") << "after a SYN+ACK";
  from_b(tcp_b_to_a(1, 22, ACK));
  EXPECT_EQ(from_b(tcp_b_to_a(1, 22, SYN)), "drop policy_deny") << "after an ACK from a low port";
  from_b(tcp_b_to_a(2, 22, ACK | FIN));
  EXPECT_EQ(from_b(tcp_b_to_a(2, 22, SYN)), "drop policy_deny") << "after a FIN from a low port";
  // What is allowed stays so, and the entry is the new connection's.
  world->the_switch().forget_flows(PortId(kA));
  from_b(tcp_b_to_a(3, 80, ACK));
  EXPECT_EQ(world->flow(kA)->initiator, PS_OUT);
  EXPECT_EQ(from_b(tcp_b_to_a(3, 80, SYN)), "redirect");
  EXPECT_EQ(world->flow(kA)->initiator, PS_IN);
  EXPECT_EQ(world->flow(kA)->state, PS_FLOW_NEW);
  EXPECT_EQ(world->flows(), 1u);
}

TEST_F(Flows, ProbesFromLowPortsAreJudgedTheWayTheyTravel) {
  protect(*world);
  for (const std::uint8_t flags :
       {0, +FIN, +PSH, +RST, RST | ACK, SYN | FIN, SYN | RST, SYN | ACK | RST | FIN})
    EXPECT_EQ(from_b(tcp_b_to_a(1, 22, flags)), "drop policy_deny") << int{flags};
  for (const std::uint8_t flags : {0, +FIN, +PSH, +RST})
    EXPECT_EQ(from_b(tcp_b_to_a(1, 80, flags)), "redirect") << int{flags};
  EXPECT_EQ(world->flows(), 0u) << "what belongs to no connection makes no entry";
}

TEST_F(Flows, RefusedSynLeavesTheOpenConnectionAlone) {
  protect(*world);
  from_a(tcp_a_to_b(1000, 81, SYN));
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, SYN)), "drop policy_deny") << "two SYNs cross";
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "redirect") << "sent again";
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, SYN | ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, ACK)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, SYN)), "drop policy_deny");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, ACK)), "redirect");
  const auto flow = world->flow(kA);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->initiator, PS_OUT);
  EXPECT_EQ(flow->state, PS_FLOW_ESTABLISHED);
}

TEST_F(Flows, CrossingSynsOpenAConnectionWhereBothAreAllowed) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  world->enable(kA, PS_IN, world->policy(rules(Action::kAllow)));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN | ACK)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, SYN | ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, ACK)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 1000, ACK)), "redirect");
  EXPECT_EQ(world->flow(kA)->state, PS_FLOW_ESTABLISHED);
}

TEST_F(Flows, ErrorsAboutAFlowPassAndOthersAreJudged) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  const auto request = udp_a_to_b(4000, 53);
  const auto about = [&](const Frame& original) {
    return Packet(kBToA).ip(kIpBToA).icmp(3, 3).payload(quoted(original, 28)).frame();
  };
  EXPECT_EQ(from_b(about(request)), "drop policy_deny");
  from_a(request);
  EXPECT_EQ(from_b(about(request)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_RELATED), 1u);
  EXPECT_EQ(from_b(about(udp_a_to_b(4001, 53))), "drop policy_deny");
  // And after the flow was denied, errors about it stop too.
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_b(about(request)), "drop flow_denied");
}

TEST_F(Flows, ErrorsAboutAnIpv6FlowPass) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  const auto request = Packet(kAToB).ip(kIp6AToB).udp(4000, 53).payload(4).frame();
  const auto too_big =
      Packet(kBToA).ip(kIp6BToA).icmp(2, 0, 1280).payload(quoted(request, 48)).frame();
  EXPECT_EQ(from_b(too_big), "drop policy_deny");
  from_a(request);
  EXPECT_EQ(from_b(too_big), "redirect");
}

TEST_F(Flows, StatelessRulesLeaveNoEntry) {
  auto rule = udp_port(Action::kAllow, 53);
  rule.stateless = true;
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {rule})));
  EXPECT_EQ(from_a(udp_a_to_b(4000, 53)), "redirect");
  EXPECT_EQ(world->flows(), 0u);
}

TEST_F(Flows, QuotaOfOnePortLeavesTheOthersAlone) {
  auto tunables = World::small();
  tunables.flow_port_quota = 16;
  start(tunables);
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  for (std::uint16_t i = 0; i < 20; ++i) EXPECT_EQ(from_a(udp_a_to_b(5000 + i, 53)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_QUOTA), 4u);
  world->enable(kB, PS_OUT, world->policy(rules(Action::kAllow)));
  from_b(udp_b_to_a(6000, 53));
  EXPECT_TRUE(world->flow(kB));
  // Entries of A that go make room for others of A.
  EXPECT_EQ(world->the_switch().forget_flows(PortId(kA))->deleted, 16u);
  from_a(udp_a_to_b(5019, 53));
  EXPECT_TRUE(world->flow(kA));
}

TEST_F(Flows, FloodFromOutsideOpensNothingAndLeavesTheVmAQuarter) {
  auto tunables = World::small();
  tunables.flow_port_quota = 16;
  start(tunables);
  protect(*world);
  const auto ping = [](std::uint8_t type) {
    return Packet(kBToA).ip(kIpBToA).icmp(type, 0, 7u << 16 | 1).payload(8).frame();
  };
  for (std::uint16_t i = 0; i < 40; ++i)
    EXPECT_EQ(from_b(tcp_b_to_a(5000 + i, 80, SYN)), "redirect");
  EXPECT_EQ(world->flows(), 12u);
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_QUOTA), 28u);
  EXPECT_EQ(from_b(udp_b_to_a(4000, 111)), "drop policy_deny");
  EXPECT_EQ(from_b(ping(8)), "drop policy_deny");
  EXPECT_EQ(from_b(ping(0)), "drop policy_deny");
  // Answers and pick-ups that A never asked for are the flood's too, whoever they name initiator.
  from_b(tcp_b_to_a(40001, 22, SYN | ACK));
  from_b(tcp_b_to_a(1, 22, ACK));
  EXPECT_EQ(world->flows(), 12u);
  for (std::uint16_t i = 0; i < 4; ++i) {
    EXPECT_EQ(from_a(udp_a_to_b(6000 + i, 53)), "redirect");
    EXPECT_EQ(from_b(udp_b_to_a(53, 6000 + i)), "redirect");
  }
  EXPECT_EQ(world->flows(), 16u);
  from_a(udp_a_to_b(6004, 53));
  EXPECT_EQ(from_b(udp_b_to_a(53, 6004)), "drop policy_deny") << "the quota is used up";
  // What goes gives back the room it took, of either kind.
  EXPECT_EQ(world->the_switch().forget_flows(PortId(kA))->deleted, 16u);
  for (std::uint16_t i = 0; i < 40; ++i) from_b(tcp_b_to_a(5000 + i, 80, SYN));
  EXPECT_EQ(world->flows(), 12u);
}

TEST_F(Flows, EntryThatTakesAnothersPlaceTakesItsRoom) {
  auto tunables = World::small();
  tunables.flow_port_quota = 16;
  start(tunables);
  protect(*world);
  // Twelve entries from outside; A opens each of those connections itself, B each of A's.
  for (std::uint16_t i = 0; i < 12; ++i) from_b(tcp_b_to_a(i + 1, 80, ACK));
  for (std::uint16_t i = 0; i < 12; ++i) from_a(tcp_a_to_b(80, i + 1, SYN));
  for (std::uint16_t i = 0; i < 4; ++i) from_a(tcp_a_to_b(80, 100 + i, SYN));
  for (std::uint16_t i = 0; i < 4; ++i) from_b(tcp_b_to_a(100 + i, 80, SYN));
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_QUOTA), 0u);
  EXPECT_EQ(world->flows(), 16u);
  EXPECT_EQ(world->the_switch().forget_flows(PortId(kA))->deleted, 16u);
  for (std::uint16_t i = 0; i < 40; ++i) from_b(tcp_b_to_a(5000 + i, 80, SYN));
  EXPECT_EQ(world->flows(), 12u);
  for (std::uint16_t i = 0; i < 9; ++i) from_a(udp_a_to_b(6000 + i, 53));
  EXPECT_EQ(world->flows(), 16u);
}

TEST_F(Flows, FullTableKeepsOldFlowsAndJudgesNewOnes) {
  world->enable(kA, PS_OUT,
                world->policy(rules(Action::kDeny,
                                    {udp_port(Action::kAllow, 53), tcp_port(Action::kAllow, 80)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  from_a(udp_a_to_b(999, 53));
  for (std::uint16_t i = 0; i < 1200; ++i) from_a(udp_a_to_b(2000 + i, 53));
  EXPECT_GT(world->counter(PS_COUNT_FLOW_TABLE_FULL), 0u);
  EXPECT_EQ(from_b(udp_b_to_a(53, 999)), "redirect") << "an old flow's reply";
  // A new flow, without an entry: requests pass, so do replies, and nothing else.
  EXPECT_EQ(from_a(tcp_a_to_b(7000, 80, SYN)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(80, 7000, SYN | ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(7000, 80, ACK)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(80, 7000, ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(7000, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(from_b(tcp_b_to_a(81, 7000, SYN | ACK)), "drop policy_deny");
  EXPECT_EQ(from_a(udp_a_to_b(8000, 53)), "redirect");
  EXPECT_EQ(from_b(udp_b_to_a(53, 8000)), "drop policy_deny") << "nothing tells it from a request";
}

TEST_F(Flows, SweepDeletesWhatHasExpiredAndNothingElse) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  from_a(udp_a_to_b(4000, 53));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_b(tcp_b_to_a(80, 1000, SYN | ACK));
  from_a(tcp_a_to_b(1000, 80, ACK));
  EXPECT_EQ(world->the_switch().sweep()->deleted, 0u);
  EXPECT_EQ(world->flows(), 2u);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto in = [&](std::uint64_t seconds) {
    return (static_cast<std::uint64_t>(now.tv_sec) + seconds) * 1'000'000'000;
  };
  EXPECT_EQ(world->the_switch().sweep_at(in(40))->deleted, 1u) << "unanswered UDP after 30 s";
  EXPECT_EQ(world->the_switch().sweep_at(in(80'000))->deleted, 0u);
  EXPECT_EQ(world->the_switch().sweep_at(in(90'000))->deleted, 1u) << "established TCP after a day";
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_EXPIRED), 2u);
}

// From a low port to a high one: judged in mid-stream, it would pass for a connection that the
// other end opened.
TEST_F(Flows, EntriesThatCameWithTheirVmKeepItsConnectionsAndCountForItsPort) {
  auto tunables = World::small();
  tunables.flow_port_quota = 16;
  start(tunables);
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  from_a(tcp_a_to_b(1000, 60000, SYN));
  from_b(tcp_b_to_a(60000, 1000, SYN | ACK));
  from_a(tcp_a_to_b(1000, 60000, ACK));
  auto& programs = world->the_switch();
  const std::vector ports{PortId(kA)};
  const auto entries = programs.flows_of(ports);
  ASSERT_TRUE(entries) << entries.error().text();
  ASSERT_EQ(entries->size(), 1u);
  ASSERT_TRUE(programs.forget_flows(PortId(kA)));
  ASSERT_EQ(programs.flows_of(ports)->size(), 0u);
  EXPECT_EQ(from_b(tcp_b_to_a(60000, 1000, ACK)), "drop policy_deny") << "without its entry";

  auto key = host::value_of<ps_flow_key>((*entries)[0].first).value();
  auto flow = host::value_of<ps_flow>((*entries)[0].second).value();
  flow.policy = UINT64_MAX;
  const auto place = [&] { return programs.place_flow(host::bytes_of(key), host::bytes_of(flow)); };
  EXPECT_TRUE(place().value());
  EXPECT_FALSE(place().value()) << "the same again";
  EXPECT_EQ(from_b(tcp_b_to_a(60000, 1000, ACK)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_FLOW_REJUDGED), 1u);

  for (int i = 1; i < 16; ++i) {
    ++key.remote_port;
    EXPECT_TRUE(place()) << i;
  }
  ++key.remote_port;
  EXPECT_EQ(place().error().code, Code::kResourceExhausted) << "the quota counts what came";
  ASSERT_TRUE(programs.forget_flows(PortId(kA)));
  EXPECT_TRUE(place());
}

}  // namespace
}  // namespace penstock::packets
