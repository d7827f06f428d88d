#include "compile/policy/random_rules.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::policy {
namespace {

IpAddress masked(IpAddress address, int length) {
  for (int i = 0; i < 16; i++) {
    const int bits = std::clamp(length - 8 * i, 0, 8);
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & 0xff00 >> bits);
  }
  return address;
}

}  // namespace

RandomRules::RandomRules(std::uint64_t seed) : random_(seed) {}

IpAddress RandomRules::address(Family family) {
  IpAddress out;
  out.family = family;
  const int width = out.width() / 8;
  if (one_in(16))  // the ends of the space
    return masked(
        [&] {
          auto a = out;
          a.bytes.fill(0xff);
          return a;
        }(),
        static_cast<int>(below(2)) * width * 8);
  out.bytes[0] = family == Family::kV4 ? 10 : 0xfd;
  for (int i = 1; i < width - 2; i++)
    if (one_in(family == Family::kV4 ? 1 : 6)) out.bytes[i] = static_cast<std::uint8_t>(below(3));
  const std::uint64_t host = below(spread_);
  out.bytes[width - 2] = static_cast<std::uint8_t>(host >> 8);
  out.bytes[width - 1] = static_cast<std::uint8_t>(host);
  if (one_in(20)) out.bytes[below(width)] = static_cast<std::uint8_t>(random_());
  return out;
}

IpPrefix RandomRules::prefix(Family family) {
  IpPrefix out;
  out.address = address(family);
  const int width = out.address.width();
  int length = width;
  if (shape_ == Shape::kNested)
    length = static_cast<int>(below(width + 1));
  else if (shape_ == Shape::kMixed && one_in(2))
    length = width - static_cast<int>(below(width / 2));
  else if (one_in(30))
    length = static_cast<int>(below(width + 1));
  out.length = static_cast<std::uint8_t>(length);
  for (int i = width / 8; i < 16; i++) out.address.bytes[i] = 0;
  out.address = masked(out.address, length);
  return out;
}

AddressMatch RandomRules::address_match(Family family) {
  if (one_in(40)) return AnyAddress{};
  if (one_in(shape_ == Shape::kGroups ? 2 : 12))
    return GroupId(1 + static_cast<std::uint32_t>(below(shape_ == Shape::kGroups ? spread_ : 5)));
  return prefix(family);
}

std::vector<AddressMatch> RandomRules::side() {
  std::vector<AddressMatch> out;
  if (one_in(shape_ == Shape::kMixed ? 3 : 10)) return out;
  const std::size_t n = one_in(6) ? 1 + below(4) : 1;
  const Family family = one_in(2) ? Family::kV4 : Family::kV6;
  for (std::size_t i = 0; i < n; i++)
    out.push_back(address_match(one_in(4) ? (one_in(2) ? Family::kV4 : Family::kV6) : family));
  return out;
}

std::uint16_t RandomRules::port() {
  if (one_in(20)) return one_in(2) ? 0 : 65535;
  return static_cast<std::uint16_t>(shape_ == Shape::kRanges ? random_() : below(spread_ * 2) + 1);
}

PortRange RandomRules::range() {
  if (one_in(30)) return {};
  const std::uint16_t a = port();
  const std::uint16_t b = shape_ == Shape::kRanges || one_in(4) ? port() : a;
  return {std::min(a, b), std::max(a, b)};
}

