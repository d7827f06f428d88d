// The deciding parts of the flow table, free of helpers: keys, states, ages. Compiles natively.
#ifndef PENSTOCK_LIB_FLOW_STATE_H
#define PENSTOCK_LIB_FLOW_STATE_H

#include "abi/config.h"
#include "abi/flow.h"
#include "lib/packet.h"

// The key of the packet's flow on the side of one port; `direction` is the packet's, seen from that
// port.
PS_INLINE void ps_flow_key_of(const struct ps_packet* p, __u32 port_id, __u16 zone, int direction,
                              struct ps_flow_key* key) {
  const union ps_address* local = direction == PS_OUT ? &p->src : &p->dst;
  const union ps_address* remote = direction == PS_OUT ? &p->dst : &p->src;
  key->port_id = port_id;
  ps_copy(key->local, local, 16);
  ps_copy(key->remote, remote, 16);
  if (p->flags & PS_PACKET_ICMP) {
    key->local_port = p->icmp_id;
    key->remote_port = p->icmp_kind;
  } else {
    key->local_port = direction == PS_OUT ? p->sport : p->dport;
    key->remote_port = direction == PS_OUT ? p->dport : p->sport;
  }
  key->protocol = p->proto;
  key->family = p->family;
  key->zone = zone;
}

// Tells an entry that was deleted and given to another flow between the look-up and its use:
// preallocated map elements are reused at once. Equal keys have equal checks.
PS_INLINE __u32 ps_flow_check(const struct ps_packet* p, __u32 port_id) {
  return p->fold ^ port_id << 1;
}

// Nothing about the entry changes with this packet but counters and the time: the fast path may
// take it.
PS_INLINE int ps_flow_settled(const struct ps_flow* flow, const struct ps_packet* p) {
  return flow->state == PS_FLOW_ESTABLISHED &&
         (p->proto != PS_PROTO_TCP || !(p->tcp_flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST)));
}

// The state after a packet of `direction`.
PS_INLINE void ps_flow_advance(struct ps_flow* flow, const struct ps_packet* p, int direction) {
  if (p->proto != PS_PROTO_TCP) {
    if (direction != flow->initiator) flow->state = PS_FLOW_ESTABLISHED;
    return;
  }
  const __u8 flags = p->tcp_flags;
  if (flags & PS_TCP_RST) {
    // Possibly forged: the entry keeps working, but a silent connection goes soon.
    flow->state = PS_FLOW_CLOSED;
    return;
  }
  if (flags & PS_TCP_FIN) {
    flow->flags |= direction == PS_OUT ? PS_FLOW_FIN_OUT : PS_FLOW_FIN_IN;
    const __u8 both = PS_FLOW_FIN_OUT | PS_FLOW_FIN_IN;
    if (flow->state != PS_FLOW_CLOSED)
      flow->state = (flow->flags & both) == both ? PS_FLOW_CLOSED : PS_FLOW_CLOSING;
    return;
  }
  if (flow->state == PS_FLOW_NEW && direction != flow->initiator)
    flow->state = PS_FLOW_ANSWERED;
  else if (flow->state == PS_FLOW_ANSWERED && direction == flow->initiator && !(flags & PS_TCP_SYN))
    flow->state = PS_FLOW_ESTABLISHED;
}

// A SYN that starts a new flow under the same key: on the remains of an earlier connection (RFC
// 9293 section 3.6.1), on one whose initiator is a guess, or from the end that the entry says is
// not the initiator. Anybody can send a stray ACK or SYN+ACK and so have an entry made that the
// other direction's policy judged; a connection must not come through by it. Of two SYNs that
// cross, the later is judged too: refused, the earlier one's flow goes on and its SYN+ACK opens the
// connection. A denied flow is not revived by either end's SYN.
PS_INLINE int ps_flow_restarts(const struct ps_flow* flow, const struct ps_packet* p,
                               int direction) {
  if (p->proto != PS_PROTO_TCP ||
      (p->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK | PS_TCP_RST)) != PS_TCP_SYN)
    return 0;
  if (flow->state >= PS_FLOW_CLOSING) return 1;
  if (flow->flags & PS_FLOW_DENIED) return 0;
  return flow->flags & PS_FLOW_PICKED_UP || flow->initiator != direction;
}

