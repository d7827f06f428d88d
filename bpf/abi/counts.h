// What is counted of rules and ports, by CPU. Plain adds by the programs; user space sums them up.
#ifndef PENSTOCK_ABI_COUNTS_H
#define PENSTOCK_ABI_COUNTS_H

#include "abi/types.h"

// Of one rule, or default action, of one step of one or more ports (ps_step.counts).
struct ps_rule_count {
  __u64 flows;       // it decided about: new flows, and every packet it refused
  __u64 would_deny;  // of these, let pass because the step only observes
  __u64 last_ns;     // CLOCK_MONOTONIC (coarse)
  // Of its flows, both ways. Taken over from the flow entries by the sweep, and when an entry is
  // judged again or replaced.
  __u64 packets;
  __u64 bytes;
};
PS_CHECK_SIZE(ps_rule_count, 40);

// A map element holds a block of them: a per-CPU array allocates each element by itself, of which
// a quarter of a million take seconds. Ranges of different owners share no block, because user
// space writes whole elements.
#define PS_RULES_PER_BLOCK 16
struct ps_rule_block {
  struct ps_rule_count count[PS_RULES_PER_BLOCK];
};
PS_CHECK_SIZE(ps_rule_block, 40 * PS_RULES_PER_BLOCK);

// Drops of a port, by reason. Of a full map only ps_drops knows.
struct ps_port_drop_key {
  __u32 port_id;
  __u32 reason;  // enum ps_drop_reason
};
PS_CHECK_SIZE(ps_port_drop_key, 8);

// A token bucket of one CPU.
struct ps_budget {
  __u64 filled_ns;
  __u64 tokens;
};
PS_CHECK_SIZE(ps_budget, 16);

struct ps_port_stats {
  __u64 packets[2];  // [PS_OUT] accepted from the VM, [PS_IN] delivered to it
  __u64 bytes[2];
  __u64 dropped[2];      // by the side that refused: [PS_IN] also on the sender's run
  struct ps_budget log;  // the port's own share of log records
};
PS_CHECK_SIZE(ps_port_stats, 64);

#endif
