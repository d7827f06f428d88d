// ARP, neighbour discovery, router messages, DHCP, group membership, broadcasts.
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using Control = TwoPorts;
constexpr auto kBroadcast = "02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff";
constexpr auto kSolicited = "02:00:00:00:00:0a > 33:33:ff:00:00:02";

TEST_F(Control, ArpIsAnsweredByTheSwitch) {
  const auto answer = world->from_vm(kA, arp_request(kBroadcast, "10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(answer.text(), "redirect");
  EXPECT_EQ(
      describe(answer.frame),
      "02:00:00:00:00:0b > 02:00:00:00:00:0a arp reply 10.0.0.2 is 02:00:00:00:00:0b to 10.0.0.1 "
      "02:00:00:00:00:0a");
  EXPECT_EQ(world->counter(PS_COUNT_ARP_ANSWERED), 1u);
}

TEST_F(Control, ArpForTheGatewayAndForOtherHosts) {
  EXPECT_NE(describe(world->from_vm(kA, arp_request(kBroadcast, "10.0.0.1", "10.0.0.254")).frame)
                .find("reply 10.0.0.254 is 02:00:00:00:00:fe"),
            std::string::npos);
  EXPECT_NE(describe(world->from_vm(kA, arp_request(kBroadcast, "10.0.0.1", "10.0.0.3")).frame)
                .find("reply 10.0.0.3 is 02:00:00:00:00:0c"),
            std::string::npos);
}

TEST_F(Control, ArpProbesOfTheOwnAddressGetNoAnswer) {
  // An answer would tell the guest that its address is a duplicate (RFC 5227).
  EXPECT_EQ(from_a(arp_request(kBroadcast, "0.0.0.0", "10.0.0.1")), "drop own_address");
  EXPECT_EQ(from_a(arp_request(kBroadcast, "10.0.0.1", "10.0.0.1")), "drop own_address");
  EXPECT_EQ(from_a(arp_request(kBroadcast, "0.0.0.0", "10.0.0.2")), "redirect");
}

TEST_F(Control, ArpLiesAreDropped) {
  EXPECT_EQ(from_a(arp_request(kBroadcast, "10.0.0.2", "10.0.0.3")), "drop spoofed_arp");
  EXPECT_EQ(from_a(arp_request(kBroadcast, "10.0.0.1", "10.0.0.2", kMacB)), "drop spoofed_arp");
  EXPECT_EQ(from_a(arp_reply(kAToB, "10.0.0.2", "10.0.0.2")), "drop spoofed_arp");
  EXPECT_EQ(from_a(arp_reply(kAToB, "10.0.0.1", "10.0.0.2")), "drop own_address");
  EXPECT_EQ(from_a(arp_request(kBroadcast, "10.0.0.1", "10.0.0.99")), "drop arp_unknown");
}

TEST_F(Control, NeighborSolicitationIsAnswered) {
  const auto answer = world->from_vm(
      kA, neighbor_solicitation(kSolicited, "fd00::1 > ff02::1:ff00:2", "fd00::2", kMacA));
  EXPECT_EQ(answer.text(), "redirect");
  EXPECT_EQ(describe(answer.frame),
            "02:00:00:00:00:0b > 02:00:00:00:00:0a ip6 fd00::2 > fd00::1 icmpv6 type 136 code 0 "
            "target fd00::2 flags 6 "
            "mac 02:00:00:00:00:0b");
}

TEST_F(Control, DuplicateAddressDetection) {
  // Own address: silence means that it is free. Somebody else's: the owner's advertisement goes to
  // all nodes.
  EXPECT_EQ(from_a(neighbor_solicitation(kSolicited, ":: > ff02::1:ff00:1", "fd00::1", "")),
            "drop own_address");
  const auto taken =
      world->from_vm(kA, neighbor_solicitation(kSolicited, ":: > ff02::1:ff00:2", "fd00::2", ""));
  EXPECT_EQ(describe(taken.frame),
            "02:00:00:00:00:0b > 33:33:00:00:00:01 ip6 fd00::2 > ff02::1 icmpv6 type 136 code 0 "
            "target fd00::2 flags 2 "
            "mac 02:00:00:00:00:0b");
}

TEST_F(Control, NeighborLiesAreDropped) {
  EXPECT_EQ(from_a(neighbor_solicitation(kSolicited, "fd00::1 > ff02::1:ff00:2", "fd00::2", kMacB)),
            "drop spoofed_nd");
  EXPECT_EQ(from_a(neighbor_solicitation(kSolicited, "fd00::1 > ff02::1:ff00:9", "fd00::9", kMacA)),
            "drop nd_unknown");
  EXPECT_EQ(from_a(neighbor_advertisement(kAToB, kIp6AToB, "fd00::2", kMacA)), "drop spoofed_nd");
  EXPECT_EQ(from_a(neighbor_advertisement(kAToB, kIp6AToB, "fd00::1", kMacB)), "drop spoofed_nd");
  EXPECT_EQ(from_a(neighbor_advertisement(kAToB, kIp6AToB, "fd00::1", kMacA)), "drop own_address");
  // A hop limit below 255 means that a router forwarded it: not genuine.
  EXPECT_EQ(
      from_a(Packet(kSolicited).ip("fd00::1 > fd00::2").hops(64).icmp(135, 0).payload(16).frame()),
      "drop malformed");
}

TEST_F(Control, DiscoveryBehindExtensionHeadersIsStillDiscovery) {
  EXPECT_EQ(from_a(Packet(kAToB)
                       .ip("fd00::1 > fd00::2")
                       .hops(255)
                       .extension(60)
                       .icmp(134, 0)
                       .payload(8)
                       .frame()),
            "drop rogue_ra");
}

TEST_F(Control, RoutersAndDhcpServersMustBeAllowed) {
  const auto advertisement =
      Packet(kAToB).ip("fe80::1 > fd00::2").hops(255).icmp(134, 0).payload(8).frame();
  const auto offer = Packet(kAToB).ip(kIpAToB).udp(67, 68).payload(240).frame();
  const auto reply6 = Packet(kAToB).ip("fe80::1 > fd00::2").udp(547, 546).payload(20).frame();
  EXPECT_EQ(from_a(advertisement), "drop rogue_ra");
  EXPECT_EQ(from_a(offer), "drop rogue_dhcp");
  EXPECT_EQ(from_a(reply6), "drop rogue_dhcp");
  const auto odd_offer = Packet(kAToB).ip(kIpAToB).udp(1067, 68).payload(240).frame();
  const auto odd_reply6 = Packet(kAToB).ip("fe80::1 > fd00::2").udp(1547, 546).payload(20).frame();
  const auto first =
      Packet(kAToB).ip(kIpAToB).fragment(5, 0, true).udp(1067, 68).payload(240).frame();
  EXPECT_EQ(from_a(odd_offer), "drop rogue_dhcp") << "clients do not ask for the source port";
  EXPECT_EQ(from_a(odd_reply6), "drop rogue_dhcp");
  EXPECT_EQ(from_a(first), "drop rogue_dhcp");
  world->entry(kA).flags |= PS_PORT_ROUTER | PS_PORT_DHCP_SERVER;
  EXPECT_EQ(from_a(advertisement), "redirect");
  EXPECT_EQ(from_a(offer), "redirect");
  EXPECT_EQ(from_a(reply6), "redirect");
  EXPECT_EQ(from_a(odd_offer), "redirect");
  EXPECT_EQ(from_a(odd_reply6), "redirect");
}

TEST_F(Control, DhcpAndRouterSolicitationsGoToTheHost) {
  std::vector<ps_punted> punted;
  auto ring = world->the_switch().open_punts([&](const ps_punted& p) { punted.push_back(p); });
  ASSERT_TRUE(ring);
  const auto discover =
      Packet(kBroadcast).ip("0.0.0.0 > 255.255.255.255").udp(68, 67).payload(300).frame();
  const auto solicit = Packet("02:00:00:00:00:0a > 33:33:00:01:00:02")
                           .ip("fe80::1 > ff02::1:2")
                           .udp(546, 547)
                           .payload(20)
                           .frame();
  const auto routers = Packet("02:00:00:00:00:0a > 33:33:00:00:00:02")
                           .ip("fe80::1 > ff02::2")
                           .hops(255)
                           .icmp(133, 0)
                           .frame();
  EXPECT_EQ(from_a(discover),
            "drop flooded");  // nobody answers for the host: it is a broadcast like any other
  world->entry(kA).flags |= PS_PORT_PUNT_DHCP | PS_PORT_PUNT_RS;
  // A policy that denies everything does not keep a VM from getting its address.
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_a(discover), "drop punted");
  EXPECT_EQ(from_a(solicit), "drop punted");
  EXPECT_EQ(from_a(routers), "drop punted");
  ASSERT_TRUE((*ring)->consume());
  ASSERT_EQ(punted.size(), 3u);
  EXPECT_EQ(punted[0].kind, PS_PUNT_DHCP4);
  EXPECT_EQ(punted[1].kind, PS_PUNT_DHCP6);
  EXPECT_EQ(punted[2].kind, PS_PUNT_ROUTER_SOLICITATION);
  EXPECT_EQ(punted[0].port_id, kA);
  EXPECT_EQ(punted[0].ifindex, static_cast<std::uint32_t>(world->ifindex(kA)));
  EXPECT_EQ(Frame(punted[0].frame, punted[0].frame + punted[0].length), discover);
}

TEST_F(Control, MembershipReportsEndHere) {
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 01:00:5e:00:00:16")
                       .ip("10.0.0.1 > 224.0.0.22")
                       .protocol(2)
                       .payload(8)
                       .frame()),
            "drop group_membership");
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > 33:33:00:00:00:16")
                       .ip("fd00::1 > ff02::16")
                       .extension(0)
                       .icmp(143, 0)
                       .payload(8)
                       .frame()),
            "drop group_membership");
}

