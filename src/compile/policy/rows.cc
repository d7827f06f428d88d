#include "compile/policy/rows.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <span>
#include <string_view>

#include <fmt/format.h>

namespace penstock::policy {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kIcmp6 = 58;
constexpr std::array<std::uint8_t, 5> kWithPorts{6, 17, 33, 132, 136};

template <typename T>
void sort_unique(std::vector<T>& items) {
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

// One test of the transport header.
struct L4Test {
  std::optional<std::uint8_t> proto;
  std::uint16_t mask = 0, value = 0;
  auto operator<=>(const L4Test&) const = default;
};

bool only(const std::vector<std::uint8_t>& protocols, std::span<const std::uint8_t> allowed) {
  return std::ranges::all_of(
      protocols, [&](std::uint8_t p) { return std::ranges::find(allowed, p) != allowed.end(); });
}

Status check_rule(const Rule& rule, std::string_view path) {
  for (const auto& [side, list] : {std::pair{"src", &rule.src}, std::pair{"dst", &rule.dst}})
    for (const AddressMatch& one : *list) {
      if (const auto* id = std::get_if<GroupId>(&one); id && id->value == 0)
        return fail_field(fmt::format("{}.{}", path, side), "group 0 is no group");
      if (const auto* prefix = std::get_if<IpPrefix>(&one);
          prefix && prefix->length > prefix->address.width())
        return fail_field(fmt::format("{}.{}", path, side), "prefix longer than its address");
    }
  for (const auto& [side, list] :
       {std::pair{"src_ports", &rule.src_ports}, std::pair{"dst_ports", &rule.dst_ports}}) {
    for (const PortRange& range : *list)
      if (range.low > range.high)
        return fail_field(fmt::format("{}.{}", path, side),
                          fmt::format("{} is no range: low end above high end", range.text()));
    if (!list->empty() && !only(rule.protocols, kWithPorts))
      return fail_field(fmt::format("{}.{}", path, side), "ports with a protocol that has none",
                        "name only tcp, udp, dccp, sctp or udplite in protocols");
  }
  if (!rule.icmp.empty()) {
    if (!only(rule.protocols, std::array{kIcmp, kIcmp6}))
      return fail_field(fmt::format("{}.icmp", path), "ICMP types with another protocol",
                        "make a rule of its own for the other protocols");
    if (rule.tcp_flags || !rule.src_ports.empty() || !rule.dst_ports.empty())
      return fail_field(fmt::format("{}.icmp", path), "ICMP types with ports or TCP flags");
  }
  if (rule.tcp_flags) {
    if (!only(rule.protocols, std::array{kTcp}))
      return fail_field(fmt::format("{}.tcp_flags", path), "TCP flags with another protocol",
                        "make a rule of its own for the other protocols");
    if (rule.tcp_flags->value & ~rule.tcp_flags->mask)
      return fail_field(fmt::format("{}.tcp_flags", path),
                        "flags to be set that are not in the mask", "add them to the mask");
  }
  return {};
}

// Those of a side's addresses that a packet of the family can have; empty: the rule is not for this
// family.
std::vector<AddressMatch> addresses(const std::vector<AddressMatch>& list, Family family) {
  std::vector<AddressMatch> out;
  for (const AddressMatch& one : list) {
    const auto* prefix = std::get_if<IpPrefix>(&one);
    if (std::holds_alternative<AnyAddress>(one) ||
        (prefix && prefix->address.family == family && prefix->length == 0))
      return {AnyAddress{}};
    if (!prefix || prefix->address.family == family) out.push_back(one);
  }
  if (list.empty()) out.push_back(AnyAddress{});
  sort_unique(out);
  return out;
}

std::vector<L4Test> l4_tests(const Rule& rule, Family family) {
  std::vector<L4Test> out;
  if (!rule.icmp.empty()) {
    const std::uint8_t proto = family == Family::kV4 ? kIcmp : kIcmp6;
    if (!rule.protocols.empty() && std::ranges::find(rule.protocols, proto) == rule.protocols.end())
      return {};
    for (const IcmpMatch& one : rule.icmp)
      if (one.family == family)
        out.push_back({proto, static_cast<std::uint16_t>(one.code ? 0xffff : 0x00ff),
                       static_cast<std::uint16_t>(one.type | one.code.value_or(0) << 8)});
  } else if (rule.tcp_flags) {
    out.push_back({kTcp, rule.tcp_flags->mask, rule.tcp_flags->value});
  } else {
    for (std::uint8_t proto : rule.protocols) out.push_back({proto, 0, 0});
    if (rule.protocols.empty()) out.push_back({});
  }
  sort_unique(out);
  return out;
}

std::vector<PortRange> ports(const std::vector<PortRange>& list) {
  std::vector<PortRange> out = list;
  if (out.empty()) out.emplace_back();
  sort_unique(out);
  return out;
}

void constrain_address(Row& row, int side, const AddressMatch& match) {
  if (const auto* id = std::get_if<GroupId>(&match)) {
    row.group[side] = id->value;
    row.tail.match |= side == 0 ? PS_ROW_SRC_GROUP : PS_ROW_DST_GROUP;
  }
  const auto* prefix = std::get_if<IpPrefix>(&match);
  if (!prefix) return;
  const int first = side == 0 ? PS_FIELD_SRC : PS_FIELD_DST;
  for (int word = 0; word < prefix->address.width() / 32; word++) {
    const int bits = std::clamp(prefix->length - 32 * word, 0, 32);
    const std::uint32_t mask = bits == 0 ? 0 : kTop << (32 - bits);
    const std::uint8_t* b = prefix->address.bytes.data() + std::size_t{4} * word;
    const std::uint32_t value = std::uint32_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
    row.low[first + word] = value & mask;
    row.high[first + word] = value | ~mask;
  }
}

// A row that names ports accepts none of PS_PORT_NONE, also when every port will do.
void constrain_ports(Row& row, int field, const PortRange& range, bool needs_ports) {
  row.low[field] = range.low;
  row.high[field] = range.high == 65535 && !needs_ports ? kTop : range.high;
}

void constrain_l4(Row& row, const L4Test& test) {
  if (!test.mask) return;
  auto& low = row.low[PS_FIELD_L4];
  auto& high = row.high[PS_FIELD_L4];
  if (test.proto == kTcp) {
    low = PS_L4_TCP | test.value;
    high = PS_L4_TCP | test.value | (~test.mask & 0xffu);
    return;
  }
  const std::uint32_t type = test.value & 0xff, code = test.value >> 8;
  low = type << 8 | code;
  high = test.mask == 0xffff ? low : type << 8 | 0xff;
}

Row make_row(std::size_t rule, const AddressMatch& src, const AddressMatch& dst, const L4Test& l4,
             const PortRange& sport, const PortRange& dport, bool needs_ports) {
  Row row;
  row.high.fill(kTop);
  row.tail = {.sport_low = sport.low,
              .sport_high = sport.high,
              .dport_low = dport.low,
              .dport_high = dport.high,
              .proto = l4.proto.value_or(0),
              .match = static_cast<std::uint8_t>((l4.proto ? PS_ROW_PROTO : 0) |
                                                 (needs_ports ? PS_ROW_PORTS : 0)),
              .l4_mask = l4.mask,
              .l4_value = l4.value,
              .rule = static_cast<std::uint16_t>(rule)};
  constrain_address(row, 0, src);
  constrain_address(row, 1, dst);
  constrain_ports(row, PS_FIELD_SPORT, sport, needs_ports);
  constrain_ports(row, PS_FIELD_DPORT, dport, needs_ports);
  constrain_l4(row, l4);
  if (l4.proto) row.low[PS_FIELD_PROTO] = row.high[PS_FIELD_PROTO] = *l4.proto;
  return row;
}

std::uint32_t to_be(std::uint32_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

// The address words of a side as the wire has them, and the mask of the given word.
std::uint32_t mask_of(const Row& row, int field) {
  return to_be(~(row.low[field] ^ row.high[field]));
}

void record6_side(const Row& row, int side, ps_address& address, __be64& mask,
                  std::uint8_t& match) {
  const int first = side == 0 ? PS_FIELD_SRC : PS_FIELD_DST;
  if (row.group[side]) {
    address.w[0] = row.group[side];
    return;
  }
  ps_address masks{};
  for (int word = 0; word < 4; word++) {
    address.w[word] = to_be(row.low[first + word]);
    masks.w[word] = mask_of(row, first + word);
  }
  const bool is_long = masks.d[1] != 0;
  mask = is_long ? masks.d[1] : masks.d[0];
  if (is_long) match |= side == 0 ? PS_ROW_SRC_LONG : PS_ROW_DST_LONG;
}

}  // namespace

Status check(const RuleSet& set) {
  if (set.rules.size() > PS_MAX_RULES)
    return fail_field("rules",
                      fmt::format("{} rules; one policy holds {}", set.rules.size(), PS_MAX_RULES));
  for (std::size_t i = 0; i < set.rules.size(); i++)
    PENSTOCK_CHECK(check_rule(set.rules[i], fmt::format("rules[{}]", i)));
  return {};
}

Result<std::vector<Row>> expand(const RuleSet& set, Family family, std::size_t max_rows) {
  std::vector<Row> rows;
  rows.reserve(std::min(set.rules.size(), max_rows));
  for (std::size_t i = 0; i < set.rules.size(); i++) {
    const Rule& rule = set.rules[i];
    if (rule.family && *rule.family != family) continue;
    const auto src = addresses(rule.src, family);
    const auto dst = addresses(rule.dst, family);
    const auto l4 = l4_tests(rule, family);
    const auto sports = ports(rule.src_ports);
    const auto dports = ports(rule.dst_ports);
    const bool needs_ports = !rule.src_ports.empty() || !rule.dst_ports.empty();
    // In double, because the product of five list lengths may not fit any integer.
    const double count = double(src.size()) * double(dst.size()) * double(l4.size()) *
                         double(sports.size()) * double(dports.size());
    if (double(rows.size()) + count > double(max_rows))
      return std::unexpected(
          Error{Code::kResourceExhausted,
                fmt::format("rule {} ({}) makes {:.0f} {} rows, {} are taken by the rules before "
                            "it, a policy holds {}",
                            i, rule.name.empty() ? "unnamed" : rule.name, count,
                            family == Family::kV4 ? "IPv4" : "IPv6", rows.size(), max_rows),
                {{fmt::format("rules[{}]", i),
                  "too many combinations of addresses, protocols and ports", ""}},
                "name fewer or wider addresses and ports, or use a group"});
    for (const auto& s : src)
      for (const auto& d : dst)
        for (const auto& test : l4)
          for (const auto& sport : sports)
            for (const auto& dport : dports)
              rows.push_back(make_row(i, s, d, test, sport, dport, needs_ports));
  }
  return rows;
}

ps_row4 record4(const Row& row) {
  ps_row4 record{};
  record.tail = row.tail;
  if (row.group[0])
    record.src = row.group[0];
  else {
    record.src = to_be(row.low[PS_FIELD_SRC]);
    record.src_mask = mask_of(row, PS_FIELD_SRC);
  }
  if (row.group[1])
    record.dst = row.group[1];
  else {
    record.dst = to_be(row.low[PS_FIELD_DST]);
    record.dst_mask = mask_of(row, PS_FIELD_DST);
  }
  return record;
}

ps_row6 record6(const Row& row) {
  ps_row6 record{};
  record.tail = row.tail;
  record6_side(row, 0, record.src, record.src_mask, record.tail.match);
  record6_side(row, 1, record.dst, record.dst_mask, record.tail.match);
  return record;
}

}  // namespace penstock::policy
