// The programs of the switch. One run takes a packet all the way: parse, check the sender, judge
// the sending side, judge the receiving side when it is on this host, deliver.
#include "lib/control.h"
#include "lib/flood.h"
#include "lib/flow.h"
#include "lib/fragment.h"
#include "lib/parse.h"
#include "lib/reject.h"
#include "lib/spoof.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PS_FRAGMENT (PS_PACKET_FIRST_FRAGMENT | PS_PACKET_LATER_FRAGMENT)

__attribute__((noinline)) int ps_parse_frame(struct __sk_buff* skb, struct ps_work* w) {
  if (!w) return PS_DROP_MALFORMED;
  return ps_parse(skb, &w->packet);
}

// Starts a run: 0 when there is none (cannot happen).
PS_INLINE struct ps_work* ps_begin(struct __sk_buff* skb, __u32 index, int from_vm) {
  struct ps_work* w = bpf_map_lookup_elem(&ps_scratch, &index);
  if (!w) return 0;
  w->now_ns = bpf_ktime_get_coarse_ns();
  w->length = skb->len;
  w->slot = 0xffffffff;
  w->from_vm = from_vm;
  w->scratch = index;
  w->refused = 0;
  return w;
}

// 0 or a drop reason.
PS_INLINE int ps_parse_any(struct __sk_buff* skb, struct ps_work* w) {
  if (skb->vlan_present) return PS_DROP_VLAN;
  if (ps_parse_fast((const void*)(long)skb->data, (const void*)(long)skb->data_end, &w->packet))
    return 0;
  return ps_parse_frame(skb, w);
}

PS_INLINE const struct ps_port* ps_port_of_device(struct __sk_buff* skb, struct ps_work* w) {
  __u32 ifindex = skb->ifindex;
  __u32 index = ifindex % PS_SLOT_HINTS;
  __u32* hint = bpf_map_lookup_elem(&ps_slot_hints, &index);
  if (!hint) return 0;
  __u32 slot = *hint;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (ps_unlikely(!port || port->ifindex != ifindex)) {
    const __u32* known = bpf_map_lookup_elem(&ps_port_slots, &ifindex);
    if (!known) return 0;
    slot = *known;
    port = bpf_map_lookup_elem(&ps_ports, &slot);
    if (port && port->ifindex == ifindex) *hint = slot;
  }
  w->slot = slot;
  return port && port->port_id ? port : 0;
}

PS_INLINE const struct ps_endpoint* ps_endpoint_of(struct ps_work* w) {
  w->endpoint_key.vni = w->vni;
  ps_mac_store(w->endpoint_key.mac, &w->packet.dst_mac);
  w->endpoint_key.zero = 0;
  return bpf_map_lookup_elem(&ps_endpoints, &w->endpoint_key);
}

// By the side that was judged last.
PS_INLINE int ps_refuse(struct __sk_buff* skb, struct ps_work* w, int reason) {
  w->refused = 1;
  if (reason == PS_DROP_POLICY_REJECT) return ps_reject(skb, w, reason, 0);
  return ps_drop(w, reason);
}

