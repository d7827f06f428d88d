#include "host/rule_text.h"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "net/address.h"

namespace penstock::host {
namespace {

// Longer lists are cut: the line is for the eye, the rule itself is in the profile.
constexpr int kMost = 3;

template <typename List, typename Text>
std::string some(const List& list, Text text) {
  std::vector<std::string> words;
  for (int i = 0; i < list.size() && i < kMost; ++i) words.push_back(text(list[i]));
  if (list.size() > kMost) words.push_back(fmt::format("+{}", list.size() - kMost));
  return fmt::format("{}", fmt::join(words, ","));
}

std::string span_text(const v1::PortSpan& span) {
  return span.low() == span.high() ? fmt::format("{}", span.low())
                                   : fmt::format("{}-{}", span.low(), span.high());
}

}  // namespace

std::string action_text(v1::FilterAction action) {
  switch (action) {
    case v1::DENY:
      return "deny";
    case v1::REJECT:
      return "reject";
    default:
      return "allow";
  }
}

std::string rule_text(const v1::ResolvedRule& rule, const Intent& intent) {
  const auto peer = [&](const v1::ResolvedPeer& p) -> std::string {
    if (p.self()) return "self";
    if (p.group() == 0) return p.cidr();
    const auto* group = intent.group(p.group());
    return group ? fmt::format("{{{}}}", group->text()) : "{a group}";
  };
  auto out = action_text(rule.action());
  if (!rule.protocols().empty() && rule.icmp().empty())
    out += " " + some(rule.protocols(), [](std::uint32_t protocol) {
             return ip_protocol_text(static_cast<std::uint8_t>(protocol));
           });
  if (!rule.icmp().empty())
    out += " icmp type " +
           some(rule.icmp(), [](const v1::IcmpMatch& m) { return fmt::format("{}", m.type()); });
  if (!rule.from().empty()) out += " from " + some(rule.from(), peer);
  if (!rule.source_ports().empty()) out += " sport " + some(rule.source_ports(), span_text);
  if (!rule.to().empty()) out += " to " + some(rule.to(), peer);
  if (!rule.ports().empty()) out += " dport " + some(rule.ports(), span_text);
  return out;
}

}  // namespace penstock::host
