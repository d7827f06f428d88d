// "tcp port 80": the expressions of tcpdump, in the kernel.
#pragma once

#include <linux/filter.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::lab {

// What tcpdump says is wrong comes as the error. Empty expression: no instructions.
Result<std::vector<sock_filter>> compile_filter(const std::string& expression);
// Reads what `tcpdump -ddd` prints: a count, then "code jt jf k" a line.
Result<std::vector<sock_filter>> parse_filter(const std::string& text);

}  // namespace penstock::lab