// Ingress of a port's device: what the VM sends.
PS_PROGRAM(from_port, 0, PS_TRACED_FROM_PORT) {
  struct ps_work* w = ps_begin(skb, 0, 1);
  if (!w) return TC_ACT_SHOT;
  const struct ps_port* port = ps_port_of_device(skb, w);
  if (!port) return ps_drop(w, PS_DROP_NO_PORT);
  w->vni = port->vni;
  ps_note(w, PS_NOTE_PORT, 0, w->slot, port->port_id, 0);
  int reason = ps_parse_any(skb, w);
  if (ps_unlikely(reason)) return ps_drop(w, reason);
  ps_note(w, PS_NOTE_PARSED, 0, 0, 0, 0);
  const struct ps_packet* p = &w->packet;
  if (ps_unlikely(!ps_mac_is(&p->src_mac, port->mac)) && !(port->flags & PS_PORT_ANY_MAC))
    return ps_drop(w, PS_DROP_SPOOFED_MAC);
  if (p->ethertype == PS_ETHERTYPE_ARP) return ps_arp(skb, w);
  if (ps_unlikely(!ps_source_is_first(port, p)) && !(port->flags & PS_PORT_ANY_ADDRESS)) {
    reason = ps_check_source(w);
    if (reason) return ps_drop(w, reason);
  }
  ps_note(w, PS_NOTE_SENDER, 0, 0, 0, 0);
  if (ps_unlikely(p->flags & PS_PACKET_CONTROL)) {
    const int action = ps_control(skb, w);
    if (action != PS_PASS_ON) return action;
  }
  const struct ps_endpoint* to = 0;
  const struct ps_port* receiver = 0;
  __u32 receiver_slot = 0;
  if (!(p->flags & PS_PACKET_MULTICAST)) {
    to = ps_endpoint_of(w);
    if (ps_unlikely(!to)) return ps_drop(w, PS_DROP_UNKNOWN_MAC);
    ps_note(w, PS_NOTE_ENDPOINT, 0, to->kind, to->port_id, 0);
    if (to->kind == PS_ENDPOINT_LOCAL) {
      receiver_slot = to->slot;
      if (ps_unlikely(receiver_slot == w->slot)) return ps_drop(w, PS_DROP_TO_SELF);
      receiver = bpf_map_lookup_elem(&ps_ports, &receiver_slot);
      if (ps_unlikely(!receiver || !receiver->port_id)) return ps_drop(w, PS_DROP_PORT_GONE);
    } else if (to->kind != PS_ENDPOINT_REMOTE) {
      return ps_drop(w, PS_DROP_NO_ROUTER);
    }
  }
  if (ps_unlikely(port->mtu && w->length > port->mtu + PS_ETHERNET_BYTES && !skb->gso_size))
    return ps_reject(skb, w, PS_DROP_TOO_BIG, port->mtu);
  const int fragment = p->flags & PS_FRAGMENT;
  if (ps_unlikely(p->flags & PS_PACKET_LATER_FRAGMENT) &&
      (ps_tracked(port) || (receiver && ps_tracked(receiver)))) {
    reason = ps_fragment_recall(w, port->port_id);
    if (reason) return ps_drop(w, reason);
  }
  reason = ps_side(skb, w, port, w->slot, PS_OUT);
  if (ps_unlikely(reason)) return ps_refuse(skb, w, reason);
  if (receiver) {
    reason = ps_side(skb, w, receiver, receiver_slot, PS_IN);
    if (ps_unlikely(reason)) return ps_refuse(skb, w, reason);
  }
  if (ps_unlikely(fragment & PS_PACKET_FIRST_FRAGMENT)) ps_fragment_remember(w, port->port_id);
  ps_count_port(w->slot, PS_OUT, w->length);
  if (receiver) return ps_to_local(skb, w, receiver, receiver_slot);
  if (to) return ps_to_remote(skb, w, &to->vtep);
  return ps_flood_frame(skb, w);
}

__attribute__((noinline)) int ps_take_tunnel(struct __sk_buff* skb, struct ps_work* w) {
  struct bpf_tunnel_key key = {};
  if (!w) return PS_DROP_NO_TUNNEL;
  ps_zero(&w->sender, sizeof(w->sender));
  if (ps_described_tunnel(w)) return 0;
  // The kernel says EPROTO when the outer header is of the other family than asked for.
  if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
    const __u32 address = bpf_htonl(key.remote_ipv4);
    w->sender.family = 4;
    ps_copy(w->sender.address, &address, 4);
  } else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
    w->sender.family = 6;
    ps_copy(w->sender.address, key.remote_ipv6, 16);
  } else {
    return PS_DROP_NO_TUNNEL;
  }
  w->vni = key.tunnel_id;
  return 0;
}

PS_INLINE int ps_is_vtep(const struct ps_vtep* known, const struct ps_vtep* seen) {
  return ps_load32(known) == ps_load32(seen) && known->family &&
         ps_load64(known->address) == ps_load64(seen->address) &&
         ps_load64(known->address + 8) == ps_load64(seen->address + 8);
}

