// What a VM may claim to be, and where its frames go.
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using Spoof = TwoPorts;

TEST_F(Spoof, OwnAddressesPass) {
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1, 2).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip("10.0.0.11 > 10.0.0.2").udp(1, 2).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIp6AToB).udp(1, 2).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip("fd00::11 > fd00::2").udp(1, 2).frame()), "redirect");
}

TEST_F(Spoof, ForeignMacAndAddressesAreDropped) {
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:99 > 02:00:00:00:00:0b").ip(kIpAToB).udp(1, 2).frame()),
            "drop spoofed_mac");
  EXPECT_EQ(from_a(Packet(kAToB).ip("10.0.0.2 > 10.0.0.3").udp(1, 2).frame()),
            "drop spoofed_address");
  EXPECT_EQ(from_a(Packet(kAToB).ip("fd00::2 > fd00::3").udp(1, 2).frame()),
            "drop spoofed_address");
  EXPECT_EQ(from_a(Packet(kAToB).ip("0.0.0.0 > 10.0.0.2").udp(1, 2).frame()),
            "drop spoofed_address");
  EXPECT_EQ(from_a(Packet(kAToB).ip(":: > fd00::2").udp(1, 2).frame()), "drop spoofed_address");
}

TEST_F(Spoof, AddressOfOneFamilyDoesNotAllowEqualBytesOfTheOther) {
  // fd00::1 of the other port, and 10.0.0.1 read as the first bytes of an IPv6 address.
  EXPECT_EQ(from_a(Packet(kAToB).ip("a00:1:: > fd00::2").udp(1, 2).frame()),
            "drop spoofed_address");
}

TEST_F(Spoof, LinkLocalIsTheGuestsChoiceUnlessItIsSomebodyElses) {
  const auto others = host::eui64_link_local(*Mac::parse(kMacB));
  ASSERT_TRUE(world->the_switch().map_put(
      host::Map::kNeighbors, host::bytes_of(host::network_key(Vni(100), others)),
      host::bytes_of(host::neighbor(*Mac::parse(kMacB), false))));
  EXPECT_EQ(from_a(Packet(kAToB).ip("fe80::1234 > fd00::2").udp(1, 2).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(others.text() + " > fd00::2").udp(1, 2).frame()),
            "drop spoofed_address");
}

TEST_F(Spoof, ProfileMayLiftTheChecks) {
  world->entry(kA).flags |= PS_PORT_ANY_ADDRESS | PS_PORT_ANY_MAC;
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:99 > 02:00:00:00:00:0b")
                       .ip("8.8.8.8 > 10.0.0.2")
                       .udp(1, 2)
                       .frame()),
            "redirect");
}

TEST_F(Spoof, FramesThatNoRuleCouldJudge) {
  EXPECT_EQ(from_a(Packet(kAToB).vlan(5).ip(kIpAToB).udp(1, 2).frame()), "drop vlan");
  auto lldp = Packet(kAToB).ip(kIpAToB).udp(1, 2).frame();
  lldp[12] = 0x88;
  lldp[13] = 0xcc;
  EXPECT_EQ(from_a(lldp), "drop ethertype");
  auto cut = tcp_a_to_b(1, 2, SYN);
  cut.resize(40);
  EXPECT_EQ(from_a(cut), "drop malformed");
}

TEST_F(Spoof, DestinationsThatAreNone) {
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 02:00:00:00:00:77").ip(kIpAToB).udp(1, 2).frame()),
            "drop unknown_mac");
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 02:00:00:00:00:0a").ip(kIpAToB).udp(1, 2).frame()),
            "drop to_self");
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 02:00:00:00:00:fe").ip(kIpAToB).udp(1, 2).frame()),
            "drop no_router");
}

TEST_F(Spoof, NetworksDoNotMeet) {
  world->add_port({.id = 3, .vni = 200, .mac = "02:00:00:00:00:0d", .addresses = {"10.0.0.4"}});
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 02:00:00:00:00:0d")
                       .ip("10.0.0.1 > 10.0.0.4")
                       .udp(1, 2)
                       .frame()),
            "drop unknown_mac");
}

TEST_F(Spoof, DeviceWithoutAPortIsClosed) {
  world->entry(kA).port_id = 0;
  EXPECT_EQ(from_a(tcp_a_to_b(1, 2, SYN)), "drop no_port");
  EXPECT_EQ(from_b(tcp_b_to_a(1, 2, SYN)), "drop port_gone");
}

TEST_F(Spoof, RemoteNeedsAnOverlay) {
  const auto frame =
      Packet("02:00:00:00:00:0a > 02:00:00:00:00:0c").ip("10.0.0.1 > 10.0.0.3").udp(1, 2).frame();
  EXPECT_EQ(from_a(frame), "drop no_tunnel");
  ASSERT_TRUE(shell("ip link add vx0 type vxlan external dstport 4789"));
  ASSERT_TRUE(
      world->the_switch().map_put(host::Map::kOverlay, host::bytes_of(0u), host::bytes_of(77u)));
  EXPECT_EQ(from_a(frame), "redirect");
  EXPECT_EQ(world->counter(PS_COUNT_REMOTE), 1u);
}

TEST_F(Spoof, TooBigIsAnswered) {
  world->entry(kA).mtu = 1400;
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1, 2).payload(1372).frame()), "redirect");
  const auto four = world->from_vm(kA, Packet(kAToB).ip(kIpAToB).udp(1, 2).payload(1373).frame());
  EXPECT_EQ(four.action, "redirect");
  EXPECT_EQ(four.reason, "too_big");
  EXPECT_EQ(describe(four.frame),
            "02:00:00:00:00:0b > 02:00:00:00:00:0a ip4 10.0.0.2 > 10.0.0.1 icmp type 3 code 4 mtu "
            "1400 about "
            "[ip4 10.0.0.1 > 10.0.0.2 udp 1 > 2]");
  const auto six = world->from_vm(kA, Packet(kAToB).ip(kIp6AToB).udp(1, 2).payload(1373).frame());
  EXPECT_EQ(describe(six.frame),
            "02:00:00:00:00:0b > 02:00:00:00:00:0a ip6 fd00::2 > fd00::1 icmpv6 type 2 code 0 mtu "
            "1400 about "
            "[ip6 fd00::1 > fd00::2 udp 1 > 2]");
}

TEST_F(Spoof, EgressPassesWhatCameThroughOurProgramsAndTheHostsAnswers) {
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(world->to_vm(kA, tcp_b_to_a(1, 2, SYN), PS_MARK_JUDGED).text(), "pass");
  EXPECT_EQ(world->to_vm(kA, tcp_b_to_a(1, 2, SYN), PS_MARK_HOST).text(), "pass");
  EXPECT_EQ(world->to_vm(kA, tcp_b_to_a(1, 2, SYN)).text(), "drop policy_deny");
}

TEST_F(Spoof, OverlayFramesNeedATunnel) {
  EXPECT_EQ(
      world->run(host::Program::kFromOverlay, world->ifindex(kA), tcp_a_to_b(1, 2, SYN)).text(),
      "drop no_tunnel");
}

}  // namespace
}  // namespace penstock::packets
