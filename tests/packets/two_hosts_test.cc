// Two hosts, the kernel's vxlan device between them, over an IPv4 and over an IPv6 underlay.
#include <map>

#include <fmt/format.h>

#include "tests/packets/devices.h"

namespace penstock::packets {
namespace {

class TwoHosts : public testing::TestWithParam<Family> {
 protected:
  TwoHostsSpec spec() const {
    TwoHostsSpec out;
    out.underlay = GetParam();
    return out;
  }
};

void serve(int port) {
  for (const auto* family : {"-4", "-6"})
    shell(fmt::format("ip netns exec v2 nc {} -lk {} >/dev/null & echo $! >> /run/netns/pids",
                      family, port));
  shell("sleep 0.3");
}

bool sends(const std::string& address, int port, int megabytes) {
  return shell(fmt::format(
      "head -c {} /dev/zero | timeout 8 ip netns exec v1 nc -N -w 3 {} {} >/dev/null 2>&1",
      megabytes << 20, address, port));
}

// What ping says about the answer it got instead of a reply.
bool ping_is_told(const std::string& address, const std::string& options,
                  const std::string& answer) {
  return shell(
      fmt::format("ip netns exec v1 ping -c 1 -W 1 {} {} > /run/netns/told 2>&1; grep -q '{}' "
                  "/run/netns/told || {{ cat /run/netns/told; false; }}",
                  options, address, answer));
}

TEST_P(TwoHosts, MeetThroughBothFirewalls) {
  auto two = spec();
  two.far_begins = [](World& world) {
    world.enable(2, PS_IN,
                 world.policy(rules(Action::kReject,
                                    {tcp_port(Action::kAllow, 8080), echo(Action::kAllow)})));
    shell("ip netns exec v2 sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0");
    serve(8080);
  };
  two.near = [](World& world) {
    world.enable(1, PS_OUT, world.policy(rules(Action::kAllow)));
    world.enable(1, PS_IN, world.policy(rules(Action::kDeny)));
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    EXPECT_FALSE(ping(1, "fd00::2", "-c 1 -W 1")) << "only IPv4 echo is allowed";
    EXPECT_TRUE(sends("10.0.0.2", 8080, 10));
    // The reset of the other host's firewall comes back through the tunnel and passes ours as part
    // of the flow.
    for (const auto* address : {"10.0.0.2", "fd00::2"})
      EXPECT_TRUE(
          shell(fmt::format("timeout 2 ip netns exec v1 nc -w 5 {} 22 </dev/null "
                            ">/dev/null 2>&1; [ $? = 1 ]",
                            address)));
    // The answer to a broadcast comes from an address that was not asked: no flow knows it.
    world.enable(1, PS_IN, 0);
    EXPECT_TRUE(ping(1, "10.0.0.255", "-b -c 2 -i 0.02 -W 1")) << "broadcast";
    EXPECT_GT(world.counter(PS_COUNT_REMOTE), 0u);
  };
  on_two_hosts(two);
}

TEST_P(TwoHosts, LargeSegmentsCrossAndNothingIsDropped) {
  auto two = spec();
  two.far_begins = [](World&) { serve(8080); };
  two.near = [](World& world) {
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    EXPECT_TRUE(ping(1, "fd00::2"));
    // What the kernel sent of its own before both ends of the veth were up does not count.
    std::map<std::string, std::uint64_t> lost;
    const auto each_loss = [&](const auto& seen) {
      for (const auto* device : {"u0", "vx0"})
        for (const auto* counter : {"tx.dropped", "tx.errors", "rx.dropped", "rx.errors"})
          seen(fmt::format("{} {}", device, counter), device_counter(device, counter));
    };
    each_loss([&](const std::string& what, std::uint64_t n) { lost[what] = n; });
    EXPECT_TRUE(sends("10.0.0.2", 8080, 20));
    EXPECT_TRUE(sends("fd00::2", 8080, 20));
    EXPECT_EQ(drops_of(world), "");
    each_loss([&](const std::string& what, std::uint64_t n) { EXPECT_EQ(n, lost[what]) << what; });
    // Cut to the MTU it would be more than 29,000.
    EXPECT_LT(device_counter("u0", "tx.packets"), 8'000u) << "large segments";
  };
  two.far_ends = [](World& world) {
    const auto drops = drops_of(world);
    if (!drops.empty()) fmt::print(stderr, "the other host dropped {}\n", drops);
    return drops.empty();
  };
  on_two_hosts(two);
}

TEST_P(TwoHosts, TheMtuLeavesRoomForExactlyTheHeaders) {
  auto two = spec();
  two.underlay_mtu = 1500;
  const int mtu = 1500 - overhead(GetParam());
  two.populate = [&](World& world, int number) {
    auto vm = vm_of_host(number);
    vm.mtu = static_cast<std::uint16_t>(mtu);
    add_vm(world, vm);
  };
  two.near = [&](World&) {
    for (const auto& [address, headers, said] :
         {std::tuple{"10.0.0.2", 28, fmt::format("mtu = {}", mtu)},
          std::tuple{"fd00::2", 48, fmt::format("mtu={}", mtu)}}) {
      EXPECT_TRUE(ping(1, address, fmt::format("-M do -s {} -c 2 -i 0.02 -W 1", mtu - headers)))
          << address << ": as large as can be";
      EXPECT_TRUE(ping_is_told(address, fmt::format("-M do -s {}", mtu - headers + 1), said));
    }
  };
  on_two_hosts(two);
}

TEST_P(TwoHosts, ErrorsOfTheReceivingHostReachTheSender) {
  auto two = spec();
  two.populate = [](World& world, int number) {
    auto vm = vm_of_host(number);
    vm.mtu = number == 2 ? 1300 : 1450;  // the other host has heard of a change first
    add_vm(world, vm);
  };
  two.far_begins = [](World& world) {
    world.enable(2, PS_IN, world.policy(rules(Action::kReject, {udp_port(Action::kAllow, 9)})));
  };
  two.near = [](World& world) {
    EXPECT_TRUE(ping_is_told("10.0.0.2", "", "Packet filtered"));
    EXPECT_TRUE(ping_is_told("fd00::2", "", "Administratively prohibited"));
    EXPECT_TRUE(ping_is_told("10.0.0.2", "-M do -s 1400", "mtu = 1300"));
    EXPECT_TRUE(ping_is_told("fd00::2", "-M do -s 1400", "mtu=1300"));
    EXPECT_EQ(drops_of(world), "");
  };
  on_two_hosts(two);
}

TEST_P(TwoHosts, MulticastReachesTheOtherHost) {
  auto two = spec();
  two.near = [](World& world) {
    EXPECT_TRUE(ping(1, "ff02::1%vm1x", "-c 2 -i 0.1 -W 1"));
    EXPECT_GT(world.counter(PS_COUNT_FLOOD_COPIES), 0u);
  };
  two.far_ends = [](World& world) { return world.counter(PS_COUNT_FLOOD_COPIES) > 0; };
  on_two_hosts(two);
}

INSTANTIATE_TEST_SUITE_P(Underlay, TwoHosts, testing::Values(Family::kV4, Family::kV6),
                         [](const auto& info) { return info.param == Family::kV4 ? "v4" : "v6"; });

}  // namespace
}  // namespace penstock::packets
