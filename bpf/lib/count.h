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

// Of the port at `slot` and of the whole.
__attribute__((noinline)) int ps_count_drop(__u32 slot, __u32 reason, __u32 direction,
                                            __u32 length) {
  __u32 index = reason < PS_DROP_REASON_COUNT ? reason : PS_DROP_MALFORMED;
  struct ps_drop_count* drop = bpf_map_lookup_elem(&ps_drops, &index);
  if (drop) {
    drop->packets++;
    drop->bytes += length;
  }
  struct ps_port_stats* stats = bpf_map_lookup_elem(&ps_port_stats, &slot);
  if (!stats) return 0;
  stats->dropped[direction & 1]++;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port || !port->port_id || ps_is_consumption(index)) return 0;
  struct ps_port_drop_key key = {.port_id = port->port_id, .reason = index};
  drop = bpf_map_lookup_elem(&ps_port_drops, &key);
  if (drop) {
    drop->packets++;
    drop->bytes += length;
    return 0;
  }
  struct ps_drop_count first = {.packets = 1, .bytes = length};
  // Of this CPU alone: another that made the entry meanwhile loses nothing.
  bpf_map_update_elem(&ps_port_drops, &key, &first, BPF_ANY);
  return 0;
}

// Every frame that goes no further ends here, with its reason.
PS_INLINE int ps_drop(struct ps_work* w, int reason) {
  ps_note(w, PS_NOTE_DROP, 0, reason, 0, 0);
  if (w->refused)
    ps_count_drop(w->side_slot, reason, w->side, w->length);
  else
    ps_count_drop(w->slot, reason, w->from_vm ? PS_OUT : PS_IN, w->length);
  return TC_ACT_SHOT;
}

PS_INLINE struct ps_rule_count* ps_rule_count_at(__u32 index) {
  __u32 at = index / PS_RULES_PER_BLOCK;
  struct ps_rule_block* block = bpf_map_lookup_elem(&ps_rule_counts, &at);
  return block ? &block->count[index % PS_RULES_PER_BLOCK] : 0;
}

// Has the flow's rules get what it has carried since the last time. Several may do so at once (two
// sweeps, a packet): each takes the difference to what was there when it put its own number, so the
// differences add up to what was carried.
__attribute__((noinline)) int ps_settle(struct ps_flow* flow) {
  if (!flow) return 0;
  const __u32 counted = flow->counted_packets;
  const __u32 carried = flow->packets[PS_OUT] + flow->packets[PS_IN];
  if (carried == counted ||
      __sync_val_compare_and_swap(&flow->counted_packets, counted, carried) != counted)
    return 0;
  const __u32 packets = carried - counted;
  const __u64 so_far = flow->bytes[PS_OUT] + flow->bytes[PS_IN];
  const __u64 bytes = so_far - __sync_lock_test_and_set(&flow->counted_bytes, so_far);
  for (int i = 0; i < PS_COUNTED_STEPS; i++) {
    struct ps_rule_count* count = flow->counts[i] ? ps_rule_count_at(flow->counts[i]) : 0;
    if (!count) continue;
    // Atomic: the sweep may be interrupted by a packet that settles too.
    __sync_fetch_and_add(&count->packets, packets);
    __sync_fetch_and_add(&count->bytes, bytes);
  }
  return 0;
}

// One token of `per_s` a second; at most a second's worth is saved up.
PS_INLINE int ps_may_of(struct ps_budget* budget, __u32 per_s, __u64 now_ns) {
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

PS_INLINE int ps_may(__u32 kind, __u32 per_s, __u64 now_ns) {
  return ps_may_of(bpf_map_lookup_elem(&ps_budgets, &kind), per_s, now_ns);
}

#endif
