// Counters as people read them.
#pragma once

#include <string>

#include "cli/console.h"
#include "cli/json.h"

namespace penstock::cli {

// An answer of /v1:counters. With `before` and `seconds` rates since then are shown beside the
// sums.
void print_counters(Console&, const std::string& subject, const Json& counters,
                    const Json* before = nullptr, double seconds = 0);

// "12", "3.4k", "5.6M": at most five characters, for columns.
std::string short_number(double);

}  // namespace penstock::cli
