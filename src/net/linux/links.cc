#include "net/linux/links.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace penstock::linux_net {
namespace {

std::string text_of(const nlattr* attribute) {
  if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0) return {};
  return mnl_attr_get_str(attribute);
}

std::uint32_t u32_of(const nlattr* attribute) {
  return mnl_attr_get_payload_len(attribute) >= sizeof(std::uint32_t) ? mnl_attr_get_u32(attribute)
                                                                      : 0;
}

void read_vxlan_data(const nlattr* data, LinkInfo& link) {
  for_each_nested(data, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_VXLAN_PORT:
        if (mnl_attr_get_payload_len(attribute) >= 2)
          link.vxlan_port = ntohs(mnl_attr_get_u16(attribute));
        break;
      case IFLA_VXLAN_COLLECT_METADATA:
        link.vxlan_collect_md =
            mnl_attr_get_payload_len(attribute) >= 1 && mnl_attr_get_u8(attribute) != 0;
        break;
      default:
        break;
    }
  });
}

void read_link_info(const nlattr* info, LinkInfo& link) {
  const nlattr* data = nullptr;
  for_each_nested(info, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) link.kind = text_of(attribute);
    if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA) data = attribute;
  });
  if (link.kind == "vxlan" && data != nullptr) read_vxlan_data(data, link);
}

LinkInfo read_link(const nlmsghdr& message) {
  LinkInfo link;
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  link.ifindex = header->ifi_index;
  link.up = header->ifi_flags & IFF_UP;
  link.carrier =
      header->ifi_flags & (1U << 16);  // IFF_LOWER_UP; <linux/if.h> clashes with <net/if.h>
  int lower = 0;
  for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        link.name = text_of(attribute);
        break;
      case IFLA_IFALIAS:
        link.alias = text_of(attribute);
        break;
      case IFLA_MTU:
        link.mtu = static_cast<int>(u32_of(attribute));
        break;
      case IFLA_MASTER:
        link.master = static_cast<int>(u32_of(attribute));
        break;
      case IFLA_LINK:
        lower = static_cast<int>(u32_of(attribute));
        break;
      case IFLA_LINKINFO:
        read_link_info(attribute, link);
        break;
      case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(attribute) == link.mac.bytes.size()) {
          std::memcpy(link.mac.bytes.data(), mnl_attr_get_payload(attribute),
                      link.mac.bytes.size());
        }
        break;
      default:
        break;
    }
  });
  if (link.kind == "veth") link.peer = lower;
  return link;
}

NetlinkRequest change(int ifindex) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.header<ifinfomsg>()->ifi_index = ifindex;
  return request;
}

NetlinkRequest create() {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.header<ifinfomsg>();
  return request;
}

Status check_name(const std::string& name) {
  if (!name.empty() && name.size() <= kLinkNameMax) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("\"{}\" cannot name a link: 1 to {} characters", name, kLinkNameMax));
}

std::span<const std::byte> bytes_of(const Mac& mac) {
  return std::as_bytes(std::span(mac.bytes));
}

void put_veth_end(NetlinkRequest& request, const VethEnd& end) {
  request.put_text(IFLA_IFNAME, end.name);
  if (end.mac) request.put(IFLA_ADDRESS, bytes_of(*end.mac));
  if (end.mtu != 0) request.put_u32(IFLA_MTU, static_cast<std::uint32_t>(end.mtu));
}

}  // namespace

Result<std::vector<LinkInfo>> list_links(NetlinkSocket& socket) {
  NetlinkRequest request(RTM_GETLINK, 0);
  request.header<ifinfomsg>();
  request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::vector<LinkInfo> links;
  PENSTOCK_CHECK(socket.dump(
      request, "list links", [&] { links.clear(); },
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type == RTM_NEWLINK) links.push_back(read_link(message));
      }));
  std::ranges::sort(links, {}, &LinkInfo::ifindex);
  return links;
}

Result<LinkInfo> find_link(NetlinkSocket& socket, const std::string& name) {
  // A dump and a search instead of one RTM_GETLINK: the answer to a single request is followed by
  // no end mark, and hosts have tens to thousands of links, listed in under a millisecond per
  // thousand.
  for (auto& link : PENSTOCK_TRY(list_links(socket))) {
    if (link.name == name) return link;
  }
  return fail(Code::kNotFound, fmt::format("there is no link {}", name));
}

