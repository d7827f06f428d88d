// What other hosts send, and what only pretends to come from one.
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

constexpr auto kFar = "02:00:00:00:00:0f";  // behind kHost, 10.0.0.9
constexpr auto kFarToA = "02:00:00:00:00:0f > 02:00:00:00:00:0a";
constexpr auto kHost = "192.0.2.9", kOther = "192.0.2.8", kHost6 = "2001:db8::9";

class FromOverlay : public TwoPorts {
 protected:
  void SetUp() override {
    TwoPorts::SetUp();
    if (HasFatalFailure()) return;
    world->add_remote(100, kFar, "10.0.0.9", kHost);
  }
  Frame far_to_a(std::string_view macs = kFarToA) {
    return Packet(macs).ip("10.0.0.9 > 10.0.0.1").udp(53, 4000).payload(20).frame();
  }
};

TEST_F(FromOverlay, AFrameFromTheHostOfItsSenderIsDelivered) {
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a()).text(), "redirect");
  EXPECT_EQ(world->from_overlay(100, "", far_to_a()).text(), "drop no_tunnel");
}

TEST_F(FromOverlay, ForgedOuterSource) {
  EXPECT_EQ(world->from_overlay(100, "203.0.113.7", far_to_a()).text(), "drop forged_tunnel");
  EXPECT_EQ(world->from_overlay(100, "::c000:209", far_to_a()).text(), "drop forged_tunnel")
      << "the same bits in the other family";
  // Another host of the same network has no business with that MAC either.
  world->add_remote(100, "02:00:00:00:00:0e", "10.0.0.8", kOther);
  EXPECT_EQ(world->from_overlay(100, kOther, far_to_a()).text(), "drop forged_tunnel");
}

TEST_F(FromOverlay, ForgedInnerSource) {
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a(kBToA)).text(), "drop forged_tunnel")
      << "the MAC of a port of this host";
  EXPECT_EQ(
      world->from_overlay(100, kHost, far_to_a("02:00:00:00:00:77 > 02:00:00:00:00:0a")).text(),
      "drop forged_tunnel")
      << "a MAC that nobody has";
  world->add_gateway(100, "02:00:00:00:00:fe", "10.0.0.254");
  EXPECT_EQ(
      world->from_overlay(100, kHost, far_to_a("02:00:00:00:00:fe > 02:00:00:00:00:0a")).text(),
      "drop forged_tunnel")
      << "every host has the gateway itself";
}

TEST_F(FromOverlay, UnknownNetworkAndTheOneOfAnotherTenant) {
  EXPECT_EQ(world->from_overlay(4711, kHost, far_to_a()).text(), "drop forged_tunnel");
  world->add_port({.id = 7, .vni = 200, .mac = kMacA, .addresses = {"10.0.0.1"}});
  EXPECT_EQ(world->from_overlay(200, kHost, far_to_a()).text(), "drop forged_tunnel")
      << "equal MACs and addresses, but the sender is not of this network";
  world->add_remote(200, kFar, "10.0.0.9", kOther);
  EXPECT_EQ(world->from_overlay(200, kHost, far_to_a()).text(), "drop forged_tunnel");
  EXPECT_EQ(world->from_overlay(200, kOther, far_to_a()).text(), "redirect");
}

TEST_F(FromOverlay, BroadcastsAreCheckedToo) {
  world->fill_flood(100);
  const auto frame =
      Packet("02:00:00:00:00:0f > ff:ff:ff:ff:ff:ff").ip("10.0.0.9 > 10.0.0.255").udp(1, 2).frame();
  EXPECT_EQ(world->from_overlay(100, "203.0.113.7", frame).text(), "drop forged_tunnel");
  EXPECT_EQ(world->counter(PS_COUNT_FLOOD_COPIES), 0u);
  EXPECT_EQ(world->from_overlay(100, kHost, frame).text(), "drop flooded");
}

TEST_F(FromOverlay, AVmThatMovesIsHeardFromBothPlaces) {
  const auto line = world->policy(rules(Action::kAllow));
  world->enable(kA, PS_IN, line);
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a()).text(), "redirect");
  world->add_remote(100, kFar, "10.0.0.9", kOther, kHost);  // the news of its move
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a()).text(), "redirect") << "still on its way";
  EXPECT_EQ(world->from_overlay(100, kOther, far_to_a()).text(), "redirect");
  EXPECT_EQ(world->from_overlay(100, kHost6, far_to_a()).text(), "drop forged_tunnel");
  world->add_remote(100, kFar, "10.0.0.9", kOther);  // a while later
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a()).text(), "drop forged_tunnel");
  EXPECT_EQ(world->from_overlay(100, kOther, far_to_a()).text(), "redirect");
}

TEST_F(FromOverlay, HostsWithIpv6Underlay) {
  world->add_remote(100, kFar, "10.0.0.9", kHost6);
  EXPECT_EQ(world->from_overlay(100, kHost6, far_to_a()).text(), "redirect");
  EXPECT_EQ(world->from_overlay(100, "2001:db8::8", far_to_a()).text(), "drop forged_tunnel");
  EXPECT_EQ(world->from_overlay(100, kHost, far_to_a()).text(), "drop forged_tunnel");
}

}  // namespace
}  // namespace penstock::packets
