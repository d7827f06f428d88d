// The programs on real devices: VMs are network namespaces behind veths, and send with the kernel's
// own stack.
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/ensure.h"
#include "tests/packets/devices.h"

namespace penstock::packets {
namespace {

class Devices : public testing::Test {
 protected:
  void SetUp() override { start(); }
  void start() {
    auto made = World::make(World::small());
    ASSERT_TRUE(made) << made.error().text();
    world = std::move(*made);
    private_netns_folder();
    add_vm(*world, {.id = 1, .mac = kMacA, .addresses = {"10.0.0.1", "fd00::1"}});
    add_vm(*world, {.id = 2, .mac = kMacB, .addresses = {"10.0.0.2", "fd00::2"}});
  }
  std::unique_ptr<World> world;
};

TEST_F(Devices, LocalDeliveryWithoutAndWithAFirewall) {
  EXPECT_TRUE(ping(1, "10.0.0.2"));
  EXPECT_TRUE(ping(1, "fd00::2"));
  EXPECT_TRUE(transfer(1, 2, "10.0.0.2", 8080, 20));
  EXPECT_EQ(world->flows(), 0u);
  const auto line =
      world->policy(rules(Action::kReject, {tcp_port(Action::kAllow, 8080), echo(Action::kAllow)}));
  for (const auto port : {kA, kB})
    for (const auto direction : {PS_OUT, PS_IN}) world->enable(port, direction, line);
  EXPECT_TRUE(ping(1, "10.0.0.2"));
  EXPECT_FALSE(ping(1, "fd00::2", "-c 1 -W 1")) << "only IPv4 echo is allowed";
  EXPECT_TRUE(transfer(1, 2, "10.0.0.2", 8080, 20));
  EXPECT_TRUE(transfer(1, 2, "fd00::2", 8080, 5));
  EXPECT_FALSE(transfer(1, 2, "10.0.0.2", 8081, 1));
  EXPECT_GT(world->counter(PS_COUNT_REJECT_SENT), 0u);
}

TEST_F(Devices, RejectEndsTheAttemptAtOnce) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kReject)));
  // nc would wait 5 s for an answer; timeout says 124 when it had to end it.
  EXPECT_TRUE(shell(
      "timeout 2 ip netns exec v1 nc -w 5 10.0.0.2 22 </dev/null >/dev/null 2>&1; [ $? = 1 ]"));
  EXPECT_TRUE(shell(
      "timeout 2 ip netns exec v1 nc -w 5 fd00::2 22 </dev/null >/dev/null 2>&1; [ $? = 1 ]"));
}

TEST_F(Devices, BroadcastsReachTheOthers) {
  world->fill_flood(100);
  EXPECT_TRUE(shell("ip netns exec v2 sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0"));
  EXPECT_TRUE(ping(1, "10.0.0.255", "-b -c 2 -i 0.02 -W 1"));
}

TEST_F(Devices, NewProgramsTakeOverWithoutLosingAPacket) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny, {echo(Action::kAllow)})));
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_TRUE(ping(1, "10.0.0.2"));
  const auto flows = world->flows();
  EXPECT_GT(flows, 0u);
  const auto before = world->the_switch().attachments();
  ASSERT_TRUE(before);
  EXPECT_EQ(before->size(), 4u);
  // -f -i 0.002: 1,000 packets within two seconds, through a restart that keeps maps, policies and
  // flows.
  ASSERT_TRUE(shell(
      "ip netns exec v1 ping -q -i 0.002 -c 1000 -W 1 10.0.0.2 > /run/netns/ping.txt 2>&1 &"));
  ASSERT_TRUE(world->restart());
  EXPECT_EQ(*world->the_switch().attachments(), *before);
  EXPECT_GE(world->flows(), flows);
  ASSERT_TRUE(shell(
      "for i in $(seq 300); do grep -q received /run/netns/ping.txt && break; sleep 0.1; done"));
  EXPECT_TRUE(
      shell("grep -q '1000 received' /run/netns/ping.txt || { cat /run/netns/ping.txt; false; }"));
}

TEST_F(Devices, DetachAndDevicesThatGo) {
  auto& sw = world->the_switch();
  ASSERT_TRUE(sw.detach({world->ifindex(kA), host::Program::kFromPort}));
  ASSERT_TRUE(sw.detach({world->ifindex(kA), host::Program::kFromPort})) << "twice changes nothing";
  EXPECT_EQ(sw.attachments()->size(), 3u);
  for (int twice = 0; twice < 2; ++twice) {
    const auto attached = sw.attach({world->ifindex(kA), host::Program::kFromPort});
    ASSERT_TRUE(attached) << attached.error().text();
  }
  EXPECT_EQ(sw.attachments()->size(), 4u);
  ASSERT_TRUE(shell("ip link del vm1"));
  EXPECT_EQ(sw.attachments()->size(), 2u);
  EXPECT_EQ(sw.attach({99999, host::Program::kFromPort}).error().code, Code::kNotFound);
}

