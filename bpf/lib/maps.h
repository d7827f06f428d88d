// The maps of abi/maps.h, and the state of one run.
#ifndef PENSTOCK_LIB_MAPS_H
#define PENSTOCK_LIB_MAPS_H

#include "abi/config.h"
#include "abi/events.h"
#include "abi/flow.h"
#include "abi/maps.h"
#include "abi/network.h"
#include "abi/port.h"
#include "abi/reasons.h"
#include "abi/steps.h"
#include "lib/classify.h"
#include "lib/packet.h"

// Sizes given here are placeholders: user space sets them from its tunables before loading.
const volatile struct ps_config ps_config = {};

#define PS_MAP(name, kind, key_type, value_type, entries, flags) \
  struct {                                                       \
    __uint(type, kind);                                          \
    __uint(max_entries, entries);                                \
    __uint(map_flags, flags);                                    \
    __type(key, key_type);                                       \
    __type(value, value_type);                                   \
  } name SEC(".maps")

PS_MAP(ps_port_slots, BPF_MAP_TYPE_HASH, __u32, __u32, 1024, 0);
PS_MAP(ps_ports, BPF_MAP_TYPE_ARRAY, __u32, struct ps_port, 1024, BPF_F_MMAPABLE);
PS_MAP(ps_addresses, BPF_MAP_TYPE_HASH, struct ps_address_key, struct ps_allowed, 1024,
       BPF_F_NO_PREALLOC);
PS_MAP(ps_endpoints, BPF_MAP_TYPE_HASH, struct ps_endpoint_key, struct ps_endpoint, 1024,
       BPF_F_NO_PREALLOC);
PS_MAP(ps_neighbors, BPF_MAP_TYPE_HASH, struct ps_address_key, struct ps_neighbor, 1024,
       BPF_F_NO_PREALLOC);
PS_MAP(ps_flood, BPF_MAP_TYPE_HASH, __u32, struct ps_flood, 1024, BPF_F_NO_PREALLOC);
PS_MAP(ps_groups, BPF_MAP_TYPE_HASH, struct ps_address_key, struct ps_group_list, 1024,
       BPF_F_NO_PREALLOC);
// Preallocated: an insert costs 400 ns against 1,540 ns without.
PS_MAP(ps_flows, BPF_MAP_TYPE_HASH, struct ps_flow_key, struct ps_flow, 1024, 0);
PS_MAP(ps_fragments, BPF_MAP_TYPE_LRU_HASH, struct ps_fragment_key, struct ps_fragment, 4096, 0);
PS_MAP(ps_port_flows, BPF_MAP_TYPE_ARRAY, __u32, struct ps_port_flows, 1024, 0);
PS_MAP(ps_port_stats, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_port_stats, 1024, 0);
PS_MAP(ps_rule_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_rule_block, 64, 0);
PS_MAP(ps_port_drops, BPF_MAP_TYPE_PERCPU_HASH, struct ps_port_drop_key, struct ps_drop_count, 1024,
       0);
PS_MAP(ps_drops, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_drop_count, PS_DROP_REASON_COUNT, 0);
PS_MAP(ps_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, PS_COUNTER_COUNT, 0);
PS_MAP(ps_overlay, BPF_MAP_TYPE_ARRAY, __u32, __u32, 1, 0);

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} ps_punt SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} ps_events SEC(".maps");

// What judging one side of a packet found.
struct ps_judgement {
  __u32 rule, profile;
  __u32 counts[PS_COUNTED_STEPS];  // as in ps_flow
  __u16 steps_run, required;
  __u8 action;  // enum ps_action
  __u8 log;
  __u8 stateless;
  __u8 bad;  // step list or image unreadable
};

// The state of one run. Too big for the stack of 512 bytes that all called functions share.
struct ps_work {
  struct ps_packet packet;
  struct ps_flow_key key;      // of the side being judged
  struct ps_packet_view view;  // for the classifier
  struct ps_judgement judgement;
  struct ps_match match;
  struct ps_flow fresh;  // a flow entry being made
  struct ps_packet quoted;
  struct ps_endpoint_key endpoint_key;
  struct ps_address_key address_key;
  struct ps_fragment_key fragment_key;
  __u64 now_ns;
  __u32 length;  // of the frame
  __u32 slot;    // port that the packet came from (from_port) or goes to (else); for counting drops
  __u32 side_slot;  // port of the side being judged
  __u32 vni;
  __u8 side;               // enum ps_direction of the packet as the side being judged sees it
  __u8 from_vm;            // 1: `slot` is the sender's
  __u8 scratch;            // its index in ps_scratch
  __u8 refused;            // 1: by the side that was judged last; for counting drops
  __u32 connections_most;  // entries the port may hold with the one that is being made
  __u32 opens_limited;     // what is made counts as a new connection, of which so many a second
  struct ps_vtep sender;   // from_overlay: the other host
  __u8 buffer[176];        // a packet being built; a multiple of 4 for checksums
};

// Index 0: the ingress programs; 1: to_port, which runs inside them when a copy is sent to a port.
PS_MAP(ps_scratch, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_work, 2, 0);

// To a global function `w` is plain memory, where Linux 6.1 takes no keys and values of maps from.
// Those that have keys in `w` go on with this: the same state, by way of its map. 0 only for 0.
PS_INLINE struct ps_work* ps_work_again(const struct ps_work* w) {
  if (!w) return 0;
  __u32 index = w->scratch;
  return bpf_map_lookup_elem(&ps_scratch, &index);
}

// Slots by the low bits of the ifindex: saves the hash look-up. Only a hint: the port entry says
// whose it is.
#define PS_SLOT_HINTS 1024
PS_MAP(ps_slot_hints, BPF_MAP_TYPE_ARRAY, __u32, __u32, PS_SLOT_HINTS, 0);

// Token buckets that all ports share.
enum ps_budget_kind { PS_BUDGET_EVENTS, PS_BUDGET_REJECTS, PS_BUDGETS };
PS_MAP(ps_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_budget, PS_BUDGETS, 0);

#endif
