// Rules into a policy image (bpf/abi/policy.h). Pure: the same rules give the same bytes,
// everywhere and always.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "abi/policy.h"
#include "base/error.h"
#include "compile/policy/rules.h"

namespace penstock::policy {

struct BuildLimits {
  std::size_t max_rows = PS_MAX_ROWS;  // of one family; tunable rules_per_step_max
};

struct FamilyStats {
  std::size_t rows = 0;
  std::size_t always = 0;   // checked for every packet
  std::size_t pivoted = 0;  // found in the list of one interval or group
  std::size_t dense = 0;    // found by intersection
  std::size_t fields = 0;   // searched for every packet
  std::size_t classes = 0;  // distinct sets of dense rows, over all fields
  std::size_t vectors = 0;  // kept of them
};

struct BuildStats {
  std::array<FamilyStats, 2> family;  // IPv4, IPv6
  std::size_t bytes = 0;
  double bytes_per_rule = 0;
  std::vector<std::size_t>
      never;  // rules that no packet can match, such as an IPv4 source with an IPv6 destination
};

struct PolicyImage {
  std::vector<ps_line> lines;
  BuildStats stats;

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(lines)); }
};

// Errors: kInvalidArgument for a rule that cannot be (field path "rules[i]..."), kResourceExhausted
// for one that makes too many rows (which, how many). `field path` indexes are those of set.rules.
Result<PolicyImage> build_policy(const RuleSet& set, const BuildLimits& = {});

}  // namespace penstock::policy
