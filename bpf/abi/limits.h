// What the levels of a port's services allow it. The strictest of each kind counts; user space puts
// the services of a port together.
//
// A rate is a token bucket in one word (GCRA, ITU-T I.371): the time until which what has passed
// is paid for. A packet passes when that time is not further ahead of now than the burst, and puts
// it ahead by its own cost: one compare-and-swap takes from a bucket that all CPUs share, so more
// CPUs give no more. Shares of a bucket by CPU would need none, but hold a flow that stays on one
// CPU to a fraction of the limit.
#ifndef PENSTOCK_ABI_LIMITS_H
#define PENSTOCK_ABI_LIMITS_H

#include "abi/types.h"

enum ps_limit {
  PS_LIMIT_RATE = 0,         // bits a second, each direction for itself
  PS_LIMIT_CONNECTIONS = 1,  // flow entries at a time
  PS_LIMIT_OPENS = 2,        // new flow entries a second
};
#define PS_LIMIT_KINDS 3
#define PS_LIMITED(kind) (1 << (kind))

// Bytes are those of IP packets as they would be on the wire: of a GSO frame, each segment with its
// own headers.
//
// The burst bridges the 200 ms for which TCP is silent after losing the end of a window
// (TCP_RTO_MIN): with less, a single connection does not reach the rate. A packet larger than the
// burst passes too, on credit.
#define PS_RATE_BURST_NS 250000000ull
#define PS_RATE_SHIFT 16
// More would overflow when multiplied by the bytes of the largest frame: 2 bit/s.
#define PS_BYTE_COST_MOST (4000000000ull << PS_RATE_SHIFT)

struct ps_limits {
  // Written by the programs only, but for a change of the limit.
  __u64 paid_until_ns[2];  // [PS_OUT], [PS_IN]; CLOCK_MONOTONIC
  __u64 opens_until_ns;
  // Written by user space.
  __u64 byte_cost;     // ns a byte << PS_RATE_SHIFT
  __u64 open_cost_ns;  // of one new flow; a second's worth of them may come at once
  __u32 connections;
  __u32 profile[PS_LIMIT_KINDS];  // number of the service whose limit it is, as in ps_step
};
PS_CHECK_SIZE(ps_limits, 56);

#endif