Status create_veth(NetlinkSocket& socket, const VethEnd& here, const VethEnd& there,
                   const NetNamespace& peer_namespace) {
  PENSTOCK_CHECK(check_name(here.name));
  PENSTOCK_CHECK(check_name(there.name));
  auto request = create();
  put_veth_end(request, here);
  request.nest(IFLA_LINKINFO, [&] {
    request.put_text(IFLA_INFO_KIND, "veth");
    request.nest(IFLA_INFO_DATA, [&] {
      request.nest(
          VETH_INFO_PEER,
          [&] {
            put_veth_end(request, there);
            request.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace.fd()));
          },
          sizeof(ifinfomsg));
    });
  });
  return socket.request(request, fmt::format("create veth {} with peer {}", here.name, there.name));
}

Status create_bridge(NetlinkSocket& socket, const std::string& name, int mtu) {
  PENSTOCK_CHECK(check_name(name));
  auto request = create();
  request.put_text(IFLA_IFNAME, name);
  if (mtu != 0) request.put_u32(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  request.nest(IFLA_LINKINFO, [&] {
    request.put_text(IFLA_INFO_KIND, "bridge");
    request.nest(IFLA_INFO_DATA, [&] {
      request.put_u32(IFLA_BR_STP_STATE, 0);
      request.put_u8(IFLA_BR_MCAST_SNOOPING, 0);
    });
  });
  return socket.request(request, fmt::format("create bridge {}", name));
}

Status create_vxlan(NetlinkSocket& socket, const VxlanOptions& options) {
  PENSTOCK_CHECK(check_name(options.name));
  auto request = create();
  request.put_text(IFLA_IFNAME, options.name);
  if (options.mtu != 0) request.put_u32(IFLA_MTU, static_cast<std::uint32_t>(options.mtu));
  request.nest(IFLA_LINKINFO, [&] {
    request.put_text(IFLA_INFO_KIND, "vxlan");
    request.nest(IFLA_INFO_DATA, [&] {
      request.put_u8(IFLA_VXLAN_COLLECT_METADATA, 1);
      request.put_u8(IFLA_VXLAN_LEARNING, 0);
      request.put_u8(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
      request.put_u16_be(IFLA_VXLAN_PORT, options.udp_port);
    });
  });
  return socket.request(request, fmt::format("create vxlan {}", options.name));
}

Status delete_link(NetlinkSocket& socket, int ifindex) {
  NetlinkRequest request(RTM_DELLINK, 0);
  request.header<ifinfomsg>()->ifi_index = ifindex;
  return socket.request(request, fmt::format("delete link {}", ifindex));
}

Status set_link_up(NetlinkSocket& socket, int ifindex, bool up) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  auto* header = request.header<ifinfomsg>();
  header->ifi_index = ifindex;
  header->ifi_change = IFF_UP;
  header->ifi_flags = up ? IFF_UP : 0;
  return socket.request(request, fmt::format("switch link {} {}", ifindex, up ? "on" : "off"));
}

Status set_link_mtu(NetlinkSocket& socket, int ifindex, int mtu) {
  auto request = change(ifindex);
  request.put_u32(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  return socket.request(request, fmt::format("set MTU {} on link {}", mtu, ifindex));
}

Status set_link_segments(NetlinkSocket& socket, int ifindex, std::uint32_t segments) {
  auto request = change(ifindex);
  request.put_u32(IFLA_GSO_MAX_SEGS, segments);
  return socket.request(request, fmt::format("set {} segments on link {}", segments, ifindex));
}

Status set_link_mac(NetlinkSocket& socket, int ifindex, const Mac& mac) {
  auto request = change(ifindex);
  request.put(IFLA_ADDRESS, bytes_of(mac));
  return socket.request(request, fmt::format("set MAC {} on link {}", mac.text(), ifindex));
}

Status set_link_alias(NetlinkSocket& socket, int ifindex, const std::string& alias) {
  auto request = change(ifindex);
  request.put_text(IFLA_IFALIAS, alias);
  return socket.request(request, fmt::format("set alias \"{}\" on link {}", alias, ifindex));
}

Status set_link_name(NetlinkSocket& socket, int ifindex, const std::string& name) {
  PENSTOCK_CHECK(check_name(name));
  auto request = change(ifindex);
  request.put_text(IFLA_IFNAME, name);
  return socket.request(request, fmt::format("name link {} {}", ifindex, name));
}

Status set_link_master(NetlinkSocket& socket, int ifindex, int master) {
  auto request = change(ifindex);
  request.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  return socket.request(request, fmt::format("put link {} into bridge {}", ifindex, master));
}

Status move_link(NetlinkSocket& socket, int ifindex, const NetNamespace& where) {
  auto request = change(ifindex);
  request.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(where.fd()));
  return socket.request(request, fmt::format("move link {} to another network namespace", ifindex));
}

}  // namespace penstock::linux_net
