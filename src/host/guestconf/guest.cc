#include "host/guestconf/guest.h"

#include <algorithm>

#include <fmt/format.h>

#include "host/gateway.h"

namespace penstock::host {

const std::pair<IpAddress, std::uint8_t>* Guest::address(Family family) const {
  const auto found =
      std::ranges::find_if(addresses, [&](const auto& a) { return a.first.family == family; });
  return found == addresses.end() ? nullptr : &*found;
}

const IpAddress* Guest::gateway(Family family) const {
  const auto found = std::ranges::find(gateways, family, &IpAddress::family);
  return found == gateways.end() ? nullptr : &*found;
}

Result<Guest> guest_of(const v1::PortIntent& port, const v1::NetworkIntent& network) {
  Guest guest;
  guest.port = PortId{port.id()};
  guest.vni = Vni{port.vni()};
  guest.mac = PENSTOCK_TRY(Mac::parse(port.mac()));
  guest.hostname = port.vm();
  guest.mtu = network.mtu();
  std::vector<IpPrefix> subnets;
  for (int i = 0; i < network.subnets_size(); ++i) {
    const auto& subnet = network.subnets(i);
    const auto prefix = IpPrefix::parse(subnet.cidr());
    if (!prefix) return fail_field(fmt::format("subnets[{}].cidr", i), prefix.error().message);
    subnets.push_back(*prefix);
    if (!subnet.gateway().empty()) {
      const auto gateway = IpAddress::parse(subnet.gateway());
      if (!gateway)
        return fail_field(fmt::format("subnets[{}].gateway", i), gateway.error().message);
      if (!guest.gateway(gateway->family)) guest.gateways.push_back(*gateway);
    }
    for (const auto& text : subnet.dns()) {
      const auto dns = IpAddress::parse(text);
      if (!dns) return fail_field(fmt::format("subnets[{}].dns", i), dns.error().message);
      guest.dns.push_back(*dns);
    }
  }
  for (int i = 0; i < port.addresses_size(); ++i) {
    const auto address = IpAddress::parse(port.addresses(i));
    if (!address) return fail_field(fmt::format("addresses[{}]", i), address.error().message);
    const auto home =
        std::ranges::find_if(subnets, [&](const auto& s) { return s.contains(*address); });
    const auto length = home == subnets.end() ? address->width() : home->length;
    guest.addresses.emplace_back(*address, static_cast<std::uint8_t>(length));
  }
  return guest;
}

IpAddress eui64_address(const IpPrefix& prefix, const Mac& mac) {
  auto address = prefix.address;
  const auto& m = mac.bytes;
  const std::uint8_t id[8] = {
      static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  std::ranges::copy(id, address.bytes.begin() + 8);
  return address;
}

IpAddress gateway_link_local(Vni vni) {
  IpPrefix link_local{{Family::kV6, {0xfe, 0x80}}, 64};
  return eui64_address(link_local, gateway_mac(vni));
}

}  // namespace penstock::host
