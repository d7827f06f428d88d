// A policy's resolved rules (host.proto) as the policy compiler takes them, one rule set a
// direction. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "abi/types.h"
#include "base/error.h"
#include "compile/policy/rules.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

struct DirectedRules {
  policy::RuleSet set;
  // Position in the profile's list of each rule of the set: what people know a rule by.
  std::vector<std::uint32_t> index;
  std::vector<std::string> name;
};

struct PolicyRules {
  std::array<DirectedRules, 2> direction;  // [PS_OUT], [PS_IN]
  std::set<std::uint64_t> groups;          // that any rule names
};

// kInvalidArgument with the field path when a rule says what cannot be.
// `self` is the protected VM: the source of everything it sends and the destination of all it
// receives, so there it is "any"; at the other end it never matches, because a VM does not reach
// itself through the switch.
Result<PolicyRules> policy_rules(const v1::ResolvedFilter&);

}  // namespace penstock::host
