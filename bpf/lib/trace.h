// Tracing. switch.bpf.c is compiled twice: for traffic, where everything here is nothing, and with
// PS_TRACED, where each step leaves a note. One source, so what the trace says is what the switch
// does; two builds and not a flag in rodata, because the verifier takes away a branch on such a
// flag but not the load in front of it (docs/adr/0007-tracing-build.md).
//
// The tracing build is loaded in one of two ways (rodata ps_trace_live):
//
// described  run by BPF_PROG_TEST_RUN on a frame that nobody sent. It reads the switch's real
// ports,
//            addresses, policies and flows, but every map it writes is its own: counters, drops,
//            rings, budgets, fragments, and the flow table, into which entries are copied from the
//            real one when they are looked for. Copies of broadcasts are not made.
// live       attached to a port in place of the other build; all maps are the real ones.
#ifndef PENSTOCK_LIB_TRACE_H
#define PENSTOCK_LIB_TRACE_H

#include "lib/maps.h"

#ifndef PS_TRACED

#define PS_PROGRAM(name, scratch, which) SEC("tc") int name(struct __sk_buff* skb)
#define ps_note(w, kind, index, a, b, c) ((void)0)
#define ps_note_vtep(w, vtep) ((void)0)
#define ps_note_flow(w, what, flow) ((void)0)
#define ps_note_settled(w, side, flow) ((void)0)
#define ps_flow_at(key) ((struct ps_flow*)bpf_map_lookup_elem(&ps_flows, key))
#define ps_held_at(slot) ((struct ps_port_flows*)bpf_map_lookup_elem(&ps_port_flows, slot))
#define ps_clone(skb, ifindex) bpf_clone_redirect(skb, ifindex, 0)
#define ps_described_tunnel(w) 0
#define ps_charges() 1

#else

#include "abi/trace.h"

const volatile __u32 ps_trace_live = 0;

// The real ones. `ps_flows` and `ps_port_flows` are this build's own when it is not live.
PS_MAP(ps_real_flows, BPF_MAP_TYPE_HASH, struct ps_flow_key, struct ps_flow, 1024, 0);
PS_MAP(ps_real_port_flows, BPF_MAP_TYPE_ARRAY, __u32, struct ps_port_flows, 1024, 0);
PS_MAP(ps_trace_orders, BPF_MAP_TYPE_ARRAY, __u32, struct ps_trace_order, 1, 0);
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024);
} ps_trace_ring SEC(".maps");

// Indexes as of ps_scratch.
PS_MAP(ps_trace_now, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_trace, 2, 0);
PS_MAP(ps_trace_held, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct ps_port_flows, 1, 0);

PS_INLINE struct ps_trace_order* ps_order(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&ps_trace_orders, &zero);
}

// what = kind | index << 8 | scratch << 24
__attribute__((noinline)) int ps_trace_note(__u32 what, __u32 a, __u32 b, __u32 c) {
  __u32 scratch = what >> 24;
  struct ps_trace* t = bpf_map_lookup_elem(&ps_trace_now, &scratch);
  if (!t) return 0;
  const __u32 at = t->notes_count++;
  if (at >= PS_TRACE_NOTES) return 0;
  struct ps_note* note = &t->notes[at];
  note->ns = bpf_ktime_get_ns() - t->started_ns;
  note->kind = what & 0xff;
  note->index = what >> 8;
  note->a = a;
  note->b = b;
  note->c = c;
  return 0;
}
#define ps_note(w, kind, index, a, b, c) \
  ps_trace_note((kind) | ((__u32)(index)&0xffff) << 8 | (__u32)(w)->scratch << 24, a, b, c)

#define ps_note_flow(w, what, flow)                                                          \
  ps_note(w, PS_NOTE_FLOW, (w)->side,                                                        \
          (what) | (__u32)(flow)->state << 8 | (__u32)(flow)->initiator << 16, (flow)->rule, \
          (flow)->profile)
#define ps_note_settled(w, side, flow)                                                \
  ps_note(w, PS_NOTE_FLOW, side,                                                      \
          PS_TRACED_HIT | (__u32)(flow)->state << 8 | (__u32)(flow)->initiator << 16, \
          (flow)->rule, (flow)->profile)

PS_INLINE void ps_note_vtep(struct ps_work* w, const struct ps_vtep* to) {
  __u32 scratch = w->scratch;
  struct ps_trace* t = bpf_map_lookup_elem(&ps_trace_now, &scratch);
  if (!t) return;
  t->vni = w->vni;
  ps_copy(&t->to, to, sizeof(*to));
}

PS_INLINE struct ps_flow* ps_flow_at(const struct ps_flow_key* key) {
  struct ps_flow* flow = bpf_map_lookup_elem(&ps_flows, key);
  if (flow || ps_trace_live) return flow;
  const struct ps_flow* real = bpf_map_lookup_elem(&ps_real_flows, key);
  if (!real || bpf_map_update_elem(&ps_flows, key, real, BPF_NOEXIST)) return 0;
  return bpf_map_lookup_elem(&ps_flows, key);
}