TEST_F(Control, BroadcastsAreCopiedWithinTheNetworkAndItsPolicies) {
  const auto frame =
      Packet(kBroadcast).ip("10.0.0.1 > 10.0.0.255").udp(5000, 5001).payload(8).frame();
  world->add_port({.id = 3, .mac = "02:00:00:00:00:0d", .addresses = {"10.0.0.4"}}, true);
  world->add_port({.id = 4, .vni = 200, .mac = "02:00:00:00:00:0e", .addresses = {"10.0.0.5"}},
                  true);
  world->add_port(
      {.id = 5, .mac = "02:00:00:00:00:0f", .addresses = {"10.0.0.6"}, .flags = PS_PORT_NO_FLOOD},
      true);
  world->fill_flood(100);
  EXPECT_EQ(from_a(frame), "drop flooded");
  EXPECT_EQ(world->counter(PS_COUNT_FLOOD_COPIES), 2u);  // ports 2 and 3; not the sender, 4 nor 5
  EXPECT_EQ(world->the_switch().port_stats(world->slot(3))->packets[PS_IN], 1u);
  EXPECT_EQ(world->the_switch().port_stats(world->slot(4))->packets[PS_IN], 0u);
  EXPECT_EQ(world->the_switch().port_stats(world->slot(5))->packets[PS_IN], 0u);
  world->enable(3, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_a(frame), "drop flooded");
  EXPECT_EQ(world->the_switch().port_stats(world->slot(3))->packets[PS_IN], 1u);
  EXPECT_EQ(world->the_switch().port_stats(world->slot(3))->dropped[PS_IN], 1u);
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_a(frame), "drop policy_deny");
}

