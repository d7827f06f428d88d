// Anti-spoofing: what a VM may claim to be.
//
// Source MAC: the port's own. Source IP: an address of the port. Further allowed: 0.0.0.0 for DHCP
// requests, :: for neighbour, router and multicast listener messages, and link-local IPv6
// addresses, which guests choose themselves (RFC 7217), unless the network knows the address as
// somebody else's.
#ifndef PENSTOCK_LIB_SPOOF_H
#define PENSTOCK_LIB_SPOOF_H

#include "lib/count.h"

PS_INLINE int ps_same_mac(const __u8* a, const __u8* b) {
  return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
          (a[5] ^ b[5])) == 0;
}

PS_INLINE int ps_mac_is(const struct ps_mac* mac, const __u8* own) {
  return mac->high == ps_load32(own) && mac->low == ps_load16(own + 4);
}

PS_INLINE void ps_address_key_set(struct ps_work* w, __u32 scope, __u8 family,
                                  const void* address) {
  w->address_key.scope = scope;
  w->address_key.family = family;
  ps_zero(w->address_key.zero, 3);
  ps_copy(w->address_key.address, address, 16);
}

// The port's first addresses are in its entry: one compare instead of a look-up.
PS_INLINE int ps_source_is_first(const struct ps_port* port, const struct ps_packet* p) {
  if (p->family == 4) {
    const __u32 own = ps_load32(port->ip4);
    return own == p->src.w[0] && own;
  }
  const __u64 high = ps_load64(port->ip6), low = ps_load64(port->ip6 + 8);
  return high == p->src.d[0] && low == p->src.d[1] && (high | low);
}

PS_INLINE int ps_is_link_local(const union ps_address* a) {
  return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

// May the port use this address as its own? The address is in w->address_key with any scope.
PS_INLINE int ps_owns(struct ps_work* w, const struct ps_port* port) {
  w->address_key.scope = port->port_id;
  if (bpf_map_lookup_elem(&ps_addresses, &w->address_key)) return 1;
  if (w->address_key.family != 6 || w->address_key.address[0] != 0xfe ||
      (w->address_key.address[1] & 0xc0) != 0x80)
    return 0;
  w->address_key.scope = port->vni;
  const struct ps_neighbor* known = bpf_map_lookup_elem(&ps_neighbors, &w->address_key);
  return !known || ps_same_mac(known->mac, port->mac);
}

// The source is not the first address of the port. 0 or a drop reason.
__attribute__((noinline)) int ps_check_source(struct ps_work* w) {
  w = ps_work_again(w);
  if (!w) return PS_DROP_MALFORMED;
  __u32 slot = w->slot;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port) return PS_DROP_NO_PORT;
  const struct ps_packet* p = &w->packet;
  if (!(p->src.d[0] | p->src.d[1])) {
    if (p->family == 4) {
      if (p->proto == PS_PROTO_UDP && p->sport == 68 && p->dport == 67) return 0;
    } else if (p->flags & PS_PACKET_ICMP && p->flags & PS_PACKET_CONTROL) {
      return 0;
    }
    return PS_DROP_SPOOFED_ADDRESS;
  }
  ps_address_key_set(w, port->port_id, p->family, &p->src);
  return ps_owns(w, port) ? 0 : PS_DROP_SPOOFED_ADDRESS;
}

#endif