// Described: a copy, so that the quota is that of the port and nothing is taken from it.
PS_INLINE struct ps_port_flows* ps_held_at(const __u32* slot) {
  if (ps_trace_live) return bpf_map_lookup_elem(&ps_port_flows, slot);
  __u32 zero = 0;
  const struct ps_port_flows* real = bpf_map_lookup_elem(&ps_real_port_flows, slot);
  struct ps_port_flows* copy = bpf_map_lookup_elem(&ps_trace_held, &zero);
  if (!real || !copy) return 0;
  *copy = *real;
  return copy;
}

// A described packet sees the buckets of the real ports, and takes nothing from them.
PS_INLINE int ps_charges(void) {
  return ps_trace_live != 0;
}

PS_INLINE long ps_clone(struct __sk_buff* skb, __u32 ifindex) {
  return ps_trace_live ? bpf_clone_redirect(skb, ifindex, 0) : 0;
}

// The tunnel data of a described frame.
PS_INLINE int ps_described_tunnel(struct ps_work* w) {
  if (ps_trace_live) return 0;
  const struct ps_trace_order* order = ps_order();
  if (!order || !order->sender.family) return 0;
  ps_copy(&w->sender, &order->sender, sizeof(w->sender));
  w->vni = order->vni;
  return 1;
}

__attribute__((noinline)) int ps_trace_begin(struct __sk_buff* skb, __u32 scratch, __u32 which) {
  struct ps_trace* t = bpf_map_lookup_elem(&ps_trace_now, &scratch);
  if (!t) return 0;
  t->started_ns = bpf_ktime_get_ns();
  t->ifindex = skb->ifindex;
  t->program = which;
  t->length = skb->len;
  t->notes_count = 0;
  // What a run before this one parsed must not be taken for this one's.
  struct ps_work* w = bpf_map_lookup_elem(&ps_scratch, &scratch);
  if (w) w->packet.family = 0;
  t->vni = 0;
  ps_zero(&t->to, sizeof(t->to));
  __u32 head = skb->len;
  t->head_count = 0;
  if (head > PS_TRACE_HEAD) head = PS_TRACE_HEAD;
  // Two comparisons, kept apart: from one of a difference Linux 6.1 learns no lower bound.
  asm volatile("" : "+r"(head));
  if (head > PS_TRACE_HEAD) return 0;
  asm volatile("" : "+r"(head));
  if (head < PS_ETHERNET_BYTES) return 0;
  if (!bpf_skb_load_bytes(skb, 0, t->head, head)) t->head_count = head;
  return 0;
}

PS_INLINE int ps_trace_end_is(const __u8* wanted, const union ps_address* address) {
  const __u64 high = ps_load64(wanted), low = ps_load64(wanted + 8);
  return !(high | low) || (high == address->d[0] && low == address->d[1]);
}

// Does the packet belong to the conversation, with its source at end `i`?
PS_INLINE int ps_trace_way(const struct ps_trace_order* o, const struct ps_packet* p, int i) {
  const int icmp = p->flags & PS_PACKET_ICMP;
  const __u16 from = icmp ? p->icmp_id : p->sport, to = icmp ? p->icmp_id : p->dport;
  return ps_trace_end_is(o->addresses[i], &p->src) &&
         ps_trace_end_is(o->addresses[1 - i], &p->dst) && (!o->ports[i] || o->ports[i] == from) &&
         (!o->ports[1 - i] || o->ports[1 - i] == to);
}

PS_INLINE int ps_trace_wants(struct ps_trace_order* o, const struct ps_work* w) {
  if (!ps_trace_live) return 1;
  const struct ps_packet* p = &w->packet;
  if (!o->left || o->vni != w->vni || o->family != p->family) return 0;
  if (o->protocol && o->protocol != p->proto) return 0;
  if (!ps_trace_way(o, p, 0) && !ps_trace_way(o, p, 1)) return 0;
  // Two CPUs may both see the last one left: one record more than asked for is no harm.
  __sync_fetch_and_add(&o->left, -1);
  return 1;
}

__attribute__((noinline)) int ps_trace_end(__u32 scratch, int action) {
  struct ps_trace* t = bpf_map_lookup_elem(&ps_trace_now, &scratch);
  const struct ps_work* w = bpf_map_lookup_elem(&ps_scratch, &scratch);
  struct ps_trace_order* order = ps_order();
  if (!t || !w || !order || !order->order || !t->notes_count || !ps_trace_wants(order, w))
    return action;
  t->ran_ns = bpf_ktime_get_ns() - t->started_ns;
  t->action = action;
  t->order = order->order;
  bpf_ringbuf_output(&ps_trace_ring, t, sizeof(*t), 0);
  return action;
}

#define PS_PROGRAM(name, scratch, which)           \
  PS_INLINE int name##_run(struct __sk_buff* skb); \
  SEC("tc") int name(struct __sk_buff* skb) {      \
    ps_trace_begin(skb, scratch, which);           \
    return ps_trace_end(scratch, name##_run(skb)); \
  }                                                \
  PS_INLINE int name##_run(struct __sk_buff* skb)

#endif

#endif
