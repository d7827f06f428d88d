#include "tests/packets/devices.h"

#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock::packets {

void private_netns_folder() {
  ASSERT_TRUE(shell("mkdir -p /run/netns"));
  ASSERT_EQ(mount("none", "/run/netns", "tmpfs", 0, nullptr), 0);
}

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

bool ping(std::uint32_t from, const std::string& to, const std::string& options) {
  return shell(fmt::format("ip netns exec v{} ping -q {} {} >/dev/null 2>&1", from, options, to));
}

bool transfer(std::uint32_t from, std::uint32_t to, const std::string& address, int port,
              int megabytes) {
  return shell(fmt::format(
      "timeout 10 ip netns exec v{1} nc -l {2} {3} > /run/netns/received & server=$!; sleep 0.3; "
      "head -c {4} /dev/zero | timeout 8 ip netns exec v{0} nc -N -w 2 {2} {3} >/dev/null 2>&1; "
      "kill $server 2>/dev/null; wait $server 2>/dev/null; [ \"$(stat -c %s /run/netns/received)\" "
      "= {4} ]",
      from, to, address, port, megabytes << 20));
}

namespace {

std::string host_address(Family underlay, int number) {
  return fmt::format("{}{}", underlay == Family::kV6 ? "2001:db8::" : "192.0.2.", number);
}

std::unique_ptr<World> make_host(const TwoHostsSpec& spec, int number) {
  const int other = 3 - number;
  auto made = World::make(World::small());
  ensure(made, "world of a host");
  auto world = std::move(*made);
  private_netns_folder();
  if (spec.populate)
    spec.populate(*world, number);
  else
    add_vm(*world, vm_of_host(number));
  const auto far = vm_of_host(other);
  for (const auto& ip : far.addresses)
    world->add_remote(100, far.mac, ip, host_address(spec.underlay, other));
  world->fill_flood(100);
  return world;
}

void overlay_up(const TwoHostsSpec& spec, int number, World& world) {
  const bool six = spec.underlay == Family::kV6;
  ensure(shell(fmt::format(
             "echo 0 > /proc/sys/net/ipv6/conf/u0/disable_ipv6; "
             "ip link set u0 up mtu {} && ip addr add {}/{} dev u0 {} && "
             "ip link add vx0 type vxlan external dstport 4789 && ip link set vx0 up mtu {}",
             spec.underlay_mtu, host_address(spec.underlay, number), six ? 64 : 24,
             six ? "nodad" : "", spec.underlay_mtu - overhead(spec.underlay))),
         "underlay");
  const auto links = World::index_of("vx0");
  ensure(world.the_switch().map_put(host::Map::kOverlay, host::bytes_of(0u), host::bytes_of(links)),
         "overlay");
  ensure(world.the_switch().attach({static_cast<int>(links), host::Program::kFromOverlay}),
         "attach overlay");
}

[[noreturn]] void be_far(const TwoHostsSpec& spec, int from_parent, int to_parent) {
  char byte = 'x';
  auto world = make_host(spec, 2);
  if (write(to_parent, &byte, 1) != 1 || read(from_parent, &byte, 1) != 1) _exit(1);
  overlay_up(spec, 2, *world);
  if (spec.far_begins) spec.far_begins(*world);
  if (write(to_parent, &byte, 1) != 1) _exit(1);
  (void)!read(from_parent, &byte, 1);  // until the parent is done
  const bool well = !spec.far_ends || spec.far_ends(*world);
  shell("for pid in $(cat /run/netns/pids 2>/dev/null); do kill $pid; done");
  world.reset();
  _exit(well ? 0 : 1);
}

}  // namespace

void on_two_hosts(const TwoHostsSpec& spec) {
  int to_child[2], to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(to_child[1]);
    be_far(spec, to_child[0], to_parent[1]);
  }
  close(to_parent[1]);
  char byte = 'x';
  {
    auto world = make_host(spec, 1);
    ASSERT_EQ(read(to_parent[0], &byte, 1), 1) << "the other host did not come up";
    ASSERT_TRUE(shell(fmt::format("ip link add u0 type veth peer name u0 netns {}", child)));
    overlay_up(spec, 1, *world);
    ASSERT_EQ(write(to_child[1], &byte, 1), 1);
    ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
    spec.near(*world);
  }
  close(to_child[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "what the other host saw";
}

std::string drops_of(World& world) {
  std::string out;
  const auto drops = world.the_switch().drops();
  ensure(drops, "drop counters can be read");
  for (std::size_t i = 0; i < drops->size(); ++i)
    // Guests look for routers and for each other's link-local addresses, which tests do not give.
    if (i != PS_DROP_ND_UNKNOWN && (*drops)[i].packets &&
        !host::is_consumption(static_cast<ps_drop_reason>(i)))
      out += fmt::format("{} {}; ", host::drop_reasons()[i].name, (*drops)[i].packets);
  return out;
}

std::uint64_t device_counter(const std::string& device, const std::string& counter) {
  // By netlink, for /sys shows the devices of another namespace.
  const auto path = "/run/netns/counter";
  ensure(shell(fmt::format(
             "ip -s -j link show dev {} | python3 -c \"import json,sys; "
             "s=json.load(sys.stdin)[0]['stats64']; d,c='{}'.split('.'); print(s[d][c])\" > {}",
             device, counter, path)),
         "counters of a device");
  std::uint64_t value = 0;
  std::ifstream(path) >> value;
  return value;
}

}  // namespace penstock::packets
