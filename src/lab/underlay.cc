#include "lab/underlay.h"

#include <fmt/format.h>

#include "net/linux/addresses.h"
#include "net/linux/links.h"

namespace penstock::lab {
namespace {

using namespace linux_net;

Status up(NetlinkSocket& socket, const std::string& link) {
  const auto info = PENSTOCK_TRY(find_link(socket, link));
  return set_link_up(socket, info.ifindex, true);
}

struct Space {
  NetNamespace space;
  NetlinkSocket socket;
};

Result<Space> make_space(const Folder& folder, const std::string& name) {
  auto space = PENSTOCK_TRY(NetNamespace::create_bound(folder.netns(name)));
  auto socket = PENSTOCK_TRY(NetlinkSocket::open_in(space));
  PENSTOCK_CHECK(up(socket, "lo"));
  // An address is there at once: nobody else can have it.
  PENSTOCK_CHECK(space.run([]() -> Status {
    PENSTOCK_CHECK(write_net_sysctl("ipv6/conf/default/accept_dad", "0"));
    return write_net_sysctl("ipv6/conf/all/forwarding", "0");
  }));
  return Space{std::move(space), std::move(socket)};
}

std::string bridge_name(std::size_t network) {
  return fmt::format("net{}", network);
}

// `device` of `node` becomes a port of the network's bridge, with the address.
Status plug(Space& fabric, Space& node, const std::string& device, std::size_t network,
            std::size_t port, int mtu, const IpAddress& address, std::uint8_t length) {
  const auto fabric_end = fmt::format("p{}", port);
  PENSTOCK_CHECK(create_veth(node.socket, {device, {}, mtu}, {fabric_end, {}, mtu}, fabric.space));
  const auto bridge = PENSTOCK_TRY(find_link(fabric.socket, bridge_name(network)));
  const auto port_link = PENSTOCK_TRY(find_link(fabric.socket, fabric_end));
  PENSTOCK_CHECK(set_link_master(fabric.socket, port_link.ifindex, bridge.ifindex));
  PENSTOCK_CHECK(set_link_up(fabric.socket, port_link.ifindex, true));
  const auto link = PENSTOCK_TRY(find_link(node.socket, device));
  PENSTOCK_CHECK(set_link_up(node.socket, link.ifindex, true));
  return add_address(node.socket, link.ifindex, address, length);
}

IpAddress router_address(const PhysicalNetwork& network) {
  return network.subnet.address.plus(1);
}

}  // namespace

Status build_underlay(const Folder& folder, const Topology& topology) {
  auto fabric = PENSTOCK_TRY(make_space(folder, "fabric"));
  auto router = PENSTOCK_TRY(make_space(folder, kRouterNode));
  PENSTOCK_CHECK(router.space.run([]() -> Status {
    PENSTOCK_CHECK(write_net_sysctl("ipv4/ip_forward", "1"));
    return write_net_sysctl("ipv6/conf/all/forwarding", "1");
  }));
  std::size_t port = 0;
  for (std::size_t i = 0; i < topology.networks.size(); ++i) {
    const auto& network = topology.networks[i];
    PENSTOCK_CHECK(create_bridge(fabric.socket, bridge_name(i), topology.mtu));
    PENSTOCK_CHECK(up(fabric.socket, bridge_name(i)));
    PENSTOCK_CHECK(plug(fabric, router, fmt::format("eth{}", i), i, port++, topology.mtu,
                        router_address(network), network.subnet.length));
  }
  const auto add_node = [&](const Node& node) -> Status {
    auto space = PENSTOCK_TRY(make_space(folder, node.name));
    const auto& network = topology.networks[node.network];
    PENSTOCK_CHECK(plug(fabric, space, "eth0", node.network, port++, topology.mtu, node.address,
                        network.subnet.length));
    const IpPrefix everything{IpAddress{network.subnet.address.family, {}}, 0};
    return set_route(space.socket, {everything, router_address(network), 0});
  };
  PENSTOCK_CHECK(add_node(topology.server));
  for (const auto& host : topology.hosts) PENSTOCK_CHECK(add_node(host));
  for (const auto& remote : topology.remotes) PENSTOCK_CHECK(add_node(remote));
  return {};
}

}  // namespace penstock::lab
