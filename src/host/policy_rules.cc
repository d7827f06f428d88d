#include "host/policy_rules.h"

#include <optional>

#include <fmt/format.h>

#include "net/switch_number.h"

namespace penstock::host {
namespace {

policy::Action action_of(v1::FilterAction action) {
  switch (action) {
    case v1::DENY:
      return policy::Action::kDeny;
    case v1::REJECT:
      return policy::Action::kReject;
    default:
      return policy::Action::kAllow;  // an unspecified default allows (filter.proto)
  }
}

// The peers of one end. Nothing: they can never match in this direction, and with them the rule.
Result<std::optional<std::vector<policy::AddressMatch>>> matches(
    const google::protobuf::RepeatedPtrField<v1::ResolvedPeer>& peers, bool end_is_self,
    const std::string& field, std::set<std::uint64_t>& groups) {
  std::vector<policy::AddressMatch> out;
  if (peers.empty()) return out;
  for (int i = 0; i < peers.size(); ++i) {
    const auto& peer = peers[i];
    if (peer.self()) {
      if (end_is_self) out.emplace_back(policy::AnyAddress{});
    } else if (peer.group() != 0) {
      groups.insert(peer.group());
      out.emplace_back(policy::GroupId(switch_number(peer.group())));
    } else {
      const auto prefix = IpPrefix::parse(peer.cidr());
      if (!prefix)
        return fail_field(fmt::format("{}[{}].cidr", field, i), prefix.error().message,
                          prefix.error().hint);
      out.emplace_back(*prefix);
    }
  }
  if (out.empty()) return std::nullopt;
  return out;
}

Result<std::vector<PortRange>> ranges(const google::protobuf::RepeatedPtrField<v1::PortSpan>& spans,
                                      const std::string& field) {
  std::vector<PortRange> out;
  for (const auto& span : spans) {
    if (span.low() > span.high() || span.high() > 65535)
      return fail_field(field,
                        fmt::format("{}-{} is not a range of ports", span.low(), span.high()));
    out.push_back(
        {static_cast<std::uint16_t>(span.low()), static_cast<std::uint16_t>(span.high())});
  }
  return out;
}

// Nothing: the rule can never match in this direction.
Result<std::optional<policy::Rule>> rule_of(const v1::ResolvedRule& rule, ps_direction direction,
                                            const std::string& field,
                                            std::set<std::uint64_t>& groups) {
  policy::Rule out;
  out.name = rule.name();
  out.action = action_of(rule.action());
  out.log = rule.log();
  auto from = PENSTOCK_TRY(matches(rule.from(), direction == PS_OUT, field + ".from", groups));
  auto to = PENSTOCK_TRY(matches(rule.to(), direction == PS_IN, field + ".to", groups));
  if (!from || !to) return std::nullopt;
  out.src = std::move(*from);
  out.dst = std::move(*to);
  for (const auto protocol : rule.protocols()) {
    if (protocol > 255)
      return fail_field(field + ".protocols", fmt::format("{} is not an IP protocol", protocol));
    out.protocols.push_back(static_cast<std::uint8_t>(protocol));
  }
  out.src_ports = PENSTOCK_TRY(ranges(rule.source_ports(), field + ".sourcePorts"));
  out.dst_ports = PENSTOCK_TRY(ranges(rule.ports(), field + ".ports"));
  for (const auto& icmp : rule.icmp()) {
    policy::IcmpMatch match;
    match.family = icmp.v6() ? Family::kV6 : Family::kV4;
    if (icmp.type() < 0 || icmp.type() > 255)
      return fail_field(field + ".icmp", fmt::format("{} is not an ICMP type", icmp.type()));
    match.type = static_cast<std::uint8_t>(icmp.type());
    if (icmp.codes().empty()) out.icmp.push_back(match);
    for (const auto code : icmp.codes()) {
      if (code < 0 || code > 255)
        return fail_field(field + ".icmp", fmt::format("{} is not an ICMP code", code));
      match.code = static_cast<std::uint8_t>(code);
      out.icmp.push_back(match);
    }
  }
  if (rule.tcp_mask() != 0 || rule.tcp_set() != 0) {
    if (rule.tcp_mask() > 255 || rule.tcp_set() > 255)
      return fail_field(field + ".tcpMask", "TCP flags are one byte");
    out.tcp_flags = policy::TcpFlags{static_cast<std::uint8_t>(rule.tcp_mask()),
                                     static_cast<std::uint8_t>(rule.tcp_set())};
  }
  if (rule.family() == v1::FilterRule::IPV4) out.family = Family::kV4;
  if (rule.family() == v1::FilterRule::IPV6) out.family = Family::kV6;
  return out;
}

}  // namespace

Result<PolicyRules> policy_rules(const v1::ResolvedFilter& filter) {
  PolicyRules out;
  out.direction[PS_OUT].set.default_action = action_of(filter.default_out());
  out.direction[PS_IN].set.default_action = action_of(filter.default_in());
  out.direction[PS_OUT].set.log_default = filter.log_default_out();
  out.direction[PS_IN].set.log_default = filter.log_default_in();
  for (int i = 0; i < filter.rules_size(); ++i) {
    const auto& rule = filter.rules(i);
    for (const auto direction : {PS_OUT, PS_IN}) {
      const auto only_other = direction == PS_OUT ? v1::FilterRule::IN : v1::FilterRule::OUT;
      if (rule.direction() == only_other) continue;
      auto made = PENSTOCK_TRY(rule_of(rule, direction, fmt::format("rules[{}]", i), out.groups));
      if (!made) continue;
      auto& directed = out.direction[direction];
      directed.set.rules.push_back(std::move(*made));
      directed.index.push_back(rule.index());
      directed.name.push_back(rule.name());
    }
  }
  return out;
}

}  // namespace penstock::host
