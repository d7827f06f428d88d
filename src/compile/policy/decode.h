// The one reader of policy images besides the classifier: for explain, tests and audits. It trusts
// nothing: an image that it accepts has every reference in range and every unused byte zero.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "abi/policy.h"
#include "base/error.h"
#include "compile/policy/rules.h"

namespace penstock::policy {

struct DecodedRow {
  std::uint16_t rule = 0;  // index in the RuleSet
  AddressMatch src, dst;
  std::optional<std::uint8_t> protocol;
  bool needs_ports = false;
  PortRange src_ports, dst_ports;
  std::uint16_t l4_mask = 0, l4_value = 0;  // ICMP type | code << 8, or TCP flags
  bool operator==(const DecodedRow&) const = default;

  std::string text() const;  // "rule 3: 10.0.0.0/8 -> group 7, tcp, to 80-90, flags & 0x02 = 0x02"
};

struct DecodedPolicy {
  std::uint32_t lines = 0;
  Action default_action = Action::kDeny;
  bool log_default = false;
  struct Verdict {
    Action action = Action::kAllow;
    bool log = false, stateless = false;
    bool operator==(const Verdict&) const = default;
  };
  std::vector<Verdict> rules;
  std::array<std::vector<DecodedRow>, 2> rows;  // IPv4, IPv6; in rule order
};

// `lines` begins with the image and may be longer. Anything wrong: kInvalidArgument, saying where.
Result<DecodedPolicy> decode_policy(std::span<const ps_line> lines);

}  // namespace penstock::policy
