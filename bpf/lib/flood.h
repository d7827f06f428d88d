// Broadcast and multicast: one copy to each port of the network on this host and one to each other
// host (head-end replication). Copies to ports pass those ports' egress programs, which judge them;
// copies to hosts are judged there.
#ifndef PENSTOCK_LIB_FLOOD_H
#define PENSTOCK_LIB_FLOOD_H

#include "lib/deliver.h"

struct ps_flood_run {
  struct __sk_buff* skb;
  struct ps_work* w;
  const struct ps_flood* list;
  __u32 overlay;
  __u32 copies;
};

static long ps_flood_local(__u32 i, struct ps_flood_run* run) {
  if (i >= PS_FLOOD_LOCAL_MAX || i >= run->list->local_count) return 1;
  __u32 slot = run->list->local[i];
  if (run->w->from_vm && slot == run->w->slot) return 0;
  if (run->copies >= ps_config.flood_copies) {
    ps_count(PS_COUNT_FLOOD_CAPPED);
    return 0;
  }
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port || !port->port_id || port->vni != run->w->vni || port->flags & PS_PORT_NO_FLOOD)
    return 0;
  run->copies++;
  ps_note(run->w, PS_NOTE_COPY, 0, slot, i, 0);
  if (!ps_clone(run->skb, port->ifindex)) ps_count(PS_COUNT_FLOOD_COPIES);
  return 0;
}

static long ps_flood_remote(__u32 i, struct ps_flood_run* run) {
  if (i >= PS_FLOOD_REMOTE_MAX || i >= run->list->remote_count) return 1;
  if (run->copies >= ps_config.flood_copies) {
    ps_count(PS_COUNT_FLOOD_CAPPED);
    return 0;
  }
  run->copies++;
  if (ps_set_tunnel(run->skb, run->w->vni, &run->list->remote[i])) return 0;
  ps_note(run->w, PS_NOTE_COPY, 0, ~0u, i, 0);
  if (!ps_clone(run->skb, run->overlay)) ps_count(PS_COUNT_FLOOD_COPIES);
  return 0;
}

// A tc action. From another host: to local ports only (split horizon: the sender's host made all
// other copies).
__attribute__((noinline)) int ps_flood_frame(struct __sk_buff* skb, struct ps_work* w) {
  if (!w) return TC_ACT_SHOT;
  __u32 vni = w->vni;
  const struct ps_flood* list = bpf_map_lookup_elem(&ps_flood, &vni);
  if (!list) return ps_drop(w, PS_DROP_FLOOD_EMPTY);
  struct ps_flood_run run = {.skb = skb, .w = w, .list = list, .overlay = ps_overlay_ifindex()};
  bpf_loop(PS_FLOOD_LOCAL_MAX, ps_flood_local, &run, 0);
  if (w->from_vm && run.overlay) bpf_loop(PS_FLOOD_REMOTE_MAX, ps_flood_remote, &run, 0);
  return ps_drop(w, run.copies ? PS_DROP_FLOODED : PS_DROP_FLOOD_EMPTY);
}

#endif
