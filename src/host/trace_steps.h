// What a program said of a packet (abi/trace.h), in words: steps, where it ended, and who decided.
// Names come from what this host holds, not from the server, whose newest may be another. Pure.
#pragma once

#include <string>

#include "abi/reasons.h"
#include "abi/trace.h"
#include "host/intent.h"
#include "host/policy_table.h"
#include "penstock/v1/trace.pb.h"

namespace penstock::host {

struct TraceNames {
  const Intent& intent;
  const PolicyTable& policies;

  // "web-1/eth0"; of a port that this host does not know: "port 7".
  std::string nic(std::uint32_t port_id) const;
  // The rule with this number in the image of one direction of the policy that the switch knows by
  // this number.
  v1::TraceDecision rule(std::uint32_t number, std::uint32_t rule, int direction,
                         std::uint32_t port_id) const;
  // The port's step of that number drops nothing.
  bool observes(std::uint32_t number, std::uint32_t port_id) const;
  // A limit of the port (enum ps_limit) that comes from this policy's level.
  v1::TraceDecision limit(std::uint32_t number, std::uint32_t kind, std::uint32_t port_id) const;
};

// Adds the steps of one run to the report and sets how it ended. `evidence`: "executed",
// "observed".
void tell(const ps_trace&, const TraceNames&, std::string_view evidence, v1::TraceReport&);

// What the switch does by itself, by the reason with which it drops: "anti-spoofing".
std::string component_of(ps_drop_reason);

}  // namespace penstock::host