// Does the frame come from the host that its sender lives on? Without this, whoever can send to our
// UDP port could speak for any MAC of any network. 0 or a drop reason.
PS_INLINE int ps_check_tunnel(struct ps_work* w) {
  w->endpoint_key.vni = w->vni;
  ps_mac_store(w->endpoint_key.mac, &w->packet.src_mac);
  w->endpoint_key.zero = 0;
  const struct ps_endpoint* from = bpf_map_lookup_elem(&ps_endpoints, &w->endpoint_key);
  if (ps_unlikely(!from)) return PS_DROP_FORGED_TUNNEL;
  if (ps_likely(ps_is_vtep(&from->vtep, &w->sender))) return 0;
  return ps_is_vtep(&from->also, &w->sender) ? 0 : PS_DROP_FORGED_TUNNEL;
}

// Ingress of the vxlan device: what other hosts send.
PS_PROGRAM(from_overlay, 0, PS_TRACED_FROM_OVERLAY) {
  struct ps_work* w = ps_begin(skb, 0, 0);
  if (!w) return TC_ACT_SHOT;
  int reason = ps_take_tunnel(skb, w);
  if (reason) return ps_drop(w, reason);
  reason = ps_parse_any(skb, w);
  if (ps_unlikely(reason)) return ps_drop(w, reason);
  ps_note(w, PS_NOTE_PARSED, 0, 0, 0, 0);
  reason = ps_check_tunnel(w);
  if (ps_unlikely(reason)) return ps_drop(w, reason);
  ps_note(w, PS_NOTE_SENDER, 0, 0, 0, 0);
  const struct ps_packet* p = &w->packet;
  if (p->ethertype == PS_ETHERTYPE_ARP)
    return ps_drop(w, PS_DROP_ARP_UNKNOWN);  // answered at its origin
  if (p->flags & PS_PACKET_MULTICAST) return ps_flood_frame(skb, w);
  const struct ps_endpoint* to = ps_endpoint_of(w);
  if (ps_unlikely(!to || to->kind != PS_ENDPOINT_LOCAL)) return ps_drop(w, PS_DROP_UNKNOWN_MAC);
  __u32 slot = to->slot;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (ps_unlikely(!port || !port->port_id || port->vni != w->vni))
    return ps_drop(w, PS_DROP_PORT_GONE);
  ps_note(w, PS_NOTE_ENDPOINT, 0, to->kind, to->port_id, 0);
  w->slot = slot;
  // The sender's host has checked this, unless it has not heard of a smaller MTU yet.
  if (ps_unlikely(port->mtu && w->length > port->mtu + PS_ETHERNET_BYTES && !skb->gso_size))
    return ps_reject(skb, w, PS_DROP_TOO_BIG, port->mtu);
  const int fragment = p->flags & PS_FRAGMENT;
  if (ps_unlikely(fragment & PS_PACKET_LATER_FRAGMENT) && ps_tracked(port)) {
    reason = ps_fragment_recall(w, PS_SCOPE_OVERLAY | w->vni);
    if (reason) return ps_drop(w, reason);
  }
  reason = ps_side(skb, w, port, slot, PS_IN);
  if (ps_unlikely(reason)) return ps_refuse(skb, w, reason);
  if (ps_unlikely(fragment & PS_PACKET_FIRST_FRAGMENT))
    ps_fragment_remember(w, PS_SCOPE_OVERLAY | w->vni);
  return ps_to_local(skb, w, port, slot);
}

// Egress of a port's device: what reaches the VM without having come through the two programs
// above: copies of broadcasts, and packets of the host itself.
PS_PROGRAM(to_port, 1, PS_TRACED_TO_PORT) {
  if (skb->mark == PS_MARK_JUDGED || skb->mark == PS_MARK_HOST) {
    skb->mark = 0;
    return TC_ACT_OK;
  }
  struct ps_work* w = ps_begin(skb, 1, 0);
  if (!w) return TC_ACT_SHOT;
  const struct ps_port* port = ps_port_of_device(skb, w);
  if (!port) return ps_drop(w, PS_DROP_NO_PORT);
  w->vni = port->vni;
  ps_note(w, PS_NOTE_PORT, 0, w->slot, port->port_id, 0);
  int reason = ps_parse_any(skb, w);
  if (reason) return ps_drop(w, reason);
  ps_note(w, PS_NOTE_PARSED, 0, 0, 0, 0);
  const struct ps_packet* p = &w->packet;
  const int fragment = p->flags & PS_FRAGMENT;
  // Fragments of a flooded datagram are remembered by their receiver: the sender's port is not
  // known here.
  if (p->flags & PS_PACKET_LATER_FRAGMENT && ps_tracked(port)) {
    reason = ps_fragment_recall(w, port->port_id);
    if (reason) return ps_drop(w, reason);
  }
  if (p->family) {
    reason = ps_side(skb, w, port, w->slot, PS_IN);
    if (reason) return ps_drop(w, reason);
  }
  if (fragment & PS_PACKET_FIRST_FRAGMENT) ps_fragment_remember(w, port->port_id);
  ps_note(w, PS_NOTE_PASS, 0, 0, 0, 0);
  ps_count_port(w->slot, PS_IN, w->length);
  return TC_ACT_OK;
}

