// Every map of the switch: its name in the object and below the host's bpffs directory, and what it
// holds.
#ifndef PENSTOCK_ABI_MAPS_H
#define PENSTOCK_ABI_MAPS_H

// X(name, key, value, meaning)
#define PS_MAPS(X)                                                                                \
  X(ps_port_slots, "__u32 ifindex", "__u32 slot", "port of a device")                             \
  X(ps_ports, "__u32 slot", "struct ps_port",                                                     \
    "ports; mmap-able, so that policy flips with one store")                                      \
  X(ps_addresses, "struct ps_address_key (scope = port id)", "struct ps_allowed",                 \
    "allowed source addresses")                                                                   \
  X(ps_endpoints, "struct ps_endpoint_key", "struct ps_endpoint", "where a MAC of a network is")  \
  X(ps_neighbors, "struct ps_address_key (scope = vni)", "struct ps_neighbor",                    \
    "answers to ARP and ND")                                                                      \
  X(ps_flood, "__u32 vni", "struct ps_flood", "who gets broadcast and multicast")                 \
  X(ps_groups, "struct ps_address_key (scope = vni)", "struct ps_group_list",                     \
    "groups of an address")                                                                       \
  X(ps_arena, "__u32 line", "64 bytes", "step lists and compiled policy; mmap-able")              \
  X(ps_flows, "struct ps_flow_key", "struct ps_flow", "the flow table")                           \
  X(ps_fragments, "struct ps_fragment_key", "struct ps_fragment",                                 \
    "ports of fragmented datagrams under way")                                                    \
  X(ps_port_flows, "__u32 slot", "struct ps_port_flows",                                          \
    "flow entries each port holds, for its quota")                                                \
  X(ps_port_stats, "__u32 slot, per CPU", "struct ps_port_stats", "traffic of a port")            \
  X(ps_rule_counts, "__u32 index / PS_RULES_PER_BLOCK, per CPU", "struct ps_rule_block",          \
    "flows by the rule that decided")                                                             \
  X(ps_port_drops, "struct ps_port_drop_key, per CPU", "struct ps_drop_count",                    \
    "drops by port and reason")                                                                   \
  X(ps_drops, "__u32 reason, per CPU", "struct ps_drop_count", "drops by reason (abi/reasons.h)") \
  X(ps_counters, "__u32 counter, per CPU", "__u64", "events by counter (abi/reasons.h)")          \
  X(ps_overlay, "__u32 0", "__u32 ifindex", "the vxlan device; 0: none, nothing leaves the host") \
  X(ps_punt, "ring buffer", "struct ps_punted",                                                   \
    "packets for the host's DHCP and router responder")                                           \
  X(ps_events, "ring buffer", "struct ps_event", "log of rules that ask for it")

#endif
