// Links of a network namespace: list, make, change, delete. The namespace is that of the socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/address.h"
#include "net/linux/netlink_socket.h"

namespace penstock::linux_net {

struct LinkInfo {
  int ifindex = 0;
  std::string name;
  std::string
      kind;  // IFLA_INFO_KIND: "veth", "vxlan", "bridge", "tun"; "" for physical devices and lo
  std::string alias;  // at most 255 bytes
  Mac mac;
  int mtu = 0;
  bool up = false;       // IFF_UP: switched on, with or without carrier
  bool carrier = false;  // IFF_LOWER_UP
  int master = 0;        // ifindex of the bridge it is in; 0: none
  int peer = 0;          // veth: ifindex of the other end, in the other end's namespace
  // vxlan only
  std::uint16_t vxlan_port = 0;
  bool vxlan_collect_md = false;
  bool operator==(const LinkInfo&) const = default;
};

// Longest name of a link (IFNAMSIZ without the terminating zero).
inline constexpr std::size_t kLinkNameMax = 15;

// Sorted by ifindex.
Result<std::vector<LinkInfo>> list_links(NetlinkSocket&);
// kNotFound when there is no such link.
Result<LinkInfo> find_link(NetlinkSocket&, const std::string& name);

struct VethEnd {
  std::string name;
  std::optional<Mac> mac;  // absent: the kernel draws one
  int mtu = 0;             // 0: the kernel's standard, 1500
};
// A pair of veths, both down: `here` in the socket's namespace, `there` in `peer_namespace`.
Status create_veth(NetlinkSocket&, const VethEnd& here, const VethEnd& there,
                   const NetNamespace& peer_namespace);
// Down, without spanning tree or multicast snooping.
Status create_bridge(NetlinkSocket&, const std::string& name, int mtu = 0);

struct VxlanOptions {
  std::string name;
  std::uint16_t udp_port = 4789;
  int mtu = 0;  // 0: the kernel's standard
};
// A vxlan device in collect_md mode, down: tunnel end, VNI and checksums are chosen per packet by
// whoever sends into it, nothing is learned. It receives IPv6 packets without UDP checksum too, as
// RFC 6935 allows tunnels to send.
Status create_vxlan(NetlinkSocket&, const VxlanOptions&);

Status delete_link(NetlinkSocket&, int ifindex);
Status set_link_up(NetlinkSocket&, int ifindex, bool up);
Status set_link_mtu(NetlinkSocket&, int ifindex, int mtu);
// How many segments the largest TCP packet that is handed to the link may have (65535: the kernel's
// standard; 1: none is larger than a frame).
Status set_link_segments(NetlinkSocket&, int ifindex, std::uint32_t segments);
Status set_link_mac(NetlinkSocket&, int ifindex, const Mac&);  // most kinds must be down
Status set_link_alias(NetlinkSocket&, int ifindex, const std::string& alias);
Status set_link_name(NetlinkSocket&, int ifindex,
                     const std::string& name);                    // must be down before Linux 6.0
Status set_link_master(NetlinkSocket&, int ifindex, int master);  // 0: out of the bridge
Status move_link(NetlinkSocket&, int ifindex, const NetNamespace&);

}  // namespace penstock::linux_net
