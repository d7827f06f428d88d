// Step lists: which policy judges what, logs, observe mode, groups, damaged policies.
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using PolicyPackets = TwoPorts;

TEST_F(PolicyPackets, WithoutServicesNothingIsRemembered) {
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(world->flows(), 0u);
}

TEST_F(PolicyPackets, SenderIsJudgedByItsOutPolicy) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(world->flows(), 1u) << "a denied packet leaves no entry";
  // The other direction has no policy: new flows to A pass.
  EXPECT_EQ(from_b(tcp_b_to_a(1000, 81, SYN)), "redirect");
}

TEST_F(PolicyPackets, ReceiverIsJudgedByItsInPolicyInTheSameRun) {
  world->enable(kB, PS_IN, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(from_b(tcp_b_to_a(80, 1000, SYN | ACK)), "redirect") << "B's reply passes by B's entry";
}

TEST_F(PolicyPackets, BothSidesKeepTheirOwnEntry) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  world->enable(kB, PS_IN, world->policy(rules(Action::kAllow)));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  ASSERT_TRUE(world->flow(kA));
  ASSERT_TRUE(world->flow(kB));
  EXPECT_EQ(world->flow(kA)->initiator, PS_OUT);
  EXPECT_EQ(world->flow(kB)->initiator, PS_IN);
}

TEST_F(PolicyPackets, Ipv6IsJudgedTheSame) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIp6AToB).tcp(1000, 80, SYN).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIp6AToB).tcp(1000, 81, SYN).frame()), "drop policy_deny");
  // Extension headers hide nothing; more of them than anybody sends are refused.
  EXPECT_EQ(
      from_a(Packet(kAToB).ip(kIp6AToB).extension(0).extension(60, 1).tcp(1000, 81, SYN).frame()),
      "drop policy_deny");
  EXPECT_EQ(
      from_a(Packet(kAToB).ip(kIp6AToB).extension(0).extension(60).tcp(1001, 80, SYN).frame()),
      "redirect");
  auto many = Packet(kAToB).ip(kIp6AToB);
  for (int i = 0; i < 7; ++i) many.extension(60);
  EXPECT_EQ(from_a(many.tcp(1002, 80, SYN).frame()), "drop malformed");
}

TEST_F(PolicyPackets, Ipv4OptionsHideNothing) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).options(3).tcp(1000, 81, SYN).frame()),
            "drop policy_deny");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).options(10).tcp(1000, 80, SYN).frame()), "redirect");
}

TEST_F(PolicyPackets, SctpAndOtherProtocols) {
  policy::Rule sctp = tcp_port(Action::kAllow, 5000);
  sctp.protocols = {132};
  policy::Rule gre;
  gre.protocols = {47};
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {sctp, gre})));
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).sctp(7, 5000).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).sctp(7, 5001).frame()), "drop policy_deny");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).protocol(47).payload(30).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).protocol(50).payload(30).frame()), "drop policy_deny");
}

TEST_F(PolicyPackets, GroupsOfBothEnds) {
  policy::Rule rule;
  rule.src = {policy::GroupId(5)};
  rule.dst = {policy::GroupId(6)};
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {rule})));
  EXPECT_EQ(from_a(tcp_a_to_b(1, 2, SYN)), "drop policy_deny");
  const auto put = [&](const char* ip, std::uint32_t group) {
    ASSERT_TRUE(world->the_switch().map_put(
        host::Map::kGroups, host::bytes_of(host::network_key(Vni(100), *IpAddress::parse(ip))),
        host::bytes_of(*host::group_list(std::array{group}))));
  };
  put("10.0.0.1", 5);
  put("10.0.0.2", 6);
  EXPECT_EQ(from_a(tcp_a_to_b(1, 2, SYN)), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip("10.0.0.11 > 10.0.0.2").tcp(1, 2, SYN).frame()),
            "drop policy_deny");
}

TEST_F(PolicyPackets, LogsOnceAFlowWithRuleAndProfile) {
  std::vector<ps_event> events;
  auto ring = world->the_switch().open_events([&](const ps_event& e) { events.push_back(e); });
  ASSERT_TRUE(ring);
  auto allowed = tcp_port(Action::kAllow, 80);
  allowed.log = true;
  auto denied = tcp_port(Action::kDeny, 81);
  denied.log = true;
  const auto line = world->policy(
      rules(Action::kAllow, {tcp_port(Action::kAllow, 79), allowed, denied}), 0, 4711);
  world->enable(kA, PS_OUT, line);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, i ? ACK : SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "drop policy_deny");
  world->enable(kA, PS_OUT, line);  // judged again: not logged again
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, ACK)), "redirect");
  ASSERT_TRUE((*ring)->consume());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].outcome, PS_OUTCOME_ALLOW);
  EXPECT_EQ(events[0].rule, 1u);
  EXPECT_EQ(events[0].profile, 4711u);
  EXPECT_EQ(events[0].port_id, kA);
  EXPECT_EQ(events[0].destination_port, 80);
  EXPECT_EQ(events[1].outcome, PS_OUTCOME_DENY);
  EXPECT_EQ(events[1].rule, 2u);
}

