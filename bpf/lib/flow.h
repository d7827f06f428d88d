// Judging one side of a packet: the flow table in front, the step list behind it.
//
// When the table or a port's quota is full, flows that have an entry keep it and new ones are
// judged packet by packet, the way they travel. Replies of such a flow have no entry to pass by: a
// TCP packet's part in the connection is read from its flags and port numbers (ps_flow_start), so
// replies are judged as the connection they belong to. Nothing tells a UDP or ICMP reply from a
// request: a guess would open to strangers what the policy closes, so they need a rule of their
// own.
#ifndef PENSTOCK_LIB_FLOW_H
#define PENSTOCK_LIB_FLOW_H

#include "lib/flow_state.h"
#include "lib/limits.h"
#include "lib/parse.h"
#include "lib/steps.h"

PS_INLINE __u64 ps_policy_of(const struct ps_port* port, int direction) {
  return *(volatile const __u64*)&port->policy[direction & 1];
}

// A port without services in both directions keeps no flows: nothing could ever need them.
PS_INLINE int ps_tracked(const struct ps_port* port) {
  return (__u32)(ps_policy_of(port, PS_OUT) | ps_policy_of(port, PS_IN)) != 0;
}

PS_INLINE void ps_view_groups(struct ps_work* w) {
  struct ps_packet_view* v = &w->view;
  ps_zero(v->src_groups, sizeof(v->src_groups));
  ps_zero(v->dst_groups, sizeof(v->dst_groups));
  w->address_key.scope = w->vni;
  w->address_key.family = v->family;
  ps_zero(w->address_key.zero, 3);
  ps_copy(w->address_key.address, &v->src, 16);
  const struct ps_group_list* groups = bpf_map_lookup_elem(&ps_groups, &w->address_key);
  if (groups) ps_copy(v->src_groups, groups->group, sizeof(v->src_groups));
  ps_copy(w->address_key.address, &v->dst, 16);
  groups = bpf_map_lookup_elem(&ps_groups, &w->address_key);
  if (groups) ps_copy(v->dst_groups, groups->group, sizeof(v->dst_groups));
}

__attribute__((noinline)) int ps_view_flow(struct ps_work* w, __u32 initiator, __u32 tcp_flags,
                                           __u32 icmp_type, __u32 icmp_code) {
  w = ps_work_again(w);
  if (!w) return 0;
  ps_flow_view(&w->key, initiator, tcp_flags, icmp_type, icmp_code, &w->view);
  ps_view_groups(w);
  return 0;
}

PS_INLINE int ps_judged(const struct ps_judgement* j) {
  if (j->bad) return PS_DROP_BAD_POLICY;
  if (j->action == PS_ACTION_REJECT) return PS_DROP_POLICY_REJECT;
  if (j->action != PS_ACTION_ALLOW) return PS_DROP_POLICY_DENY;
  // Apart from the walk on purpose: see abi/steps.h, `required`.
  if ((j->steps_run & j->required) != j->required) return PS_DROP_NOT_INSPECTED;
  return 0;
}

PS_INLINE void ps_flow_count(struct ps_work* w, struct ps_flow* flow, int direction) {
  flow->seen_ns = w->now_ns;
  flow->packets[direction & 1]++;
  flow->bytes[direction & 1] += w->length;
}

// The slot has a new port, which holds nothing yet. Id and number in one step: of two CPUs with the
// port's first packets the later one must not forget what the earlier one took. 0: try again.
PS_INLINE int ps_quota_begin(struct ps_port_flows* held, __u32 port_id) {
  __u32 seen[2];
  const __u32 fresh[2] = {port_id, 0};
  __u64 was, now;
  was = *(volatile __u64*)held;
  ps_copy(seen, &was, sizeof(seen));
  if (seen[0] == port_id) return 1;  // another CPU was faster
  ps_copy(&now, fresh, sizeof(now));
  if (__sync_val_compare_and_swap((__u64*)held, was, now) == was) held->outside = 0;
  return *(volatile __u32*)&held->port_id == port_id;
}

