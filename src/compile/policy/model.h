// What rules mean, said a second time and as plainly as possible: the oracle of the tests. It
// shares nothing with the builder and the classifier but the rules and the packet's view.
#pragma once

#include <cstddef>
#include <optional>

#include "abi/policy.h"
#include "compile/policy/rules.h"

namespace penstock::policy {

bool matches(const Rule&, const ps_packet_view&);

// Index of the first rule that matches, or none.
std::optional<std::size_t> first_match(const RuleSet&, const ps_packet_view&);

}  // namespace penstock::policy
