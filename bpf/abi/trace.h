// What the tracing build of the switch says about one packet: the steps it took, as notes, in one
// record of the ring ps_trace_ring. The build for traffic has neither the notes nor the maps of
// this file (lib/trace.h).
#ifndef PENSTOCK_ABI_TRACE_H
#define PENSTOCK_ABI_TRACE_H

#include "abi/network.h"
#include "abi/types.h"

// X(NAME, component, meaning of index, a, b, c). The component is what people read.
#define PS_NOTES(X)                                                                                \
  X(PORT, port, "the device is a port: a = slot, b = port id")                                     \
  X(PARSED, parse, "headers are sound")                                                            \
  X(SENDER, anti_spoofing, "source MAC and addresses are the port's own")                          \
  X(ENDPOINT, forwarding, "where the destination is: a = enum ps_endpoint_kind, b = port id")      \
  X(FLOW, conntrack,                                                                               \
    "index = side; a = enum ps_traced_flow | flow state << 8 | initiator << 16, b = rule, "        \
    "c = profile of the entry")                                                                    \
  X(STEP, step,                                                                                    \
    "index = position | side << 8; a = enum ps_action | kind << 8 | step flags << 16 | log << "    \
    "24, "                                                                                         \
    "b = rule, c = profile")                                                                       \
  X(MADE, conntrack, "index = side; an entry is made for the flow: a = flow state")                \
  X(NO_ROOM, conntrack, "index = side; judged, but the port's quota or the table is used up")      \
  X(DROP, drop, "the frame ends here: a = enum ps_drop_reason")                                    \
  X(LOCAL, delivery, "to a port of this host: a = slot, b = port id")                              \
  X(REMOTE, overlay, "to another host: its tunnel end is in the record")                           \
  X(BACK, answer, "an answer made of the frame goes back: a = slot of the asker, ~0: the overlay") \
  X(PUNT, punt, "to the host's responder: a = enum ps_punt_kind")                                  \
  X(COPY, flood, "a copy: a = slot, ~0: another host; b = its place in the list")                  \
  X(PASS, delivery, "to the VM behind this device")                                                \
  X(LIMIT, limits,                                                                                 \
    "index = side; over a limit of the port: a = enum ps_drop_reason, b = enum ps_limit, c = "     \
    "profile")

enum ps_note_kind {
#define PS_NOTE_MEMBER(NAME, component, help) PS_NOTE_##NAME,
  PS_NOTES(PS_NOTE_MEMBER)
#undef PS_NOTE_MEMBER
      PS_NOTE_KINDS
};

enum ps_traced_flow {
  PS_TRACED_UNTRACKED,  // the port has no service: it keeps no flows
  PS_TRACED_HIT,        // of a flow that was judged before
  PS_TRACED_REJUDGED,   // ... under an earlier policy: judged again
  PS_TRACED_NEW,        // first packet
  PS_TRACED_REPLY,      // first packet seen, but an answer: judged as the connection it belongs to
  PS_TRACED_RELATED,    // an ICMP error about a known flow
};

struct ps_note {
  __u64 ns;  // since the record's start
  __u16 kind;
  __u16 index;
  __u32 a, b, c;
  __u32 zero;
};
PS_CHECK_SIZE(ps_note, 32);

#define PS_TRACE_NOTES 48
#define PS_TRACE_HEAD 192
struct ps_trace {
  __u64 started_ns;  // CLOCK_MONOTONIC
  __u64 ran_ns;
  __u32 order;        // of ps_trace_order
  __u32 ifindex;      // of the device the program ran on
  __u32 program;      // enum ps_traced_program
  __s32 action;       // of tc
  __u32 length;       // of the frame as it came
  __u32 notes_count;  // may be more than were kept
  __u32 head_count;   // bytes in head
  __u32 vni;
  struct ps_vtep to;
  __u32 zero;
  struct ps_note notes[PS_TRACE_NOTES];
  __u8 head[PS_TRACE_HEAD];  // of the frame as it came
};
PS_CHECK_SIZE(ps_trace, 72 + 32 * PS_TRACE_NOTES + PS_TRACE_HEAD);

enum ps_traced_program { PS_TRACED_FROM_PORT, PS_TRACED_FROM_OVERLAY, PS_TRACED_TO_PORT };

// What is traced. Described: any frame handed in; tunnel data stand for those that a test run
// cannot give it. Live: packets of one conversation, either way, one record each until `left` is
// used up.
struct ps_trace_order {
  __u32 order;  // given back in records; 0: none
  __u32 left;
  __u32 vni;  // from_overlay: of the described frame; live: the network, others are passed over
  struct ps_vtep sender;
  __u8 addresses[2][16];  // live: of one end and the other; zero: any
  __u16 ports[2];         // ports (ICMP: identifier, 0) of the same ends; 0: any
  __u8 protocol;          // 0: any
  __u8 family;
  __u16 zero;
};
PS_CHECK_SIZE(ps_trace_order, 72);

#endif
