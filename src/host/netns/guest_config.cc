#include "host/netns/guest_config.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "net/linux/addresses.h"

namespace penstock::host {

using linux_net::Route;

namespace {

bool is_default(const Route& route) {
  return route.destination.length == 0;
}

Status set_addresses(linux_net::NetlinkSocket& guest, int ifindex, const NicSpec& nic) {
  // First what goes: the kernel removes an IPv4 address together with the first one of the same
  // subnet.
  for (const auto& have : PENSTOCK_TRY(linux_net::list_addresses(guest))) {
    const bool wanted = std::ranges::find(nic.addresses, std::pair(have.address, have.length)) !=
                        nic.addresses.end();
    // The kernel's own fe80:: address stays, whatever the spec.
    if (have.ifindex != ifindex || wanted || have.link_local) continue;
    PENSTOCK_CHECK(linux_net::delete_address(guest, ifindex, have.address, have.length));
  }
  for (const auto& [address, length] : nic.addresses) {
    PENSTOCK_CHECK(linux_net::add_address(guest, ifindex, address, length));
  }
  return {};
}

Status set_routes(linux_net::NetlinkSocket& guest, int ifindex, const NicSpec& nic) {
  for (const auto& have : PENSTOCK_TRY(linux_net::list_routes(guest))) {
    if (have.ifindex != ifindex || !is_default(have)) continue;
    const bool wanted =
        have.gateway && std::ranges::find(nic.gateways, *have.gateway) != nic.gateways.end();
    if (!wanted) PENSTOCK_CHECK(linux_net::delete_route(guest, have));
  }
  for (const auto& gateway : nic.gateways) {
    const IpPrefix anywhere{{gateway.family, {}}, 0};
    PENSTOCK_CHECK(linux_net::set_route(guest, {anywhere, gateway, ifindex}));
  }
  return {};
}

}  // namespace

Status set_guest_switches(const linux_net::NetNamespace& where, const NicSpec& nic) {
  return where.run([&]() -> Status {
    const auto folder = fmt::format("ipv6/conf/{}/", nic.name);
    // A kernel without IPv6 has no such folder, and nothing to switch.
    if (!std::filesystem::exists("/proc/sys/net/" + folder)) return {};
    PENSTOCK_CHECK(linux_net::write_net_sysctl(folder + "accept_dad", "0"));
    return linux_net::write_net_sysctl(folder + "accept_ra",
                                       nic.mode == AddressMode::kDhcp ? "1" : "0");
  });
}

Status set_guest_addresses(linux_net::NetlinkSocket& guest, int ifindex, const NicSpec& nic) {
  PENSTOCK_CHECK(set_addresses(guest, ifindex, nic));
  return set_routes(guest, ifindex, nic);
}

}  // namespace penstock::host
