// Ports on TAP devices, as virtual machines have them: frames go in and out with their virtio
// headers, large segments and open checksums included.
#include <sys/socket.h>

#include <fmt/format.h>

#include "host/linux/frame_sender.h"
#include "tests/packets/devices.h"
#include "tests/packets/tap.h"

namespace penstock::packets {
namespace {

constexpr std::uint16_t kSegment = 1200;

Frame tcp(bool six, std::size_t payload, std::uint16_t port = 8080, std::uint8_t flags = ACK) {
  return Packet(kAToB)
      .ip(six ? kIp6AToB : kIpAToB)
      .tcp(40'000, port, flags)
      .payload(payload)
      .frame();
}
Frame udp(bool six, std::size_t payload, std::uint16_t port = 8080) {
  return Packet(kAToB).ip(six ? kIp6AToB : kIpAToB).udp(40'000, port).payload(payload).frame();
}

// The frame came through whole: large, as it was sent, its checksum left open as it was.
void expect_same(const std::optional<GuestFrame>& got, const GuestFrame& sent) {
  ASSERT_TRUE(got) << "nothing came";
  EXPECT_EQ(got->frame, sent.frame);
  EXPECT_EQ(got->header.flags & kNeedsChecksum, sent.header.flags & kNeedsChecksum);
  EXPECT_EQ(got->header.csum_start, sent.header.csum_start);
  EXPECT_EQ(got->header.csum_offset, sent.header.csum_offset);
  EXPECT_EQ(got->header.gso_type, sent.header.gso_type);
  EXPECT_EQ(got->header.gso_size, sent.header.gso_size);
}

// The next frame that is one: a namespace's own stack looks for the sender of what it did not ask
// for, and resets it.
std::optional<GuestFrame> large(auto& device) {
  auto got = device.receive();
  while (got && got->frame.size() < 1'000) got = device.receive();
  return got;
}

class Taps : public testing::Test {
 protected:
  void start(bool b_takes_offloads = true) {
    auto made = World::make(World::small());
    ASSERT_TRUE(made) << made.error().text();
    world = std::move(*made);
    private_netns_folder();
    a.emplace("tapa", true);
    b.emplace("tapb", b_takes_offloads);
    world->add_port_on(
        "tapa", {.id = 1, .mac = kMacA, .addresses = {"10.0.0.1", "fd00::1"}, .mtu = 1450}, true);
    world->add_port_on(
        "tapb", {.id = 2, .mac = kMacB, .addresses = {"10.0.0.2", "fd00::2"}, .mtu = 1450}, true);
    world->fill_flood(100);
  }
  std::unique_ptr<World> world;
  std::optional<Tap> a, b;
};

TEST_F(Taps, LargeSegmentsAndOpenChecksumsReachAnotherTap) {
  start();
  for (const bool six : {false, true}) {
    for (const auto& frame :
         {GuestFrame{{}, tcp(six, 100)}, to_be_summed(tcp(six, 100)), to_be_summed(udp(six, 100)),
          to_be_segmented(tcp(six, 30'000), kSegment),
          to_be_segmented(tcp(six, 1'300), kSegment)}) {
      a->send(frame);
      expect_same(b->receive(), frame);
    }
  }
  EXPECT_EQ(drops_of(*world), "");
  EXPECT_FALSE(b->receive(50)) << "nothing came twice";
}

TEST_F(Taps, AGuestWithoutOffloadsGetsSegmentsWithRightChecksums) {
  start(false);
  for (const bool six : {false, true}) {
    a->send(to_be_segmented(tcp(six, 30'000), kSegment));
    std::size_t payload = 0;
    for (auto got = b->receive(); got; got = b->receive(100)) {
      EXPECT_EQ(got->header.flags, 0);
      EXPECT_EQ(got->header.gso_type, kWhole);
      EXPECT_EQ(describe(got->frame).find("checksum"), std::string::npos) << describe(got->frame);
      EXPECT_LE(got->frame.size(), 14u + 1450u);
      payload += got->frame.size() - 14 - (six ? 40 : 20) - 20;
    }
    EXPECT_EQ(payload, 30'000u);
    a->send(to_be_summed(udp(six, 77)));
    const auto got = b->receive();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->frame, udp(six, 77));
  }
}

TEST_F(Taps, AFirewallLetsLargeSegmentsOfItsFlowsPassAndNothingElse) {
  start();
  const auto line = world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 8080)}));
  for (const auto port : {kA, kB})
    for (const auto direction : {PS_OUT, PS_IN}) world->enable(port, direction, line);
  for (const bool six : {false, true}) {
    a->send(to_be_summed(tcp(six, 0, 8080, SYN)));
    EXPECT_TRUE(b->receive());
    const auto large = to_be_segmented(tcp(six, 20'000), kSegment);
    a->send(large);
    expect_same(b->receive(), large);
    a->send(to_be_segmented(tcp(six, 20'000, 22), kSegment));
    a->send(to_be_summed(udp(six, 100)));
    a->send(to_be_summed(tcp(six, 0, 22, SYN)));
    EXPECT_FALSE(b->receive(100)) << "denied";
  }
  EXPECT_EQ(drops_of(*world), "policy_deny 6; ");
}

// What did not come through from_port or from_overlay is judged at the device.
TEST_F(Taps, NothingGetsPastTheProgramAtTheDevice) {
  start();
  auto host = host::FrameSender::open(0);
  auto responder = host::FrameSender::open(PS_MARK_HOST);
  ASSERT_TRUE(host && responder);
  const auto bytes = [](const Frame& frame) { return std::as_bytes(std::span(frame)); };
  ASSERT_TRUE(host->send(world->ifindex(kB), bytes(udp(false, 10))));
  EXPECT_TRUE(b->receive()) << "no service, nothing to judge";
  world->enable(kB, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_FALSE(host->send(world->ifindex(kB), bytes(udp(false, 10)))) << "the device refuses it";
  a->send(Packet("02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff")
              .ip("10.0.0.1 > 10.0.0.255")
              .udp(1, 2)
              .frame());
  EXPECT_FALSE(b->receive(100));
  EXPECT_EQ(drops_of(*world), "policy_deny 2; ");
  ASSERT_TRUE(responder->send(world->ifindex(kB), bytes(udp(false, 10))));
  EXPECT_TRUE(b->receive()) << "the host's own answers";
  // A slot out of use lets nothing through in either direction.
  world->enable(kB, PS_IN, 0);
  world->entry(kB).port_id = 0;
  a->send(udp(false, 10));
  EXPECT_FALSE(host->send(world->ifindex(kB), bytes(udp(false, 10))));
  EXPECT_FALSE(b->receive(100));
}

// The guest left the checksum of its SYN to the device. The answer made of that frame must not be
// "completed" by anybody.
TEST_F(Taps, RejectsOfFramesWithOpenChecksumsAreWhole) {
  start();
  world->enable(kA, PS_OUT, world->policy(rules(Action::kReject)));
  for (const bool six : {false, true})
    for (const auto& frame : {to_be_summed(tcp(six, 0, 22, SYN)), to_be_summed(udp(six, 600)),
                              to_be_segmented(tcp(six, 20'000, 22), kSegment)}) {
      a->send(frame);
      const auto got = a->receive();
      ASSERT_TRUE(got) << "no answer";
      EXPECT_EQ(got->header.flags & kNeedsChecksum, 0) << describe(got->frame);
      EXPECT_EQ(got->header.gso_type, kWhole);
      EXPECT_EQ(describe(got->frame).find("checksum"), std::string::npos) << describe(got->frame);
      EXPECT_NE(describe(got->frame).find(six ? kIp6BToA : kIpBToA), std::string::npos)
          << describe(got->frame);
    }
}

TEST_F(Taps, BetweenATapAndAVeth) {
  start();
  add_vm(*world, {.id = 3, .mac = "02:00:00:00:00:0c", .addresses = {"10.0.0.3", "fd00::3"}});
  PacketSocket veth("v3", "vm3x");
  while (veth.receive(200)) {
  }  // the namespace's own chatter
  for (const bool six : {false, true}) {
    const auto there = to_be_segmented(Packet("02:00:00:00:00:0a > 02:00:00:00:00:0c")
                                           .ip(six ? "fd00::1 > fd00::3" : "10.0.0.1 > 10.0.0.3")
                                           .tcp(40'000, 9, ACK)
                                           .payload(30'000)
                                           .frame(),
                                       kSegment);
    a->send(there);
    expect_same(large(veth), there);
    const auto back = to_be_segmented(Packet("02:00:00:00:00:0c > 02:00:00:00:00:0a")
                                          .ip(six ? "fd00::3 > fd00::1" : "10.0.0.3 > 10.0.0.1")
                                          .tcp(9, 40'000, ACK)
                                          .payload(30'000)
                                          .frame(),
                                      kSegment);
    veth.send(back);
    expect_same(large(*a), back);
  }
}

class TapsOverlay : public testing::TestWithParam<Family> {};

TEST_P(TapsOverlay, LargeSegmentsCrossTheOverlay) {
  std::optional<Tap> tap;
  TwoHostsSpec two;
  two.underlay = GetParam();
  two.populate = [&](World& world, int number) {
    tap.emplace("tap0", true);
    world.add_port_on("tap0", vm_of_host(number), true);
  };
  const auto frame_of = [](bool six, std::size_t payload) {
    return Packet("02:00:00:00:00:01 > 02:00:00:00:00:02")
        .ip(six ? "fd00::1 > fd00::2" : "10.0.0.1 > 10.0.0.2")
        .tcp(40'000, 8080, ACK)
        .payload(payload)
        .frame();
  };
  const auto frames = [&] {
    std::vector<GuestFrame> out;
    for (const bool six : {false, true}) {
      out.push_back(to_be_segmented(frame_of(six, 30'000), kSegment));
      out.push_back(to_be_summed(frame_of(six, 200)));
      out.push_back({{}, frame_of(six, 100)});
    }
    return out;
  }();
  two.near = [&](World& world) {
    // The underlay's neighbours are resolved by the first frame.
    for (const auto& frame : frames) {
      tap->send(frame);
      shell("sleep 0.2");
    }
    EXPECT_EQ(drops_of(world), "");
    EXPECT_LT(device_counter("u0", "tx.packets"), 20u) << "large segments";
  };
  two.far_ends = [&](World&) {
    for (const auto& sent : frames) {
      const auto got = tap->receive();
      if (!got || got->frame.size() != sent.frame.size() ||
          got->header.gso_type != sent.header.gso_type ||
          got->header.gso_size != sent.header.gso_size || summed(*got) != summed(sent)) {
        fmt::print(stderr, "wanted {} bytes, gso {}; got {} bytes, gso {} {}\n", sent.frame.size(),
                   sent.header.gso_type, got ? got->frame.size() : 0,
                   got ? got->header.gso_type : 0, got ? describe(got->frame) : "");
        return false;
      }
    }
    return true;
  };
  on_two_hosts(two);
}

INSTANTIATE_TEST_SUITE_P(Underlay, TapsOverlay, testing::Values(Family::kV4, Family::kV6),
                         [](const auto& info) { return info.param == Family::kV4 ? "v4" : "v6"; });

}  // namespace
}  // namespace penstock::packets