enum ps_start {
  PS_START_NEW,    // its direction of travel is the initiator's
  PS_START_REPLY,  // an answer: the initiator is at the other end
};

// Who began a flow whose first packet we see now. A TCP packet with an ACK and no SYN belongs to a
// connection older than the policy (or than our memory of it): the end with the lower port number
// is taken for the server, so that the connection is judged in the direction it was opened,
// whichever end happens to send first. Every packet of a connection but its first SYN has an ACK
// (RFC 9293 section 3.10.7.4); those without, and resets, are judged the way they travel.
PS_INLINE enum ps_start ps_flow_start(const struct ps_packet* p) {
  if (p->proto != PS_PROTO_TCP || !(p->tcp_flags & PS_TCP_ACK) || p->tcp_flags & PS_TCP_RST)
    return PS_START_NEW;
  if (p->tcp_flags & PS_TCP_SYN) return PS_START_REPLY;
  return p->sport < p->dport ? PS_START_REPLY : PS_START_NEW;
}

// No entry for a reset of an unknown connection, nor for what belongs to no connection.
PS_INLINE int ps_flow_begins(const struct ps_packet* p) {
  return p->proto != PS_PROTO_TCP ||
         (p->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK) && !(p->tcp_flags & PS_TCP_RST));
}

PS_INLINE int ps_flow_is_pickup(const struct ps_packet* p) {
  return p->proto == PS_PROTO_TCP && !(p->tcp_flags & PS_TCP_SYN);
}

// The view of the flow's first packet, which `initiator` sent, but for its groups: from the key,
// because the packet at hand may be an answer, or quote the flow.
PS_INLINE void ps_flow_view(const struct ps_flow_key* key, __u32 initiator, __u32 tcp_flags,
                            __u32 icmp_type, __u32 icmp_code, struct ps_packet_view* v) {
  ps_zero(v, sizeof(*v));
  ps_copy(&v->src, initiator == PS_OUT ? key->local : key->remote, 16);
  ps_copy(&v->dst, initiator == PS_OUT ? key->remote : key->local, 16);
  v->family = key->family;
  v->proto = key->protocol;
  v->tcp_flags = tcp_flags;
  v->icmp_type = icmp_type;
  v->icmp_code = icmp_code;
  if (key->protocol == PS_PROTO_TCP || key->protocol == PS_PROTO_UDP ||
      key->protocol == PS_PROTO_SCTP || key->protocol == PS_PROTO_UDPLITE) {
    v->sport = initiator == PS_OUT ? key->local_port : key->remote_port;
    v->dport = initiator == PS_OUT ? key->remote_port : key->local_port;
    v->flags = PS_VIEW_PORTS_VALID;
  }
}

// Idle time after which an entry goes.
PS_INLINE __u64 ps_flow_timeout(const volatile struct ps_config* config, __u8 protocol,
                                const struct ps_flow* flow) {
  const __u32 state = flow->state < PS_FLOW_STATES ? flow->state : (__u32)PS_FLOW_CLOSED;
  if (flow->flags & PS_FLOW_DENIED) return config->denied_timeout_ns;
  if (protocol == PS_PROTO_TCP) return config->tcp_timeout_ns[state];
  if (protocol == PS_PROTO_UDP || protocol == PS_PROTO_SCTP || protocol == PS_PROTO_UDPLITE)
    return config->udp_timeout_ns[state];
  return config->other_timeout_ns[state];
}

PS_INLINE int ps_flow_expired(const volatile struct ps_config* config, __u8 protocol,
                              const struct ps_flow* flow, __u64 now_ns) {
  const __u64 seen = flow->seen_ns;
  return now_ns > seen && now_ns - seen > ps_flow_timeout(config, protocol, flow);
}

#endif