// Room for one more entry of the port? 0: taken; PS_NO_ROOM; or a drop reason. A quarter of the
// quota is kept for entries that the VM's own packets make: a flood from outside must not cost it
// its flows. A level's limit is what it says, for both.
#define PS_NO_ROOM (-1)
PS_INLINE int ps_quota_take(struct ps_work* w, __u32 port_id) {
  const __u32 quota = ps_config.port_flow_quota;
  const int outside = w->side == PS_IN;
  __u32 slot = w->side_slot;
  struct ps_port_flows* held = ps_held_at(&slot);
  if (!held) return PS_NO_ROOM;
  if (held->port_id != port_id && !ps_quota_begin(held, port_id)) return PS_NO_ROOM;
  if (held->entries >= quota || (outside && held->outside >= quota - quota / 4)) {
    ps_note(w, PS_NOTE_NO_ROOM, w->side, 0, 0, 0);
    ps_count(PS_COUNT_FLOW_QUOTA);
    return PS_NO_ROOM;
  }
  // Taken before it is compared: of two CPUs at the last place, one gets it.
  if (ps_unlikely(__sync_fetch_and_add(&held->entries, 1) >= w->connections_most)) {
    __sync_fetch_and_add(&held->entries, -1);
    return ps_limit_exceeded(w, PS_LIMIT_CONNECTIONS);
  }
  if (outside) __sync_fetch_and_add(&held->outside, 1);
  return 0;
}

// `flags` are the entry's.
PS_INLINE void ps_quota_return(__u32 slot, __u32 port_id, __u8 flags) {
  struct ps_port_flows* held = ps_held_at(&slot);
  if (!held || held->port_id != port_id) return;
  if (held->entries) __sync_fetch_and_add(&held->entries, -1);
  if (flags & PS_FLOW_FROM_OUTSIDE && held->outside) __sync_fetch_and_add(&held->outside, -1);
}

// Makes the entry. 0 or a drop reason: a limit of the port. No room is no error: the packet has
// been judged. `replaced`: the flags of the entry that it takes the place and the room of, never 0
// for one; or 0.
__attribute__((noinline)) int ps_flow_make(struct ps_work* w, __u64 policy, __u32 initiator,
                                           __u32 reply, __u32 replaced) {
  w = ps_work_again(w);
  if (!w) return 0;
  struct ps_flow* f = &w->fresh;
  const struct ps_packet* p = &w->packet;
  ps_zero(f, sizeof(*f));
  f->policy = policy;
  f->created_ns = w->now_ns;
  f->check = ps_flow_check(p, w->key.port_id);
  f->slot = w->side_slot;
  f->rule = w->judgement.rule;
  f->profile = w->judgement.profile;
  f->initiator = initiator;
  f->steps_run = w->judgement.steps_run;
  ps_copy(f->counts, w->judgement.counts, sizeof(f->counts));
  f->flags = PS_FLOW_INSPECTED;
  if (replaced ? replaced & PS_FLOW_FROM_OUTSIDE : w->side == PS_IN)
    f->flags |= PS_FLOW_FROM_OUTSIDE;
  f->tcp_flags = w->view.tcp_flags;
  f->icmp_type = w->view.icmp_type;
  f->icmp_code = w->view.icmp_code;
  if (ps_flow_is_pickup(p)) {
    f->state = PS_FLOW_ESTABLISHED;
    f->flags |= PS_FLOW_PICKED_UP;
    if (p->tcp_flags & PS_TCP_FIN) ps_flow_advance(f, p, w->side);
    ps_count(PS_COUNT_FLOW_PICKED_UP);
  } else if (reply) {
    f->state = p->proto == PS_PROTO_TCP ? PS_FLOW_ANSWERED : PS_FLOW_ESTABLISHED;
  }
  ps_flow_count(w, f, w->side);
  if (!replaced) {
    const int refused = ps_quota_take(w, w->key.port_id);
    if (refused) return refused == PS_NO_ROOM ? 0 : refused;
  }
  if (ps_unlikely(w->opens_limited) && ps_limit_opens(w, 0)) {
    if (!replaced) ps_quota_return(w->side_slot, w->key.port_id, f->flags);
    return ps_limit_exceeded(w, PS_LIMIT_OPENS);
  }
  const long failed = bpf_map_update_elem(&ps_flows, &w->key, f, replaced ? BPF_ANY : BPF_NOEXIST);
  if (!failed) {
    ps_note(w, PS_NOTE_MADE, w->side, f->state, 0, 0);
    ps_count(PS_COUNT_FLOW_CREATED);
    return 0;
  }
  if (w->opens_limited) ps_limit_opens(w, 1);
  if (replaced) return 0;
  ps_quota_return(w->side_slot, w->key.port_id, f->flags);
  if (failed == -17 /* EEXIST: another CPU made it just now */) return 0;
  ps_note(w, PS_NOTE_NO_ROOM, w->side, 1, 0, 0);
  ps_count(PS_COUNT_FLOW_TABLE_FULL);
  return 0;
}