TEST_F(Control, CopiesAreCappedAndCounted) {
  auto tunables = World::small();
  tunables.flood_copies_max = 2;
  start(tunables);
  for (std::uint32_t id = 3; id <= 6; ++id)
    world->add_port({.id = id, .mac = "02:00:00:00:01:0" + std::to_string(id), .addresses = {}});
  world->fill_flood(100);
  EXPECT_EQ(from_a(Packet(kBroadcast).ip("10.0.0.1 > 10.0.0.255").udp(1, 2).frame()),
            "drop flooded");
  EXPECT_EQ(world->counter(PS_COUNT_FLOOD_COPIES), 2u);
  EXPECT_EQ(world->counter(PS_COUNT_FLOOD_CAPPED), 3u);
}

TEST_F(Control, BroadcastInAnUnknownNetworkIsCounted) {
  world->add_port({.id = 3, .vni = 300, .mac = "02:00:00:00:00:0d", .addresses = {"10.0.0.4"}});
  EXPECT_EQ(world
                ->from_vm(3, Packet("02:00:00:00:00:0d > ff:ff:ff:ff:ff:ff")
                                 .ip("10.0.0.4 > 10.0.0.255")
                                 .udp(1, 2)
                                 .frame())
                .text(),
            "drop flood_empty");
}

}  // namespace
}  // namespace penstock::packets
