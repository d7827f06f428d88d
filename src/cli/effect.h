// What a dry run says about traffic.
#pragma once

#include <string>

#include "cli/console.h"
#include "cli/json.h"

namespace penstock::cli {

// "1 port on 1 host; 12 live flows judged again, 2 would be cut"; empty: the server says nothing.
std::string effect_summary(const Json& outcome);
std::int64_t flows_cut(const Json& outcome);
// Flows that would be cut, and what is not known.
void print_effect(Console&, const Json& outcome);

}  // namespace penstock::cli
