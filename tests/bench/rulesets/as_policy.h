// The rule sets as input of the policy compiler, and the packet that their last rule matches.
#pragma once

#include <cstring>

#include "abi/policy.h"
#include "bench/rulesets/rulesets.h"
#include "compile/policy/rules.h"

namespace penstock::bench {

inline policy::RuleSet as_policy(const std::vector<BenchRule>& rules) {
  policy::RuleSet out;
  for (const BenchRule& rule : rules) {
    policy::Rule one;
    one.action = rule.allow ? policy::Action::kAllow : policy::Action::kDeny;
    one.src = {rule.source};
    one.dst = {rule.destination};
    one.protocols = {6};
    one.dst_ports = {{rule.port, rule.port}};
    out.rules.push_back(one);
  }
  return out;
}

inline ps_packet_view packet_of(const Connection& connection) {
  ps_packet_view out{};
  out.family = connection.source.family == Family::kV4 ? 4 : 6;
  std::memcpy(out.src.b, connection.source.bytes.data(), 16);
  std::memcpy(out.dst.b, connection.destination.bytes.data(), 16);
  out.proto = 6;
  out.sport = 40'000;
  out.dport = connection.port;
  out.tcp_flags = 0x02;
  out.flags = PS_VIEW_PORTS_VALID;
  return out;
}

}  // namespace penstock::bench
