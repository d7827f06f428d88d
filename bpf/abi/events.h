// Records of the two ring buffers.
#ifndef PENSTOCK_ABI_EVENTS_H
#define PENSTOCK_ABI_EVENTS_H

#include "abi/types.h"

enum ps_outcome {
  PS_OUTCOME_ALLOW = 0,
  PS_OUTCOME_DENY = 1,
  PS_OUTCOME_REJECT = 2,
  PS_OUTCOME_WOULD_DENY = 3,  // the step only observes
};

// A rule with `log` decided about a new flow (never about one that is judged again).
struct ps_event {
  __u64 time_ns;  // CLOCK_MONOTONIC
  __u32 port_id;
  __u32 profile;
  __u32 rule;
  __u32 length;    // of the frame
  __u8 direction;  // enum ps_direction, of the packet
  __u8 outcome;    // enum ps_outcome
  __u8 family;
  __u8 protocol;
  __u16 source_port;  // host order; ICMP: type << 8 | code
  __u16 destination_port;
  __u8 source[16];
  __u8 destination[16];
  __u8 tcp_flags;
  __u8 zero[7];
};
PS_CHECK_SIZE(ps_event, 72);

enum ps_punt_kind {
  PS_PUNT_DHCP4 = 1,
  PS_PUNT_DHCP6 = 2,
  PS_PUNT_ROUTER_SOLICITATION = 3,
};

// A frame of a VM that the host itself answers: by sending on the port's device, from an AF_PACKET
// socket, with SO_MARK = PS_MARK_HOST, which lets the answer pass the port's egress program
// unjudged.
#define PS_PUNT_BYTES 1536
struct ps_punted {
  __u32 port_id;
  __u32 ifindex;  // of the port's device
  __u32 vni;
  __u16 kind;    // enum ps_punt_kind
  __u16 length;  // of the frame; more than PS_PUNT_BYTES: never (such frames are dropped)
  __u8 frame[PS_PUNT_BYTES];
};
PS_CHECK_SIZE(ps_punted, 16 + PS_PUNT_BYTES);

// Packet marks. A VM cannot set one: marks do not cross namespaces and are not on the wire.
#define PS_MARK_HOST 0x70730001u    // made by the host's responder for this VM
#define PS_MARK_JUDGED 0x70730002u  // came through our programs: the egress program lets it pass

#endif