TEST_F(Devices, ClassicFiltersWorkWhereTcxIsMissing) {
  ASSERT_TRUE(world->restart(host::AttachMethod::kClsact));
  auto& sw = world->the_switch();
  ASSERT_TRUE(shell("rm -f " + world->directory() + "/links/*"));
  bool silent = false;  // the kernel takes a link off some time after its last pin is gone
  for (int i = 0; i < 10 && !silent; ++i) silent = !ping(1, "10.0.0.2", "-c 1 -W 1");
  EXPECT_TRUE(silent) << "no program, no switch";
  for (const auto port : {kA, kB})
    for (const auto program : {host::Program::kFromPort, host::Program::kToPort})
      ASSERT_TRUE(sw.attach({world->ifindex(port), program}));
  EXPECT_TRUE(ping(1, "10.0.0.2"));
  EXPECT_EQ(sw.attachments()->size(), 4u);
  ASSERT_TRUE(world->restart(host::AttachMethod::kClsact));
  EXPECT_EQ(world->the_switch().attachments()->size(), 4u)
      << "a restart replaces the filters in place";
  EXPECT_TRUE(ping(1, "10.0.0.2"));
  ASSERT_TRUE(world->the_switch().detach({world->ifindex(kA), host::Program::kFromPort}));
  EXPECT_EQ(world->the_switch().attachments()->size(), 3u);
}

TEST(VerifierBudget, ProgramsStayFarFromItsLimits) {
  auto made = World::make(World::small());
  ASSERT_TRUE(made) << made.error().text();
  const auto counts = (*made)->the_switch().verified_instructions();
  ASSERT_TRUE(counts);
  // The limit is a million; growth past this deserves a look, because loading time grows with it.
  for (const auto& [name, count] : *counts) {
    EXPECT_GT(count, 0u) << name;
    EXPECT_LT(count, 150'000u) << name;
  }
}

// The tracing build in place of the other: traffic goes on, records come, and the next switch puts
// its own programs back whatever became of this one.
TEST_F(Devices, LiveTraceInPlaceAndBack) {
  for (const auto method : {host::AttachMethod::kTcx, host::AttachMethod::kClsact}) {
    SCOPED_TRACE(static_cast<int>(method));
    // Attached the one way and no longer the other.
    for (const auto port : {kA, kB})
      for (const auto program : {host::Program::kFromPort, host::Program::kToPort})
        ASSERT_TRUE(world->the_switch().detach({world->ifindex(port), program}));
    ASSERT_TRUE(world->restart(method));
    for (const auto port : {kA, kB})
      for (const auto program : {host::Program::kFromPort, host::Program::kToPort})
        ASSERT_TRUE(world->the_switch().attach({world->ifindex(port), program}));
    const auto line = world->policy(rules(Action::kDeny, {echo(Action::kAllow)}));
    world->enable(kA, PS_OUT, line);
    auto live = host::TraceSwitch::open(world->the_switch(), World::small(),
                                        host::TraceSwitch::Kind::kLive);
    ASSERT_TRUE(live) << live.error().text();
    std::vector<ps_trace> seen;
    auto ring = (*live)->open_records([&](const ps_trace& said) { seen.push_back(said); });
    ASSERT_TRUE(ring);
    host::TraceFilter filter{.vni = Vni(100)};
    filter.address = {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("10.0.0.2")};
    filter.most = 3;
    ASSERT_TRUE((*live)->watch_for(host::trace_order(filter, 9)));
    const auto attached = *world->the_switch().attachments();
    for (const auto at : attached) {
      const auto lent = world->the_switch().lend(at, (*live)->program_fd(at.program));
      ASSERT_TRUE(lent) << lent.error().text();
    }
    // An audit sees no difference.
    EXPECT_EQ(*world->the_switch().attachments(), attached);
    EXPECT_TRUE(ping(1, "10.0.0.2", "-c 4 -i 0.02 -W 1"));
    EXPECT_FALSE(ping(1, "fd00::2", "-c 1 -W 1")) << "the policy holds";
    ASSERT_TRUE((*ring)->consume());
    ASSERT_EQ(seen.size(), 3u) << "of eight packets, as many as asked for";
    EXPECT_EQ(seen[0].order, 9u);
    EXPECT_EQ(seen[0].program, PS_TRACED_FROM_PORT);
    EXPECT_EQ(seen[0].ifindex, static_cast<std::uint32_t>(world->ifindex(kA)));
    EXPECT_EQ(seen[1].ifindex, static_cast<std::uint32_t>(world->ifindex(kB)));
    EXPECT_GT(world->flows(), 0u) << "real packets have their effects";
    for (const auto at : attached) ASSERT_TRUE(world->the_switch().take_back(at));
    EXPECT_EQ(*world->the_switch().attachments(), attached);
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    // Killed while they were lent.
    for (const auto at : attached)
      ASSERT_TRUE(world->the_switch().lend(at, (*live)->program_fd(at.program)));
    ring->reset();
    live->reset();
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    ASSERT_TRUE(world->restart(method));
    EXPECT_EQ(*world->the_switch().attachments(), attached);
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    EXPECT_FALSE(ping(1, "fd00::2", "-c 1 -W 1"));
  }
}

}  // namespace
}  // namespace penstock::packets