TEST_F(PolicyPackets, ObservingStepsDropNothing) {
  std::vector<ps_event> events;
  auto ring = world->the_switch().open_events([&](const ps_event& e) { events.push_back(e); });
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny), PS_STEP_OBSERVE));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_OBSERVED), 1u);
  ASSERT_TRUE((*ring)->consume());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].outcome, PS_OUTCOME_WOULD_DENY);
}

TEST_F(PolicyPackets, AnObservingStepChangesNothingForTheOthers) {
  ps_step observing{}, enforcing{};
  observing.kind = enforcing.kind = PS_STEP_FILTER;
  observing.line = world->image(rules(Action::kReject));
  observing.flags = PS_STEP_OBSERVE;
  enforcing.line = world->image(rules(Action::kAllow, {tcp_port(Action::kDeny, 81)}));
  world->enable(kA, PS_OUT, world->steps({observing, enforcing}, 0b11));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(world->flow(kA)->steps_run, 0b11) << "it counts as inspected";
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(world->counter(PS_COUNT_OBSERVED), 2u);
  EXPECT_EQ(world->counter(PS_COUNT_REJECT_SENT), 0u);
  // Behind the one that denies it is not asked.
  world->enable(kA, PS_OUT, world->steps({enforcing, observing}, 0b11));
  EXPECT_EQ(from_a(tcp_a_to_b(1001, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(world->counter(PS_COUNT_OBSERVED), 2u);
  // It begins to enforce: flows that are under way are judged by it.
  observing.flags = 0;
  world->enable(kA, PS_OUT, world->steps({enforcing, observing}, 0b11));
  from_a(tcp_a_to_b(1000, 80, ACK));
  EXPECT_TRUE(world->flow(kA)->flags & PS_FLOW_DENIED);
  EXPECT_EQ(world->counter(PS_COUNT_REJECT_SENT), 1u);
  // And observes again: what was cut stays cut only as long as nobody asks anew.
  observing.flags = PS_STEP_OBSERVE;
  world->enable(kA, PS_OUT, world->steps({enforcing, observing}, 0b11));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, ACK)), "redirect");
}

TEST_F(PolicyPackets, EveryStepMustAllow) {
  ps_step first{}, second{};
  first.kind = second.kind = PS_STEP_FILTER;
  first.line = world->image(rules(Action::kAllow));
  second.line = world->image(rules(Action::kAllow, {tcp_port(Action::kDeny, 81)}));
  world->enable(kA, PS_OUT, world->steps({first, first, first, first, second}, 0b11111));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 81, SYN)), "drop policy_deny");
  EXPECT_EQ(world->flow(kA)->steps_run, 0b11111);
}

TEST_F(PolicyPackets, PacketThatMissedARequiredStepIsDropped) {
  ps_step step{};
  step.kind = PS_STEP_FILTER;
  step.line = world->image(rules(Action::kAllow));
  world->enable(kA, PS_OUT, world->steps({step}, 0b11));  // the second step is not there
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop not_inspected");
}

TEST_F(PolicyPackets, DamagedPoliciesFailClosed) {
  world->enable(kA, PS_OUT, 999);  // zeros
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop bad_policy");
  world->enable(kA, PS_OUT, 0x7fffffff);  // outside the arena
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop bad_policy");
  ps_step unknown{};
  unknown.kind = 200;
  world->enable(kA, PS_OUT, world->steps({unknown}, 0));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop bad_policy");
  ps_step nowhere{};
  nowhere.kind = PS_STEP_FILTER;
  nowhere.line = 0x7fffffff;
  world->enable(kA, PS_OUT, world->steps({nowhere}, 0));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop bad_policy");
}

TEST_F(PolicyPackets, CountsTrafficAndDropsOfAPort) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)})));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_a(tcp_a_to_b(1000, 81, SYN));
  const auto a = *world->the_switch().port_stats(world->slot(kA));
  const auto b = *world->the_switch().port_stats(world->slot(kB));
  EXPECT_EQ(a.packets[PS_OUT], 1u);
  EXPECT_EQ(a.bytes[PS_OUT], 54u);
  EXPECT_EQ(a.dropped[PS_OUT], 1u);
  EXPECT_EQ(b.packets[PS_IN], 1u);
  ASSERT_TRUE(world->the_switch().clear_port_stats(world->slot(kA)));
  EXPECT_EQ(world->the_switch().port_stats(world->slot(kA))->packets[PS_OUT], 0u);
}

TEST_F(PolicyPackets, PaddingDecidesNothing) {
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  auto four = Packet(kBToA).ip(kIpBToA).udp(4000, 53).payload(8).frame();
  auto six = Packet(kBToA).ip(kIp6BToA).udp(4000, 53).payload(8).frame();
  EXPECT_EQ(from_b(four), "redirect");
  EXPECT_EQ(from_b(six), "redirect");
  four[17] = 24;
  six[19] = 4;
  EXPECT_EQ(from_b(four), "drop malformed");
  EXPECT_EQ(from_b(six), "drop malformed");
}

}  // namespace
}  // namespace penstock::packets
