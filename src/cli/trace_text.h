// The words of `penstock trace`: the ends as people type them, and a trace as lines.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"

namespace penstock::cli {

struct TraceEnds {
  std::string vm, nic;  // "acme/web-1", "eth0"
  Json packet;          // destination, protocol, destinationPort
};

// {"acme/web-1/eth0", "10.0.2.7:22/tcp"}, also with "->" or "to" between, or in one word
// "web-1->db-1:80". [fd00::7]:443/tcp, fd00::7/icmp, db-1:5432 (tcp), 10.0.0.2 (an echo request),
// 10.0.0.2/47.
Result<TraceEnds> parse_trace_ends(const std::vector<std::string>& words);

// Takes out what differs from one run to the next.
void make_minimal(Json& trace);

// The answer, then a line a step, steps that changed nothing folded into one.
void print_trace(Console&, const Json& trace, bool minimal);

}  // namespace penstock::cli
