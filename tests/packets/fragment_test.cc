// Fragments: later ones follow the first.
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using Fragments = TwoPorts;

Frame first(std::uint32_t id, std::uint16_t port, bool six = false) {
  return Packet(kAToB)
      .ip(six ? kIp6AToB : kIpAToB)
      .fragment(id, 0, true)
      .udp(4000, port)
      .payload(16)
      .frame();
}
Frame later(std::uint32_t id, std::uint16_t offset, bool six = false) {
  return Packet(kAToB)
      .ip(six ? kIp6AToB : kIpAToB)
      .fragment(id, offset, false)
      .udp(0, 0)
      .payload(16)
      .frame();
}

TEST_F(Fragments, LaterOnesFollowTheFirst) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  for (const bool six : {false, true}) {
    EXPECT_EQ(from_a(later(1, 24, six)), "drop fragment_early");
    EXPECT_EQ(from_a(first(1, 53, six)), "redirect");
    EXPECT_EQ(from_a(later(1, 24, six)), "redirect");
    EXPECT_EQ(from_a(later(2, 24, six)), "drop fragment_early") << "of another datagram";
    EXPECT_EQ(from_a(first(3, 54, six)), "drop policy_deny");
    EXPECT_EQ(from_a(later(3, 24, six)), "drop fragment_early") << "the first was denied";
  }
  EXPECT_EQ(world->counter(PS_COUNT_FRAGMENT_TRACKED), 2u);
}

TEST_F(Fragments, TheFirstIsForgottenAfterAWhile) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  from_a(first(1, 53));
  const auto timeout = host::switch_config(World::small()).fragment_timeout_ns / 1'000'000'000;
  world->age_fragments(timeout / 2);
  EXPECT_EQ(from_a(later(1, 24)), "redirect");
  world->age_fragments(timeout / 2 + 1);
  EXPECT_EQ(from_a(later(1, 24)), "drop fragment_early");
}

TEST_F(Fragments, LaterOnesCountInTheFlow) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  from_a(first(1, 53));
  from_a(later(1, 24));
  EXPECT_EQ(world->flow(kA)->packets[PS_OUT], 2u);
}

TEST_F(Fragments, TheReceiversPolicyCountsToo) {
  world->enable(kB, PS_IN, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  EXPECT_EQ(from_a(later(1, 24)), "drop fragment_early");
  EXPECT_EQ(from_a(first(1, 53)), "redirect");
  EXPECT_EQ(from_a(later(1, 24)), "redirect");
}

TEST_F(Fragments, APolicyChangeCutsThemOff) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  from_a(first(1, 53));
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_a(later(1, 24)), "drop flow_denied");
}

TEST_F(Fragments, WithoutServicesTheyPassUntouched) {
  EXPECT_EQ(from_a(later(1, 24)), "redirect");
}

TEST_F(Fragments, EchoRequestsToo) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {echo(Action::kAllow)})));
  EXPECT_EQ(
      from_a(
          Packet(kAToB).ip(kIpAToB).fragment(9, 0, true).icmp(8, 0, 7 << 16).payload(16).frame()),
      "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).fragment(9, 24, false).icmp(8, 0).payload(16).frame()),
            "redirect");
}

TEST_F(Fragments, TcpHeadersCannotBeHiddenOrOverwritten) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  auto tiny =
      Packet(kAToB).ip(kIpAToB).fragment(1, 0, true).udp(1, 80).frame();  // 8 bytes of transport
                                                                          // header
  tiny[23] = 6;
  EXPECT_EQ(from_a(tiny), "drop fragment_overlap");
  EXPECT_EQ(
      from_a(Packet(kAToB).ip(kIpAToB).fragment(1, 8, false).tcp(1, 2, SYN).payload(16).frame()),
      "drop fragment_overlap");
}

TEST_F(Fragments, AnAtomicFragmentIsNone) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  EXPECT_EQ(
      from_a(Packet(kAToB).ip(kIp6AToB).fragment(1, 0, false).udp(4000, 53).payload(4).frame()),
      "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_FRAGMENT_TRACKED), 0u);
}

TEST_F(Fragments, FirstOneIsNotJudgedByWhatLiesBehindItsEnd) {
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny, {udp_port(Action::kAllow, 53)})));
  // Says that it ends before the UDP header, which a later fragment then could bring.
  auto first = Packet(kBToA)
                   .ip(kIp6BToA)
                   .fragment(9, 0, true)
                   .extension(60)
                   .udp(4000, 53)
                   .payload(8)
                   .frame();
  EXPECT_EQ(from_b(first), "redirect") << describe(first);
  first[18] = 0;
  first[19] = 16;
  EXPECT_EQ(from_b(first), "drop malformed");
}

}  // namespace
}  // namespace penstock::packets