struct ps_sweep_run {
  struct ps_sweep* sweep;
  __u64 now_ns;
};

static long ps_sweep_entry(void* map, const struct ps_flow_key* key, struct ps_flow* flow,
                           struct ps_sweep_run* run) {
  struct ps_sweep* sweep = run->sweep;
  sweep->looked_at++;
  ps_settle(flow);
  if (sweep->port_id) {
    if (key->port_id != sweep->port_id) return 0;
  } else {
    if (!ps_flow_expired(&ps_config, key->protocol, flow, run->now_ns)) return 0;
    // Packets may be using the entry. Marked first, then looked at again: one that refreshed it
    // before it could see the mark keeps it.
    flow->flags |= PS_FLOW_DYING;
    __sync_fetch_and_add(&flow->seen_ns, 0);
    if (!ps_flow_expired(&ps_config, key->protocol, flow, run->now_ns)) {
      flow->flags &= ~PS_FLOW_DYING;
      return 0;
    }
  }
  const __u32 slot = flow->slot;
  const __u32 port_id = key->port_id;
  const __u8 flags = flow->flags;
  if (!bpf_map_delete_elem(map, key)) {
    ps_quota_return(slot, port_id, flags);
    ps_count(PS_COUNT_FLOW_EXPIRED);
    sweep->deleted++;
  }
  return 0;
}

// Deletes flow entries: those that have expired, or all of one port; rules get what all of them
// carried. Run by user space.
SEC("syscall") int sweep(struct ps_sweep* sweep) {
  struct ps_sweep_run run = {};
  struct ps_sweep local = *sweep;
  run.sweep = &local;
  run.now_ns = local.now_ns ? local.now_ns : bpf_ktime_get_ns();
  local.looked_at = local.deleted = 0;
  bpf_for_each_map_elem(&ps_flows, ps_sweep_entry, &run, 0);
  sweep->looked_at = local.looked_at;
  sweep->deleted = local.deleted;
  return 0;
}

// Puts a flow entry in that came from another host, and counts it for its port. Run by user space,
// while the port forwards nothing.
SEC("syscall") int place(struct ps_place* place) {
  struct ps_place local = *place;
  __u32 slot = local.flow.slot;
  const __u32 port_id = local.key.port_id;
  const int outside = local.flow.flags & PS_FLOW_FROM_OUTSIDE;
  const struct ps_flow* known = bpf_map_lookup_elem(&ps_flows, &local.key);
  place->outcome = known ? PS_PLACED_AGAIN : PS_PLACED;
  if (known) ps_quota_return(known->slot, port_id, known->flags);
  struct ps_port_flows* held = ps_held_at(&slot);
  if (!held) {
    place->outcome = PS_PLACE_NO_ROOM;
    return 0;
  }
  if (held->port_id != port_id) {
    held->port_id = port_id;
    held->entries = 0;
    held->outside = 0;
  }
  if (!known && held->entries >= ps_config.port_flow_quota) {
    place->outcome = PS_PLACE_NO_ROOM;
    return 0;
  }
  __sync_fetch_and_add(&held->entries, 1);
  if (outside) __sync_fetch_and_add(&held->outside, 1);
  if (!bpf_map_update_elem(&ps_flows, &local.key, &local.flow, BPF_ANY)) return 0;
  ps_quota_return(slot, port_id, local.flow.flags);
  place->outcome = PS_PLACE_NO_ROOM;
  return 0;
}

// Does nothing: what a run costs at least, for measurements.
SEC("tc") int empty(struct __sk_buff* skb) {
  return TC_ACT_OK;
}