// The entry's verdict under the port's policy of now: judges it again, by its first packet, when
// the policy changed. Neither logs nor counts again. 0 or a drop reason.
PS_INLINE int ps_flow_verdict(struct ps_work* w, const struct ps_port* port, struct ps_flow* flow) {
  const int initiator = flow->initiator & 1;
  const __u64 policy = ps_policy_of(port, initiator);
  if (flow->policy != policy) {
    ps_view_flow(w, initiator, flow->tcp_flags, flow->icmp_type, flow->icmp_code);
    ps_walk(w, PS_POLICY_LINE(policy), 1);
    ps_settle(flow);  // to the rules it had until now
    ps_copy(flow->counts, w->judgement.counts, sizeof(flow->counts));
    const int reason = ps_judged(&w->judgement);
    flow->rule = w->judgement.rule;
    flow->profile = w->judgement.profile;
    flow->steps_run = w->judgement.steps_run;
    // Refused flows keep their entry: without it, packets from the other end could start the same
    // flow anew under the more lenient policy of the other direction.
    if (reason)
      flow->flags = (flow->flags | PS_FLOW_DENIED) & ~PS_FLOW_INSPECTED;
    else
      flow->flags = (flow->flags & ~PS_FLOW_DENIED) | PS_FLOW_INSPECTED;
    flow->policy = policy;
    ps_note_flow(w, PS_TRACED_REJUDGED, flow);
    ps_count(PS_COUNT_FLOW_REJUDGED);
    if (reason == PS_DROP_POLICY_REJECT && w->side == initiator) return reason;
  }
  if (flow->flags & PS_FLOW_DENIED) return PS_DROP_FLOW_DENIED;
  if (!(flow->flags & PS_FLOW_INSPECTED)) return PS_DROP_NOT_INSPECTED;
  return 0;
}

PS_INLINE struct ps_flow* ps_flow_find(const struct ps_flow_key* key, __u32 check) {
  struct ps_flow* flow = ps_flow_at(key);
  if (!flow || flow->flags & PS_FLOW_DYING) return 0;
  if (flow->check != check) {
    ps_count(PS_COUNT_FLOW_REUSED);
    return 0;
  }
  return flow;
}

// A function of its own, to keep its buffers off the stack that the classifier needs. 0: w->quoted
// is filled.
__attribute__((noinline)) int ps_quoted(struct __sk_buff* skb, struct ps_work* w) {
  if (!w) return 1;
  return ps_parse_quoted(skb, &w->packet, &w->quoted);
}

// An ICMP error belongs to the flow of the packet it quotes, which went the other way. 1: it does,
// *reason says whether it may pass.
PS_INLINE int ps_flow_related(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port,
                              int* reason) {
  if (ps_quoted(skb, w)) return 0;
  if (w->quoted.flags & PS_PACKET_LATER_FRAGMENT) return 0;
  ps_flow_key_of(&w->quoted, port->port_id, port->zone, !w->side, &w->key);
  struct ps_flow* flow = ps_flow_find(&w->key, ps_flow_check(&w->quoted, port->port_id));
  if (!flow) return 0;
  ps_note_flow(w, PS_TRACED_RELATED, flow);
  *reason = ps_flow_verdict(w, port, flow);
  if (!*reason) ps_count(PS_COUNT_RELATED);
  return 1;
}

