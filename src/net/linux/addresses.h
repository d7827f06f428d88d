// Addresses and routes of a network namespace. The namespace is that of the socket.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "net/address.h"
#include "net/linux/netlink_socket.h"

namespace penstock::linux_net {

struct InterfaceAddress {
  int ifindex = 0;
  IpAddress address;
  std::uint8_t length = 0;  // of the prefix
  bool link_local = false;  // scope link: fe80::/10 and 169.254.0.0/16
  bool operator==(const InterfaceAddress&) const = default;
};

// Sorted by ifindex, then address.
Result<std::vector<InterfaceAddress>> list_addresses(NetlinkSocket&);
// IPv6 addresses are usable at once (no duplicate address detection). The address being there is no
// error.
Status add_address(NetlinkSocket&, int ifindex, const IpAddress&, std::uint8_t length);
Status delete_address(NetlinkSocket&, int ifindex, const IpAddress&, std::uint8_t length);

struct Route {
  IpPrefix destination;              // length 0: default route
  std::optional<IpAddress> gateway;  // absent: on the link itself
  int ifindex = 0;                   // 0: by the gateway's own route
  bool operator==(const Route&) const = default;
};

// Unicast routes of the main table that somebody asked for (not those the kernel makes itself),
// sorted.
Result<std::vector<Route>> list_routes(NetlinkSocket&);
// Replaces a route to the same destination. A gateway given with an ifindex counts as reachable there, also when no
// address of the link is in its network (guests with /32 and /128 addresses).
Status set_route(NetlinkSocket&, const Route&);
Status delete_route(NetlinkSocket&, const Route&);

}  // namespace penstock::linux_net
