// Getting a judged frame to where it goes.
#ifndef PENSTOCK_LIB_DELIVER_H
#define PENSTOCK_LIB_DELIVER_H

#include <linux/if_packet.h>

#include "lib/count.h"

// To the VM of a port of this host.
PS_INLINE int ps_to_local(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port,
                          __u32 slot) {
  ps_note(w, PS_NOTE_LOCAL, 0, slot, port->port_id, 0);
  ps_count_port(slot, PS_IN, w->length);
  if (port->flags & PS_PORT_PEER) {
    // The stack took the frame for somebody else's when it arrived; at the peer nobody looks again,
    // and the VM's IP would refuse it.
    if (skb->pkt_type != PACKET_HOST) bpf_skb_change_type(skb, PACKET_HOST);
    return bpf_redirect_peer(port->ifindex, 0);
  }
  skb->mark = PS_MARK_JUDGED;
  return bpf_redirect(port->ifindex, 0);
}

PS_INLINE __u32 ps_overlay_ifindex(void) {
  __u32 zero = 0;
  const __u32* ifindex = bpf_map_lookup_elem(&ps_overlay, &zero);
  return ifindex ? *ifindex : 0;
}

// Attaches the outer addresses. 0 when done.
PS_INLINE int ps_set_tunnel(struct __sk_buff* skb, __u32 vni, const struct ps_vtep* to) {
  struct bpf_tunnel_key key = {};
  key.tunnel_id = vni;
  key.tunnel_ttl = 64;
  if (to->family == 4) {
    __u32 address;
    ps_copy(&address, to->address, 4);
    key.remote_ipv4 = bpf_ntohl(address);
    return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
  }
  ps_copy(key.remote_ipv6, to->address, 16);
  return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
}

// To another host. Not inlined: the tunnel key needs stack.
__attribute__((noinline)) int ps_to_remote(struct __sk_buff* skb, struct ps_work* w,
                                           const struct ps_vtep* to) {
  if (!w || !to) return TC_ACT_SHOT;
  const __u32 overlay = ps_overlay_ifindex();
  if (!overlay || ps_set_tunnel(skb, w->vni, to)) return ps_drop(w, PS_DROP_NO_TUNNEL);
  ps_note(w, PS_NOTE_REMOTE, 0, 0, 0, 0);
  ps_note_vtep(w, to);
  ps_count(PS_COUNT_REMOTE);
  return bpf_redirect(overlay, 0);
}

// Back to where the frame came from: an answer made of it. `port`: of the sender, 0: it came from
// another host.
PS_INLINE int ps_send_back(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port) {
  ps_note(w, PS_NOTE_BACK, 0, port ? w->slot : ~0u, 0, 0);
  if (!port) {
    const __u32 overlay = ps_overlay_ifindex();
    if (!overlay || ps_set_tunnel(skb, w->vni, &w->sender)) return ps_drop(w, PS_DROP_NO_TUNNEL);
    return bpf_redirect(overlay, 0);
  }
  if (port->flags & PS_PORT_PEER) {
    bpf_skb_change_type(skb, PACKET_HOST);
    return bpf_redirect_peer(port->ifindex, 0);
  }
  skb->mark = PS_MARK_JUDGED;
  return bpf_redirect(port->ifindex, 0);
}

#endif
