#include "net/linux/addresses.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include <fmt/format.h>

namespace penstock::linux_net {
namespace {

std::uint8_t kernel_family(Family family) {
  return family == Family::kV4 ? AF_INET : AF_INET6;
}

std::span<const std::byte> bytes_of(const IpAddress& address) {
  return std::as_bytes(
      std::span(address.bytes.data(), static_cast<std::size_t>(address.width() / 8)));
}

std::optional<IpAddress> read_address(std::uint8_t family, const nlattr* attribute) {
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  IpAddress address{family == AF_INET ? Family::kV4 : Family::kV6, {}};
  const auto width = static_cast<std::size_t>(address.width() / 8);
  if (mnl_attr_get_payload_len(attribute) != width) return std::nullopt;
  std::memcpy(address.bytes.data(), mnl_attr_get_payload(attribute), width);
  return address;
}

NetlinkRequest address_request(std::uint16_t type, std::uint16_t flags, int ifindex,
                               const IpAddress& address, std::uint8_t length) {
  NetlinkRequest request(type, flags);
  auto* header = request.header<ifaddrmsg>();
  header->ifa_family = kernel_family(address.family);
  header->ifa_prefixlen = length;
  header->ifa_index = static_cast<unsigned>(ifindex);
  if (address.family == Family::kV6 && type == RTM_NEWADDR) header->ifa_flags = IFA_F_NODAD;
  request.put(IFA_LOCAL, bytes_of(address));
  request.put(IFA_ADDRESS, bytes_of(address));
  return request;
}

NetlinkRequest route_request(std::uint16_t type, std::uint16_t flags, const Route& route) {
  NetlinkRequest request(type, flags);
  auto* header = request.header<rtmsg>();
  header->rtm_family = kernel_family(route.destination.address.family);
  header->rtm_dst_len = route.destination.length;
  header->rtm_table = RT_TABLE_MAIN;
  header->rtm_protocol = RTPROT_STATIC;
  header->rtm_type = RTN_UNICAST;
  header->rtm_scope = route.gateway || route.destination.address.family == Family::kV6
                          ? RT_SCOPE_UNIVERSE
                          : RT_SCOPE_LINK;
  if (type == RTM_NEWROUTE && route.gateway && route.ifindex != 0) header->rtm_flags = RTNH_F_ONLINK;
  if (type == RTM_DELROUTE) header->rtm_scope = RT_SCOPE_NOWHERE;  // any
  if (route.destination.length != 0) request.put(RTA_DST, bytes_of(route.destination.address));
  if (route.gateway) request.put(RTA_GATEWAY, bytes_of(*route.gateway));
  if (route.ifindex != 0) request.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
  return request;
}

std::string text_of(const Route& route) {
  return route.destination.text() + (route.gateway ? " via " + route.gateway->text() : "");
}

std::optional<Route> read_route(const nlmsghdr& message) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  if (header->rtm_table != RT_TABLE_MAIN || header->rtm_type != RTN_UNICAST ||
      header->rtm_protocol == RTPROT_KERNEL || (header->rtm_flags & RTM_F_CLONED)) {
    return std::nullopt;
  }
  Route route;
  route.destination.address.family = header->rtm_family == AF_INET ? Family::kV4 : Family::kV6;
  route.destination.length = header->rtm_dst_len;
  for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case RTA_DST:
        if (const auto address = read_address(header->rtm_family, attribute))
          route.destination.address = *address;
        break;
      case RTA_GATEWAY:
        route.gateway = read_address(header->rtm_family, attribute);
        break;
      case RTA_OIF:
        if (mnl_attr_get_payload_len(attribute) >= 4)
          route.ifindex = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      default:
        break;
    }
  });
  return route;
}

}  // namespace

Result<std::vector<InterfaceAddress>> list_addresses(NetlinkSocket& socket) {
  NetlinkRequest request(RTM_GETADDR, 0);
  request.header<ifaddrmsg>();
  std::vector<InterfaceAddress> found;
  PENSTOCK_CHECK(socket.dump(
      request, "list addresses", [&] { found.clear(); },
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type != RTM_NEWADDR) return;
        const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
        std::optional<IpAddress> local, address;
        for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
          if (mnl_attr_get_type(attribute) == IFA_LOCAL)
            local = read_address(header->ifa_family, attribute);
          if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
            address = read_address(header->ifa_family, attribute);
        });
        // IFA_ADDRESS is the far end on point-to-point links; IPv6 has no IFA_LOCAL otherwise.
        if (!local) local = address;
        if (local) {
          found.push_back({static_cast<int>(header->ifa_index), *local, header->ifa_prefixlen,
                           header->ifa_scope == RT_SCOPE_LINK});
        }
      }));
  std::ranges::sort(found, {},
                    [](const auto& a) { return std::tuple(a.ifindex, a.address, a.length); });
  return found;
}

Status add_address(NetlinkSocket& socket, int ifindex, const IpAddress& address,
                   std::uint8_t length) {
  auto request =
      address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, address, length);
  return socket.request(
      request, fmt::format("add address {}/{} to link {}", address.text(), length, ifindex));
}

Status delete_address(NetlinkSocket& socket, int ifindex, const IpAddress& address,
                      std::uint8_t length) {
  auto request = address_request(RTM_DELADDR, 0, ifindex, address, length);
  return socket.request(
      request, fmt::format("delete address {}/{} of link {}", address.text(), length, ifindex));
}

Result<std::vector<Route>> list_routes(NetlinkSocket& socket) {
  NetlinkRequest request(RTM_GETROUTE, 0);
  request.header<rtmsg>();
  std::vector<Route> routes;
  PENSTOCK_CHECK(socket.dump(
      request, "list routes", [&] { routes.clear(); },
      [&](const nlmsghdr& message) {
        if (message.nlmsg_type != RTM_NEWROUTE) return;
        if (auto route = read_route(message)) routes.push_back(*route);
      }));
  std::ranges::sort(routes, {},
                    [](const Route& r) { return std::tuple(r.destination, r.gateway, r.ifindex); });
  return routes;
}

Status set_route(NetlinkSocket& socket, const Route& route) {
  auto request = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  return socket.request(request, fmt::format("set route to {}", text_of(route)));
}

Status delete_route(NetlinkSocket& socket, const Route& route) {
  auto request = route_request(RTM_DELROUTE, 0, route);
  return socket.request(request, fmt::format("delete route to {}", text_of(route)));
}

}  // namespace penstock::linux_net