Rule RandomRules::rule() {
  constexpr std::array<std::uint8_t, 6> with_ports{6, 17, 132, 6, 17, 33};
  constexpr std::array<std::uint8_t, 6> any{6, 17, 1, 58, 47, 0};
  Rule out;
  out.action = static_cast<Action>(below(3));
  out.log = one_in(4);
  out.stateless = one_in(4);
  out.src = side();
  out.dst = side();
  if (one_in(12)) out.family = one_in(2) ? Family::kV4 : Family::kV6;
  switch (below(8)) {
    case 0:
      for (std::size_t n = 1 + below(3); n > 0; n--) {
        IcmpMatch icmp{
            one_in(2) ? Family::kV4 : Family::kV6, static_cast<std::uint8_t>(below(4)), {}};
        if (one_in(2)) icmp.code = static_cast<std::uint8_t>(below(3));
        out.icmp.push_back(icmp);
      }
      if (one_in(3)) out.protocols = {1};
      if (one_in(3)) out.protocols.push_back(58);
      break;
    case 1:
      out.tcp_flags = TcpFlags{static_cast<std::uint8_t>(random_()), 0};
      out.tcp_flags->value = static_cast<std::uint8_t>(out.tcp_flags->mask & random_());
      if (one_in(2)) out.protocols = {6};
      if (one_in(2)) out.dst_ports = {range()};
      break;
    case 2:
      for (std::size_t n = below(3); n > 0; n--) out.protocols.push_back(any[below(any.size())]);
      break;
    default:
      for (std::size_t n = below(3); n > 0; n--)
        out.protocols.push_back(with_ports[below(with_ports.size())]);
      for (std::size_t n = one_in(4) ? 2 : below(2); n > 0; n--) out.src_ports.push_back(range());
      for (std::size_t n = one_in(6) ? 3 : 1; n > 0; n--) out.dst_ports.push_back(range());
  }
  return out;
}

RuleSet RandomRules::rule_set() {
  constexpr std::array<std::uint32_t, 7> sizes{0, 1, 5, 12, 60, 300, 900};
  constexpr std::array<std::uint32_t, 4> spreads{4, 24, 300, 4000};
  shape_ = static_cast<Shape>(below(6));
  spread_ = spreads[below(spreads.size())];
  if (shape_ == Shape::kFewHosts) spread_ = 12;
  RuleSet out;
  out.default_action = static_cast<Action>(below(3));
  out.log_default = one_in(2);
  const std::uint64_t n = below(sizes[below(sizes.size())] + 1);
  for (std::uint64_t i = 0; i < n; i++) out.rules.push_back(rule());
  // Catch-alls would hide what stands behind them; they belong near the end.
  std::ranges::stable_partition(out.rules, [](const Rule& r) {
    return !r.src.empty() || !r.dst.empty() || !r.dst_ports.empty();
  });
  return out;
}

RuleSet RandomRules::overlapping(std::size_t rules, Family family) {
  RuleSet out;
  for (std::size_t i = 0; i < rules; i++) {
    Rule r;
    r.protocols = {6};
    for (auto* side : {&r.src, &r.dst}) {
      IpPrefix prefix;
      prefix.address.family = family;
      prefix.length = static_cast<std::uint8_t>(below(prefix.address.width() + 1));
      for (int byte = 0; byte < prefix.address.width() / 8; byte++)
        prefix.address.bytes[byte] = static_cast<std::uint8_t>(random_());
      prefix.address = masked(prefix.address, prefix.length);
      side->push_back(prefix);
    }
    for (auto* side : {&r.src_ports, &r.dst_ports}) {
      const auto a = static_cast<std::uint16_t>(random_()),
                 b = static_cast<std::uint16_t>(random_());
      side->push_back({std::min(a, b), std::max(a, b)});
    }
    out.rules.push_back(r);
  }
  return out;
}

ps_packet_view RandomRules::any_packet(Family family) {
  ps_packet_view out{};
  out.family = family == Family::kV4 ? 4 : 6;
  out.proto = 6;
  out.flags = PS_VIEW_PORTS_VALID;
  out.sport = static_cast<std::uint16_t>(random_());
  out.dport = static_cast<std::uint16_t>(random_());
  for (ps_address* side : {&out.src, &out.dst})
    for (int byte = 0; byte < (family == Family::kV4 ? 4 : 16); byte++)
      side->b[byte] = static_cast<std::uint8_t>(random_());
  return out;
}

