// Limits of a port (abi/limits.h). Packets and flows that its services allow, and no others, are
// held against them.
//
// Bits a second: every packet, replies and ICMP errors too. Connections: new entries of the flow
// table. One that has an entry goes on, whatever becomes of the limit, and so does a TCP connection
// met mid-stream: it is older than the limit or than our memory of it, and counts from then on.
// What makes no entry (stateless rules, ICMP errors, a full table or quota) is no connection here.
#ifndef PENSTOCK_LIB_LIMITS_H
#define PENSTOCK_LIB_LIMITS_H

#include "lib/count.h"

// Takes from a bucket; 0: it is empty.
PS_INLINE int ps_bucket_take(__u64* until_ns, __u64 now_ns, __u64 cost_ns, __u64 burst_ns) {
  __u64 until = *(volatile __u64*)until_ns;
  for (int i = 0; i < 4; i++) {
    const __u64 from = until > now_ns ? until : now_ns;
    if (from - now_ns > burst_ns) return 0;
    if (!ps_charges()) return 1;
    const __u64 seen = __sync_val_compare_and_swap(until_ns, until, from + cost_ns);
    if (seen == until) return 1;
    until = seen;
  }
  // Others were faster each time: it passes, and is paid for all the same.
  __sync_fetch_and_add(until_ns, cost_ns);
  return 1;
}

PS_INLINE struct ps_port* ps_limited_port(const struct ps_work* w) {
  __u32 slot = w->side_slot;
  return bpf_map_lookup_elem(&ps_ports, &slot);
}

// The drop reason of the limit.
__attribute__((noinline)) int ps_limit_exceeded(struct ps_work* w, __u32 kind) {
  const int reason = kind == PS_LIMIT_RATE          ? PS_DROP_RATE_LIMIT
                     : kind == PS_LIMIT_CONNECTIONS ? PS_DROP_CONNECTION_LIMIT
                                                    : PS_DROP_CONNECTION_RATE;
  if (!w) return reason;
  const struct ps_port* port = ps_limited_port(w);
  if (port && kind < PS_LIMIT_KINDS)
    ps_note(w, PS_NOTE_LIMIT, w->side, reason, kind, port->limits.profile[kind]);
  return reason;
}

// Of the IP packets that the frame is on the wire.
PS_INLINE __u64 ps_ip_bytes(struct __sk_buff* skb, const struct ps_work* w) {
  const __u64 bytes = w->length - PS_ETHERNET_BYTES;
  const __u32 segments = skb->gso_segs;
  if (segments < 2) return bytes;
  __u32 headers = w->packet.l4 - PS_ETHERNET_BYTES + 8;
  if (w->packet.proto == PS_PROTO_TCP) {
    __u8 offset = 0;
    if (bpf_skb_load_bytes(skb, w->packet.l4 + 12, &offset, 1)) return bytes;
    headers += (offset >> 4) * 4 - 8;
  }
  return bytes + (__u64)(segments - 1) * headers;
}

// 0 or a drop reason. w->side_slot and w->side are set.
__attribute__((noinline)) int ps_limit_rate(struct __sk_buff* skb, struct ps_work* w) {
  if (!w) return PS_DROP_RATE_LIMIT;
  struct ps_port* port = ps_limited_port(w);
  if (!port) return PS_DROP_PORT_GONE;
  const __u64 cost = ps_ip_bytes(skb, w) * port->limits.byte_cost >> PS_RATE_SHIFT;
  if (ps_bucket_take(&port->limits.paid_until_ns[w->side & 1], bpf_ktime_get_ns(), cost,
                     PS_RATE_BURST_NS))
    return 0;
  return ps_limit_exceeded(w, PS_LIMIT_RATE);
}
PS_INLINE int ps_limit_rate_of(struct __sk_buff* skb, struct ps_work* w,
                               const struct ps_port* port) {
  return ps_unlikely(port->limited & PS_LIMITED(PS_LIMIT_RATE)) ? ps_limit_rate(skb, w) : 0;
}

// What an entry that is about to be made is held against.
PS_INLINE void ps_limits_of(struct ps_work* w, const struct ps_port* port, int older) {
  const __u32 limited = older ? 0 : port->limited;
  w->connections_most =
      limited & PS_LIMITED(PS_LIMIT_CONNECTIONS) ? port->limits.connections : 0xffffffff;
  w->opens_limited = limited & PS_LIMITED(PS_LIMIT_OPENS);
}

// Takes one new connection from its bucket, or gives it back. Not 0: there is none left.
__attribute__((noinline)) int ps_limit_opens(struct ps_work* w, __u32 back) {
  if (!w) return 1;
  struct ps_port* port = ps_limited_port(w);
  if (!port) return 1;
  const __u64 cost = port->limits.open_cost_ns, second = 1000000000;
  if (back) {
    if (ps_charges()) __sync_fetch_and_add(&port->limits.opens_until_ns, -cost);
    return 0;
  }
  return !ps_bucket_take(&port->limits.opens_until_ns, bpf_ktime_get_ns(), cost,
                         cost < second ? second - cost : 0);
}

#endif
