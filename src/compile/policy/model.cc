#include "compile/policy/model.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace penstock::policy {
namespace {

Family family_of(const ps_packet_view& packet) {
  return packet.family == 6 ? Family::kV6 : Family::kV4;
}

IpAddress address_of(const ps_packet_view& packet, const ps_address& from) {
  IpAddress address;
  address.family = family_of(packet);
  std::memcpy(address.bytes.data(), from.b, packet.family == 6 ? 16 : 4);
  return address;
}

bool in_any(const std::vector<AddressMatch>& wanted, const IpAddress& address,
            std::span<const std::uint32_t> groups) {
  if (wanted.empty()) return true;
  for (const AddressMatch& one : wanted) {
    if (std::holds_alternative<AnyAddress>(one)) return true;
    if (const auto* prefix = std::get_if<IpPrefix>(&one)) {
      if (prefix->address.family == address.family && prefix->contains(address)) return true;
    } else {
      const std::uint32_t id = std::get<GroupId>(one).value;
      if (id != 0 && std::ranges::find(groups, id) != groups.end()) return true;
    }
  }
  return false;
}

bool in_any(const std::vector<PortRange>& wanted, std::uint16_t port, bool known) {
  if (wanted.empty()) return true;
  if (!known) return false;
  return std::ranges::any_of(
      wanted, [&](const PortRange& range) { return range.low <= port && port <= range.high; });
}

}  // namespace

bool matches(const Rule& rule, const ps_packet_view& packet) {
  const Family family = family_of(packet);
  const bool later = packet.flags & PS_VIEW_FRAGMENT_LATER;
  const bool ports = (packet.flags & PS_VIEW_PORTS_VALID) && !later;
  if (rule.family && *rule.family != family) return false;
  if (!in_any(rule.src, address_of(packet, packet.src), packet.src_groups)) return false;
  if (!in_any(rule.dst, address_of(packet, packet.dst), packet.dst_groups)) return false;
  if (!rule.protocols.empty() &&
      std::ranges::find(rule.protocols, packet.proto) == rule.protocols.end())
    return false;
  if (!in_any(rule.src_ports, packet.sport, ports)) return false;
  if (!in_any(rule.dst_ports, packet.dport, ports)) return false;
  if (!rule.icmp.empty()) {
    if (later || packet.proto != (family == Family::kV4 ? 1 : 58)) return false;
    if (!std::ranges::any_of(rule.icmp, [&](const IcmpMatch& one) {
          return one.family == family && one.type == packet.icmp_type &&
                 (!one.code || *one.code == packet.icmp_code);
        }))
      return false;
  }
  if (rule.tcp_flags) {
    if (packet.proto != 6) return false;
    // A mask of no flags asks nothing of the header, so it also holds where there is none.
    if (rule.tcp_flags->mask != 0 && later) return false;
    if ((packet.tcp_flags & rule.tcp_flags->mask) != rule.tcp_flags->value) return false;
  }
  return true;
}

std::optional<std::size_t> first_match(const RuleSet& set, const ps_packet_view& packet) {
  for (std::size_t i = 0; i < set.rules.size(); i++)
    if (matches(set.rules[i], packet)) return i;
  return std::nullopt;
}

}  // namespace penstock::policy
