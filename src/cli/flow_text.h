// Parts of a FlowRecord as people read them.
#pragma once

#include <string>

#include "cli/json.h"

namespace penstock::cli {

std::string ends_text(const Json& flow);      // "web-1:50112 -> 8.8.8.8:53"
std::string protocol_text(const Json& flow);  // "tcp SYN", "icmp 8/0"
std::string rule_text(const Json& flow);      // "#3 \"no-ssh\"", "#default"

}  // namespace penstock::cli
