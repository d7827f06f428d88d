#include "lab/underlay.h"

#include <fmt/format.h>

#include "lab/links/link_program.h"
#include "lab/routes.h"
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

class Builder {
 public:
  Builder(const Folder& folder, const Topology& topology, Space fabric)
      : folder_(folder), topology_(topology), fabric_(std::move(fabric)) {}

  Status build() {
    for (std::size_t i = 0; i < topology_.networks.size(); ++i) {
      PENSTOCK_CHECK(create_bridge(fabric_.socket, bridge_name(i), topology_.networks[i].mtu));
      PENSTOCK_CHECK(up(fabric_.socket, bridge_name(i)));
    }
    Status status;
    topology_.each_node([&](const Node& node) {
      if (!status) return;
      status = add(node);
      if (!status)
        status = std::unexpected(std::move(status).error().in(
            fmt::format("{} {}", penstock::lab::name(node.kind), node.name)));
    });
    return status;
  }

 private:
  Status add(const Node& node) {
    auto space = PENSTOCK_TRY(make_space(folder_, node.name));
    if (node.kind == NodeKind::kRouter) {
      PENSTOCK_CHECK(space.space.run([]() -> Status {
        PENSTOCK_CHECK(write_net_sysctl("ipv4/ip_forward", "1"));
        return write_net_sysctl("ipv6/conf/all/forwarding", "1");
      }));
    }
    for (const auto& attachment : node.attachments) PENSTOCK_CHECK(plug(space, attachment));
    for (const auto& route : routes_of(topology_, node))
      PENSTOCK_CHECK(set_route(space.socket, {route.destination, route.gateway, 0}));
    return node.behind.empty() ? Status{} : hang(space, node);
  }

  // The node's interface becomes a port of the network's bridge, with the address.
  Status plug(Space& node, const Attachment& at) {
    const auto& network = topology_.networks[at.network];
    PENSTOCK_CHECK(create_veth(node.socket, {at.device, {}, network.mtu},
                               {at.port, {}, network.mtu}, fabric_.space));
    const auto bridge = PENSTOCK_TRY(find_link(fabric_.socket, bridge_name(at.network)));
    const auto port = PENSTOCK_TRY(find_link(fabric_.socket, at.port));
    PENSTOCK_CHECK(set_link_alias(fabric_.socket, port.ifindex, at.link));
    PENSTOCK_CHECK(fabric_.space.run([&] { return prepare_link_port(port.ifindex); }));
    PENSTOCK_CHECK(set_link_master(fabric_.socket, port.ifindex, bridge.ifindex));
    PENSTOCK_CHECK(set_link_up(fabric_.socket, port.ifindex, true));
    const auto link = PENSTOCK_TRY(find_link(node.socket, at.device));
    PENSTOCK_CHECK(set_link_up(node.socket, link.ifindex, true));
    return add_address(node.socket, link.ifindex, at.address, network.subnet.length);
  }

  // A cable between a device's eth0 and an interface of a host, without addresses: those are the
  // user's.
  Status hang(Space& device, const Node& node) {
    const auto host = PENSTOCK_TRY(NetNamespace::open(folder_.netns(node.behind)));
    auto there = PENSTOCK_TRY(NetlinkSocket::open_in(host));
    PENSTOCK_CHECK(create_veth(device.socket, {"eth0", {}, 0}, {node.interface, {}, 0}, host));
    PENSTOCK_CHECK(up(there, node.interface));
    return up(device.socket, "eth0");
  }

  const Folder& folder_;
  const Topology& topology_;
  Space fabric_;
};

}  // namespace

Status build_underlay(const Folder& folder, const Topology& topology) {
  auto fabric = PENSTOCK_TRY(make_space(folder, kFabric));
  // Cables and bridges have no addresses and say nothing by themselves.
  PENSTOCK_CHECK(fabric.space.run([]() -> Status {
    PENSTOCK_CHECK(write_net_sysctl("ipv6/conf/default/disable_ipv6", "1"));
    return write_net_sysctl("ipv6/conf/all/disable_ipv6", "1");
  }));
  return Builder(folder, topology, std::move(fabric)).build();
}

}  // namespace penstock::lab
