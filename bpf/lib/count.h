// Counters, drops and rate limits. Per CPU, so plain adds are exact.
#ifndef PENSTOCK_LIB_COUNT_H
#define PENSTOCK_LIB_COUNT_H

#include <linux/pkt_cls.h>

#include "lib/trace.h"

PS_INLINE void ps_count(__u32 counter) {
  __u64* count = bpf_map_lookup_elem(&ps_counters, &counter);
  if (count) (*count)++;
}

PS_INLINE void ps_count_port(__u32 slot, int direction, __u32 length) {
  struct ps_port_stats* stats = bpf_map_lookup_elem(&ps_port_stats, &slot);
  if (!stats) return;
  stats->packets[direction & 1]++;
  stats->bytes[direction & 1] += length;
}

// Every frame that goes no further ends here, with its reason.
PS_INLINE int ps_drop(struct ps_work* w, int reason) {
  __u32 index = reason < PS_DROP_REASON_COUNT ? reason : PS_DROP_MALFORMED;
  __u32 slot = w->slot;
  ps_note(w, PS_NOTE_DROP, 0, reason, 0, 0);
  struct ps_drop_count* drop = bpf_map_lookup_elem(&ps_drops, &index);
  if (drop) {
    drop->packets++;
    drop->bytes += w->length;
  }
  struct ps_port_stats* stats = bpf_map_lookup_elem(&ps_port_stats, &slot);
  if (stats) stats->dropped[w->from_vm ? PS_OUT : PS_IN]++;
  return TC_ACT_SHOT;
}

// One token of `per_s` a second; at most a second's worth is saved up.
PS_INLINE int ps_may(__u32 kind, __u32 per_s, __u64 now_ns) {
  struct ps_budget* budget = bpf_map_lookup_elem(&ps_budgets, &kind);
  if (!budget || !per_s) return 0;
  const __u64 gone_us = (now_ns - budget->filled_ns) / 1000;
  if (gone_us >= 1000000) {
    budget->tokens = per_s;
    budget->filled_ns = now_ns;
  } else {
    const __u64 earned = gone_us * per_s / 1000000;
    if (earned) {
      budget->tokens = budget->tokens + earned > per_s ? per_s : budget->tokens + earned;
      budget->filled_ns = now_ns;
    }
  }
  if (!budget->tokens) return 0;
  budget->tokens--;
  return 1;
}

#endif
