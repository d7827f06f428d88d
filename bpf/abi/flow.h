// The flow table. One entry per side: a flow between two protected VMs of one host has two entries,
// each judged by its own port's policy. Keyed by deployment-wide port id, never ifindex, so that
// entries can move with a VM.
#ifndef PENSTOCK_ABI_FLOW_H
#define PENSTOCK_ABI_FLOW_H

#include "abi/types.h"

// The flow table outlives PS_ABI_VERSION: it has a number of its own, which changes with the layout
// or the meaning of ps_flow_key and ps_flow. Programs of two ABI versions with the same number
// share one table while one set takes over from the other, and connections go on as they are. Under
// another number the table starts empty, and connections are judged in mid-stream.
#define PS_FLOW_LAYOUT 1

// Seen from the port: `local` is the VM's end whatever the direction of travel, so both directions
// share one key. ICMP queries (echo, timestamp): local_port = identifier, remote_port = 0. Other
// ICMP: local_port = 0, remote_port = type << 8 | code. Protocols without ports: both 0.
struct ps_flow_key {
  __u32 port_id;
  __u8 local[16];  // network order; IPv4 in the first four bytes, the rest zero
  __u8 remote[16];
  __u16 local_port;   // host order
  __u16 remote_port;  // host order
  __u8 protocol;      // IP protocol number
  __u8 family;        // 4 or 6
  __u16 zone;
};
PS_CHECK_SIZE(ps_flow_key, 44);

enum ps_flow_state {
  PS_FLOW_NEW = 0,          // only the initiator was seen (TCP: SYN)
  PS_FLOW_ANSWERED = 1,     // the responder was seen too (TCP: SYN+ACK), or picked up mid-stream
  PS_FLOW_ESTABLISHED = 2,  // TCP: handshake done; others: traffic both ways
  PS_FLOW_CLOSING = 3,      // TCP: one FIN
  PS_FLOW_CLOSED = 4,       // TCP: FIN from both or a RST
};
#define PS_FLOW_STATES 5

// Steps of a port that get the packets and bytes of its flows counted to their rules; those after
// them get the number of flows alone.
#define PS_COUNTED_STEPS 3

enum ps_flow_flags {
  PS_FLOW_DENIED =
      1 << 0,  // judged again and refused; kept so that the other direction does not revive it
  PS_FLOW_INSPECTED = 1 << 1,  // every required step ran when it was judged
  PS_FLOW_DYING = 1 << 2,      // the sweep is deleting it: not a hit
  PS_FLOW_FIN_OUT = 1 << 3,
  PS_FLOW_FIN_IN = 1 << 4,
  PS_FLOW_PICKED_UP =
      1 << 5,  // TCP first seen mid-stream; the initiator is a guess from the port numbers
  PS_FLOW_FROM_OUTSIDE = 1 << 6,  // a packet to the VM made the entry, whoever is the initiator
};

struct ps_flow {
  __u64 policy;  // the port's policy word of direction `initiator` that judged it; valid only while
                 // equal
  __u64 seen_ns;  // last packet, CLOCK_MONOTONIC (coarse)
  __u64 created_ns;
  __u64 packets[2];  // [PS_OUT], [PS_IN]; plain adds: exact while a direction stays on one CPU
  __u64 bytes[2];
  __u32 check;     // of the key: tells an entry that was deleted and reused under the reader
  __u32 slot;      // of the port, for its quota
  __u32 rule;      // that decided, number within the profile's policy; PS_NO_RULE: the default
                   // action
  __u32 profile;   // that decided; 0: no step had an opinion
  __u8 initiator;  // enum ps_direction: which way the first packet went
  __u8 state;      // enum ps_flow_state
  __u8 flags;      // enum ps_flow_flags
  __u8 tcp_flags;  // of the first packet, to judge it again
  __u8 icmp_type;  // of the first packet
  __u8 icmp_code;
  __u16 steps_run;  // bit i: step i ran when it was judged
  // Indexes in ps_rule_counts of the rules that decided, by step; 0: none. The host's own: 0 in an
  // entry that comes from another one, or from programs before ABI version 4.
  __u32 counts[PS_COUNTED_STEPS];
  __u32 counted_packets;  // how much of packets and bytes those rules have got; the low 32 bits
  __u64 counted_bytes;
  __u8 reserved[24];  // addresses and ports of NAT, chosen service instances
};
PS_CHECK_SIZE(ps_flow, 128);

// Later fragments carry no ports: they borrow those of the first one, then follow the flow like any
// packet.
struct ps_fragment_key {
  __u32 scope;  // id of the port the fragment came from; 0x80000000 | vni when from another host
  __u32 id;
  __u8 source[16];
  __u8 destination[16];
  __u8 protocol;
  __u8 family;
  __u16 zero;
};
PS_CHECK_SIZE(ps_fragment_key, 44);

struct ps_fragment {
  __u64 seen_ns;
  __u16 source_port;
  __u16 destination_port;
  __u8 tcp_flags;
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 zero;
};
PS_CHECK_SIZE(ps_fragment, 16);

// What one run of the program `sweep` takes and tells (in its context).
struct ps_sweep {
  __u64 now_ns;     // 0: the kernel's clock
  __u32 port_id;    // 0: entries that have expired; else every entry of this port, expired or not
  __u32 looked_at;  // out
  __u32 deleted;    // out
  __u32 zero;
};
PS_CHECK_SIZE(ps_sweep, 24);

// What one run of the program `place` puts into the table: an entry that came with its VM from
// another host. `flow.slot` is the port's here. An entry of the same key gives way.
struct ps_place {
  struct ps_flow flow;
  struct ps_flow_key key;
  __u32 outcome;  // out: enum ps_place_outcome
};
PS_CHECK_SIZE(ps_place, 176);
enum ps_place_outcome { PS_PLACED = 1, PS_PLACED_AGAIN = 2, PS_PLACE_NO_ROOM = 3 };

#endif
