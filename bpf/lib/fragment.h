// Later fragments borrow the ports of the first one, which is remembered once it has passed
// everything. A later fragment that comes before the first, or whose first was refused, is dropped
// and counted: it cannot be judged, and holding it back would give strangers our memory.
#ifndef PENSTOCK_LIB_FRAGMENT_H
#define PENSTOCK_LIB_FRAGMENT_H

#include "lib/count.h"
#include "lib/parse.h"

PS_INLINE void ps_fragment_key_set(struct ps_work* w, __u32 scope) {
  struct ps_fragment_key* key = &w->fragment_key;
  const struct ps_packet* p = &w->packet;
  key->scope = scope;
  key->id = p->fragment_id;
  ps_copy(key->source, &p->src, 16);
  ps_copy(key->destination, &p->dst, 16);
  key->protocol = p->proto;
  key->family = p->family;
  key->zero = 0;
}

// Before judging a later fragment. 0 or a drop reason.
__attribute__((noinline)) int ps_fragment_recall(struct ps_work* w, __u32 scope) {
  w = ps_work_again(w);
  if (!w) return PS_DROP_FRAGMENT_EARLY;
  struct ps_packet* p = &w->packet;
  ps_fragment_key_set(w, scope);
  const struct ps_fragment* first = bpf_map_lookup_elem(&ps_fragments, &w->fragment_key);
  if (!first || w->now_ns - first->seen_ns > ps_config.fragment_timeout_ns)
    return PS_DROP_FRAGMENT_EARLY;
  p->sport = first->source_port;
  p->dport = first->destination_port;
  if (p->proto == (p->family == 4 ? PS_PROTO_ICMP : PS_PROTO_ICMP6)) {
    p->flags |= PS_PACKET_ICMP;
    p->icmp_type = first->icmp_type;
    p->icmp_code = first->icmp_code;
    p->icmp_id = first->source_port;
    p->icmp_kind = first->destination_port;
    p->sport = p->dport = 0;
  } else {
    p->flags |= PS_PACKET_PORTS;
    // Its handshake flags were the first fragment's; this one must not advance the connection.
    p->tcp_flags = first->tcp_flags & ~(PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST);
  }
  p->fold = ps_fold(p);
  return 0;
}

// After a first fragment has passed.
__attribute__((noinline)) int ps_fragment_remember(struct ps_work* w, __u32 scope) {
  w = ps_work_again(w);
  if (!w) return 0;
  const struct ps_packet* p = &w->packet;
  const int icmp = p->flags & PS_PACKET_ICMP;
  struct ps_fragment first = {};
  first.seen_ns = w->now_ns;
  first.source_port = icmp ? p->icmp_id : p->sport;
  first.destination_port = icmp ? p->icmp_kind : p->dport;
  first.tcp_flags = p->tcp_flags;
  first.icmp_type = p->icmp_type;
  first.icmp_code = p->icmp_code;
  ps_fragment_key_set(w, scope);
  if (!bpf_map_update_elem(&ps_fragments, &w->fragment_key, &first, BPF_ANY))
    ps_count(PS_COUNT_FRAGMENT_TRACKED);
  return 0;
}

#define PS_SCOPE_OVERLAY 0x80000000u

#endif
