// Real namespaces: what is asked of the kernel is really there. Each test makes namespaces without
// a name, so that whatever happens to this process, nothing is left behind.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "net/linux/addresses.h"
#include "net/linux/links.h"
#include "net/linux/namespace.h"
#include "net/linux/netlink_socket.h"

namespace penstock::linux_net {
namespace {

struct Place {
  NetNamespace where = *NetNamespace::create_anonymous();
  NetlinkSocket socket = *NetlinkSocket::open_in(where);
};

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

TEST(NetNamespace, WorkRunsInsideAndTheCallerStays) {
  const auto before = NetNamespace::current()->inode();
  const auto made = NetNamespace::create_anonymous();
  ASSERT_TRUE(made) << made.error().text();
  std::uint64_t inside = 0;
  ASSERT_TRUE(made->run([&]() -> Status {
    inside = NetNamespace::current()->inode();
    return {};
  }));
  EXPECT_EQ(inside, made->inode());
  EXPECT_NE(inside, before);
  EXPECT_EQ(NetNamespace::current()->inode(), before);
}

TEST(NetNamespace, BoundOnesOutliveTheHandleUntilRemoved) {
  const auto path = std::filesystem::temp_directory_path() / ("ps-ns-" + std::to_string(getpid()));
  std::uint64_t inode = 0;
  {
    const auto made = NetNamespace::create_bound(path);
    ASSERT_TRUE(made) << made.error().text();
    inode = made->inode();
    EXPECT_EQ(NetNamespace::create_bound(path).error().code, Code::kAlreadyExists);
  }
  EXPECT_EQ(NetNamespace::open(path)->inode(), inode);
  EXPECT_TRUE(remove_bound_namespace(path));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(remove_bound_namespace(path));
  EXPECT_EQ(NetNamespace::open(path).error().code, Code::kNotFound);
  EXPECT_EQ(NetNamespace::open("/dev/null").error().code, Code::kFailedPrecondition);
}

TEST(NetNamespace, ItsProcessesAreFoundAndKilled) {
  const auto where = NetNamespace::create_anonymous();
  int child = 0;
  ASSERT_TRUE(where->run([&]() -> Status {
    child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    return {};
  }));
  EXPECT_EQ(processes_in(*where), std::vector{child});
  EXPECT_TRUE(kill_processes_in(*where));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(kill_processes_in(*NetNamespace::current()).error().code, Code::kInternal);
}

TEST(Links, AVethPairSpansTwoNamespaces) {
  Place a, b;
  const Mac mac = *Mac::parse("02:00:00:00:00:05");
  ASSERT_TRUE(create_veth(a.socket, {"left", {}, 1400}, {"right", mac, 1450}, b.where));
  const auto left = find_link(a.socket, "left");
  const auto right = find_link(b.socket, "right");
  ASSERT_TRUE(left && right);
  EXPECT_EQ(left->kind, "veth");
  EXPECT_EQ(left->peer, right->ifindex);
  EXPECT_EQ(left->mtu, 1400);
  EXPECT_EQ(right->mtu, 1450);
  EXPECT_EQ(right->mac, mac);
  EXPECT_FALSE(left->up || right->up);

  ASSERT_TRUE(set_link_up(a.socket, left->ifindex, true));
  ASSERT_TRUE(set_link_alias(a.socket, left->ifindex, "penstock:port/7"));
  ASSERT_TRUE(set_link_mtu(a.socket, left->ifindex, 1300));
  const auto changed = find_link(a.socket, "left");
  EXPECT_TRUE(changed->up);
  EXPECT_FALSE(changed->carrier);  // the other end is down
  EXPECT_EQ(changed->alias, "penstock:port/7");
  EXPECT_EQ(changed->mtu, 1300);

  ASSERT_TRUE(delete_link(a.socket, left->ifindex));
  EXPECT_EQ(find_link(b.socket, "right").error().code, Code::kNotFound);
  EXPECT_EQ(delete_link(a.socket, left->ifindex).error().code, Code::kNotFound);
}

TEST(Links, ErrorsCarryTheKernelsExplanation) {
  Place a;
  ASSERT_TRUE(create_bridge(a.socket, "br0"));
  const auto again = create_bridge(a.socket, "br0");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  EXPECT_EQ(again.error().message, "create bridge br0: File exists");
  ASSERT_TRUE(create_bridge(a.socket, "br1"));
  const auto joined = set_link_master(a.socket, find_link(a.socket, "br1")->ifindex,
                                      find_link(a.socket, "br0")->ifindex);
  ASSERT_FALSE(joined);
  EXPECT_NE(joined.error().message.find("(Can not enslave a bridge to a bridge)"),
            std::string::npos)
      << joined.error().message;
  EXPECT_EQ(create_bridge(a.socket, "a-name-too-long-for-linux").error().code,
            Code::kInvalidArgument);
}

TEST(Links, BridgesTakeMembers) {
  Place a, b;
  ASSERT_TRUE(create_bridge(a.socket, "br0"));
  ASSERT_TRUE(create_veth(a.socket, {"left", {}, 0}, {"right", {}, 0}, b.where));
  const int bridge = find_link(a.socket, "br0")->ifindex;
  const int left = find_link(a.socket, "left")->ifindex;
  ASSERT_TRUE(set_link_master(a.socket, left, bridge));
  EXPECT_EQ(find_link(a.socket, "left")->master, bridge);
  ASSERT_TRUE(set_link_master(a.socket, left, 0));
  EXPECT_EQ(find_link(a.socket, "left")->master, 0);
}

TEST(Links, VxlanCollectsMetadata) {
  Place a;
  ASSERT_TRUE(create_vxlan(a.socket, {"vx", 4790, 1450}));
  const auto link = find_link(a.socket, "vx");
  ASSERT_TRUE(link);
  EXPECT_EQ(link->kind, "vxlan");
  EXPECT_EQ(link->vxlan_port, 4790);
  EXPECT_TRUE(link->vxlan_collect_md);
  EXPECT_EQ(link->mtu, 1450);
  EXPECT_TRUE(set_link_up(a.socket, link->ifindex, true));
}

TEST(Addresses, AddListReplaceDelete) {
  Place a, b;
  ASSERT_TRUE(create_veth(a.socket, {"left", {}, 0}, {"right", {}, 0}, b.where));
  const int left = find_link(a.socket, "left")->ifindex;
  ASSERT_TRUE(set_link_up(a.socket, left, true));
  ASSERT_TRUE(set_link_up(b.socket, find_link(b.socket, "right")->ifindex, true));
  ASSERT_TRUE(add_address(a.socket, left, ip("10.1.2.3"), 24));
  ASSERT_TRUE(add_address(a.socket, left, ip("10.1.2.3"), 24));
  ASSERT_TRUE(add_address(a.socket, left, ip("fd00::3"), 64));
  const auto of_left = [&] {
    auto all = *list_addresses(a.socket);
    std::erase_if(
        all, [&](const auto& address) { return address.ifindex != left || address.link_local; });
    return all;
  };
  EXPECT_EQ(of_left(), (std::vector<InterfaceAddress>{{left, ip("10.1.2.3"), 24, false},
                                                      {left, ip("fd00::3"), 64, false}}));
  ASSERT_TRUE(delete_address(a.socket, left, ip("10.1.2.3"), 24));
  EXPECT_EQ(of_left().size(), 1U);
}

TEST(Routes, SetReplacesAndDeleteRemoves) {
  Place a, b;
  ASSERT_TRUE(create_veth(a.socket, {"left", {}, 0}, {"right", {}, 0}, b.where));
  const int left = find_link(a.socket, "left")->ifindex;
  ASSERT_TRUE(set_link_up(a.socket, left, true));
  ASSERT_TRUE(add_address(a.socket, left, ip("10.1.2.3"), 24));
  ASSERT_TRUE(add_address(a.socket, left, ip("fd00::3"), 64));
  const IpPrefix any4{ip("0.0.0.0"), 0}, any6{ip("::"), 0};
  ASSERT_TRUE(set_route(a.socket, {any4, ip("10.1.2.1"), left}));
  ASSERT_TRUE(set_route(a.socket, {any4, ip("10.1.2.2"), left}));
  ASSERT_TRUE(set_route(a.socket, {any6, ip("fd00::1"), left}));
  ASSERT_TRUE(set_route(a.socket, {*IpPrefix::parse("10.9.0.0/16"), {}, left}));
  const std::vector<Route> expected{{any4, ip("10.1.2.2"), left},
                                    {*IpPrefix::parse("10.9.0.0/16"), {}, left},
                                    {any6, ip("fd00::1"), left}};
  EXPECT_EQ(*list_routes(a.socket), expected);
  for (const auto& route : expected) EXPECT_TRUE(delete_route(a.socket, route));
  EXPECT_TRUE(list_routes(a.socket)->empty());
}

}  // namespace
}  // namespace penstock::linux_net