void RandomRules::take_side(const std::vector<AddressMatch>& list, Family family, ps_address& to,
                            std::uint32_t* groups) {
  IpAddress chosen = address(family);
  if (!list.empty()) {
    const AddressMatch& one = list[below(list.size())];
    if (const auto* id = std::get_if<GroupId>(&one)) groups[0] = id->value;
    const auto* prefix = std::get_if<IpPrefix>(&one);
    if (prefix && prefix->address.family == family) {
      switch (below(5)) {
        case 0:
          chosen = prefix->address;
          break;
        case 1:
          chosen = prefix->last();
          break;
        case 2:
          chosen = prefix->last().plus(1);
          break;
        case 3:
          chosen = prefix->address.plus(~std::uint64_t{0});
          break;  // one before, roughly
        default:
          chosen = prefix->address.plus(below(spread_));
      }
    }
  }
  std::memset(&to, 0, sizeof to);
  std::memcpy(to.b, chosen.bytes.data(), family == Family::kV4 ? 4 : 16);
}

ps_packet_view RandomRules::packet(const RuleSet& set) {
  constexpr std::array<std::uint8_t, 8> protocols{6, 6, 17, 17, 1, 58, 132, 47};
  const Rule none;
  const bool aimed = !set.rules.empty() && !one_in(4);
  const Rule& rule = aimed ? set.rules[below(set.rules.size())] : none;
  Family family = rule.family.value_or(one_in(2) ? Family::kV4 : Family::kV6);
  for (const auto* list : {&rule.src, &rule.dst})
    for (const AddressMatch& one : *list)
      if (const auto* prefix = std::get_if<IpPrefix>(&one); prefix && !one_in(4))
        family = prefix->address.family;

  ps_packet_view out{};
  out.family = family == Family::kV4 ? 4 : 6;
  take_side(rule.src, family, out.src, out.src_groups);
  take_side(rule.dst, family, out.dst, out.dst_groups);
  for (std::uint32_t* groups : {out.src_groups, out.dst_groups}) {
    const std::size_t n = below(one_in(3) ? PS_MAX_GROUPS_PER_ADDRESS + 1 : 2);
    for (std::size_t i = groups[0] ? 1 : 0; i < n; i++)
      groups[i] = 1 + static_cast<std::uint32_t>(below(spread_ + 3));
  }
  out.proto = rule.protocols.empty() || one_in(8) ? protocols[below(protocols.size())]
                                                  : rule.protocols[below(rule.protocols.size())];
  if (rule.tcp_flags && !one_in(8)) out.proto = 6;
  if (!rule.icmp.empty() && !one_in(8)) out.proto = family == Family::kV4 ? 1 : 58;
  const auto edge = [&](const std::vector<PortRange>& ranges) {
    if (ranges.empty()) return port();
    const PortRange& range = ranges[below(ranges.size())];
    const std::array<int, 5> choices{range.low, range.high, range.low - 1, range.high + 1,
                                     (range.low + range.high) / 2};
    return static_cast<std::uint16_t>(choices[below(5)]);
  };
  const bool with_ports = out.proto == 6 || out.proto == 17 || out.proto == 132 || out.proto == 33;
  const bool later = one_in(10);
  if (later) out.flags |= PS_VIEW_FRAGMENT_LATER;
  if (with_ports && (!later || one_in(10)) && !one_in(30)) {
    out.flags |= PS_VIEW_PORTS_VALID;
    out.sport = edge(rule.src_ports);
    out.dport = edge(rule.dst_ports);
  }
  if (out.proto == 6 && !later) {
    out.tcp_flags = static_cast<std::uint8_t>(random_());
    if (rule.tcp_flags && one_in(2))
      out.tcp_flags = static_cast<std::uint8_t>((out.tcp_flags & ~rule.tcp_flags->mask) |
                                                rule.tcp_flags->value);
  }
  if ((out.proto == 1 || out.proto == 58) && !later) {
    out.icmp_type = static_cast<std::uint8_t>(below(4));
    out.icmp_code = static_cast<std::uint8_t>(below(3));
  }
  return out;
}

}  // namespace penstock::policy