// A packet without a settled entry. w->side_slot, w->side and w->key are set. 0 or a drop reason.
__attribute__((noinline)) int ps_flow_judge(struct __sk_buff* skb, struct ps_work* w) {
  w = ps_work_again(w);
  if (!w) return PS_DROP_BAD_POLICY;
  __u32 slot = w->side_slot;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port || !port->port_id) return PS_DROP_PORT_GONE;
  const struct ps_packet* p = &w->packet;
  const int side = w->side & 1;
  int reason;
  struct ps_flow* flow = ps_flow_find(&w->key, ps_flow_check(p, port->port_id));
  if (flow && !ps_flow_restarts(flow, p, side)) {
    ps_note_flow(w, PS_TRACED_HIT, flow);
    reason = ps_flow_verdict(w, port, flow);
    flow->seen_ns = w->now_ns;
    if (!reason) reason = ps_limit_rate_of(skb, w, port);
    if (reason) return reason;
    ps_flow_count(w, flow, side);
    ps_flow_advance(flow, p, side);
    return 0;
  }
  const __u32 replaced = flow ? flow->flags : 0;
  if (p->flags & PS_PACKET_ICMP_ERROR) {
    if (ps_flow_related(skb, w, port, &reason))
      return reason ? reason : ps_limit_rate_of(skb, w, port);
    ps_flow_key_of(p, port->port_id, port->zone, side, &w->key);
  }
  const int reply = ps_flow_start(p) == PS_START_REPLY;
  const int initiator = reply ? !side : side;
  const __u64 policy = ps_policy_of(port, initiator);
  ps_note(w, PS_NOTE_FLOW, side, (reply ? PS_TRACED_REPLY : PS_TRACED_NEW) | initiator << 16,
          PS_NO_RULE, 0);
  ps_view_flow(w, initiator, reply ? PS_TCP_SYN : p->tcp_flags, p->icmp_type, p->icmp_code);
  ps_walk(w, PS_POLICY_LINE(policy), 0);
  reason = ps_judged(&w->judgement);
  if (!reason) reason = ps_limit_rate_of(skb, w, port);
  if (reason) return reason;
  // No entry for what no later packet would match.
  if (w->judgement.stateless || p->flags & PS_PACKET_ICMP_ERROR || !ps_flow_begins(p)) return 0;
  ps_limits_of(w, port, ps_flow_is_pickup(p));
  if (flow) ps_settle(flow);
  return ps_flow_make(w, policy, initiator, reply, replaced);
}

// One side of the packet. 0 or a drop reason.
PS_INLINE int ps_side(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port,
                      __u32 slot, int side) {
  if (!ps_tracked(port)) {
    ps_note(w, PS_NOTE_FLOW, side, PS_TRACED_UNTRACKED, PS_NO_RULE, 0);
    return 0;
  }
  const struct ps_packet* p = &w->packet;
  ps_flow_key_of(p, port->port_id, port->zone, side, &w->key);
  struct ps_flow* flow = ps_flow_at(&w->key);
  if (ps_likely(flow != 0)) {
    const __u8 flags = flow->flags & (PS_FLOW_DENIED | PS_FLOW_INSPECTED | PS_FLOW_DYING);
    if (ps_likely(flow->check == ps_flow_check(p, port->port_id) && flags == PS_FLOW_INSPECTED &&
                  flow->policy == ps_policy_of(port, flow->initiator) &&
                  ps_flow_settled(flow, p))) {
      ps_note_settled(w, side, flow);
      if (ps_unlikely(port->limited & PS_LIMITED(PS_LIMIT_RATE))) {
        w->side_slot = slot;
        w->side = side;
        const int reason = ps_limit_rate(skb, w);
        if (reason) return reason;
      }
      ps_flow_count(w, flow, side);
      return 0;
    }
  }
  w->side_slot = slot;
  w->side = side;
  return ps_flow_judge(skb, w);
}

#endif
