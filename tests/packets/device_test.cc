// The programs on real devices: VMs are network namespaces behind veths, and send with the kernel's
// own stack.
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/ensure.h"
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

// Namespaces made with `ip netns` are bound in a private folder, so nothing is left behind.
void private_netns_folder() {
  ASSERT_TRUE(shell("mkdir -p /run/netns"));
  ASSERT_EQ(mount("none", "/run/netns", "tmpfs", 0, nullptr), 0);
}

// A port whose device's other end is in namespace v<id>, configured as a guest would.
void add_vm(World& world, PortSpec spec) {
  spec.flags |= PS_PORT_PEER;
  world.add_port(spec, true);
  auto command = fmt::format(
      "ip netns add v{0} && ip link set vm{0}x netns v{0} && ip -n v{0} link set lo up && "
      "ip -n v{0} link set vm{0}x address {1} up",
      spec.id, spec.mac);
  for (const auto& address : spec.addresses)
    command += fmt::format(" && ip -n v{0} addr add {1} dev vm{0}x {2}", spec.id,
                           address + (address.find(':') == std::string::npos ? "/24" : "/64"),
                           address.find(':') == std::string::npos ? "" : "nodad");
  ASSERT_TRUE(shell(command));
}

bool ping(std::uint32_t from, const std::string& to,
          const std::string& options = "-c 2 -i 0.02 -W 1") {
  return shell(fmt::format("ip netns exec v{} ping -q {} {} >/dev/null 2>&1", from, options, to));
}

// Sends `megabytes` by TCP; true when all of them arrived. The server ends by itself.
bool transfer(std::uint32_t from, std::uint32_t to, const std::string& address, int port,
              int megabytes) {
  return shell(fmt::format(
      "timeout 10 ip netns exec v{1} nc -l {2} {3} > /run/netns/received & server=$!; sleep 0.3; "
      "head -c {4} /dev/zero | timeout 8 ip netns exec v{0} nc -N -w 2 {2} {3} >/dev/null 2>&1; "
      "kill $server 2>/dev/null; wait $server 2>/dev/null; [ \"$(stat -c %s /run/netns/received)\" "
      "= {4} ]",
      from, to, address, port, megabytes << 20));
}

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
      "for i in $(seq 80); do grep -q received /run/netns/ping.txt && break; sleep 0.1; done"));
  EXPECT_TRUE(
      shell("grep -q '1000 received' /run/netns/ping.txt || { cat /run/netns/ping.txt; false; }"));
}

TEST_F(Devices, DetachAndDevicesThatGo) {
  auto& sw = world->the_switch();
  ASSERT_TRUE(sw.detach({world->ifindex(kA), host::Program::kFromPort}));
  ASSERT_TRUE(sw.detach({world->ifindex(kA), host::Program::kFromPort})) << "twice changes nothing";
  EXPECT_EQ(sw.attachments()->size(), 3u);
  ASSERT_TRUE(sw.attach({world->ifindex(kA), host::Program::kFromPort}));
  ASSERT_TRUE(sw.attach({world->ifindex(kA), host::Program::kFromPort}));
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

void overlay_up(int number, World& world) {
  ensure(shell(fmt::format(
             "ip link set u0 up mtu 1600 && ip addr add 192.0.2.{}/24 dev u0 && "
             "ip link add vx0 type vxlan external dstport 4789 && ip link set vx0 up mtu 1500",
             number)),
         "underlay");
  const auto links = world.index_of("vx0");
  ensure(world.the_switch().map_put(host::Map::kOverlay, host::bytes_of(0u), host::bytes_of(links)),
         "overlay");
  ensure(world.the_switch().attach({static_cast<int>(links), host::Program::kFromOverlay}),
         "attach overlay");
}

// One of two hosts, each with one VM; the underlay is a veth pair.
std::unique_ptr<World> make_host(int number) {
  const int other = 3 - number;
  auto made = World::make(World::small());
  ensure(made, "world of a host");
  auto world = std::move(*made);
  private_netns_folder();
  add_vm(*world,
         {.id = static_cast<std::uint32_t>(number),
          .mac = fmt::format("02:00:00:00:00:0{}", number),
          .addresses = {fmt::format("10.0.0.{}", number), fmt::format("fd00::{}", number)}});
  for (const auto& ip : {fmt::format("10.0.0.{}", other), fmt::format("fd00::{}", other)})
    world->add_remote(100, fmt::format("02:00:00:00:00:0{}", other), ip,
                      fmt::format("192.0.2.{}", other));
  world->fill_flood(100);
  return world;
}

TEST(TwoHosts, MeetOverVxlanThroughBothFirewalls) {
  int to_child[2], to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  char byte = 'x';
  if (child == 0) {
    close(to_child[1]);
    auto world = make_host(2);
    if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(1);
    overlay_up(2, *world);
    const auto line = world->policy(
        rules(Action::kReject, {tcp_port(Action::kAllow, 8080), echo(Action::kAllow)}));
    world->enable(2, PS_IN, line);
    shell("ip netns exec v2 sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0");
    shell("ip netns exec v2 nc -lk 8080 >/dev/null & echo $! > /run/netns/pid");
    if (write(to_parent[1], &byte, 1) != 1) _exit(1);
    (void)!read(to_child[0], &byte, 1);  // until the parent is done
    shell("kill $(cat /run/netns/pid)");
    world.reset();
    _exit(0);
  }
  close(to_parent[1]);
  {
    auto world = make_host(1);
    ASSERT_EQ(read(to_parent[0], &byte, 1), 1) << "the other host did not come up";
    ASSERT_TRUE(shell(fmt::format("ip link add u0 type veth peer name u0 netns {}", child)));
    overlay_up(1, *world);
    world->enable(1, PS_OUT, world->policy(rules(Action::kAllow)));
    world->enable(1, PS_IN, world->policy(rules(Action::kDeny)));
    ASSERT_EQ(write(to_child[1], &byte, 1), 1);
    ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
    EXPECT_TRUE(ping(1, "10.0.0.2"));
    EXPECT_FALSE(ping(1, "fd00::2", "-c 1 -W 1")) << "only IPv4 echo is allowed";
    EXPECT_TRUE(
        shell("head -c 10000000 /dev/zero | timeout 8 ip netns exec v1 nc -N -w 3 10.0.0.2 8080"));
    // The reset of the other host's firewall comes back through the tunnel and passes ours as part
    // of the flow.
    EXPECT_TRUE(shell(
        "timeout 2 ip netns exec v1 nc -w 5 10.0.0.2 22 </dev/null >/dev/null 2>&1; [ $? = 1 ]"));
    EXPECT_TRUE(shell(
        "timeout 2 ip netns exec v1 nc -w 5 fd00::2 22 </dev/null >/dev/null 2>&1; [ $? = 1 ]"));
    // The answer to a broadcast comes from an address that was not asked: no flow knows it.
    world->enable(1, PS_IN, 0);
    EXPECT_TRUE(ping(1, "10.0.0.255", "-b -c 2 -i 0.02 -W 1")) << "broadcast";
    EXPECT_GT(world->counter(PS_COUNT_REMOTE), 0u);
  }
  close(to_child[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
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

}  // namespace
}  // namespace penstock::packets
