// Frames that make a network work and that a VM may not simply send: ARP, neighbour discovery,
// router messages, DHCP, group membership. The switch knows every address of the network, so it
// answers ARP and neighbour solicitations itself and lets no claim through.
#ifndef PENSTOCK_LIB_CONTROL_H
#define PENSTOCK_LIB_CONTROL_H

#include "lib/checksum.h"
#include "lib/deliver.h"
#include "lib/spoof.h"

struct ps_arp {
  __be16 hardware, protocol;
  __u8 hardware_length, protocol_length;
  __be16 operation;
  __u8 sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
};
PS_CHECK_SIZE(ps_arp, 28);

// An ARP frame from a VM (RFC 826). A tc action.
__attribute__((noinline)) int ps_arp(struct __sk_buff* skb, struct ps_work* w) {
  w = ps_work_again(w);
  if (!w) return TC_ACT_SHOT;
  __u32 slot = w->slot;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port) return ps_drop(w, PS_DROP_NO_PORT);
  struct ps_arp arp;
  if (bpf_skb_load_bytes(skb, PS_ETHERNET_BYTES, &arp, sizeof(arp)) ||
      arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(PS_ETHERTYPE_IP4) ||
      arp.hardware_length != 6 || arp.protocol_length != 4)
    return ps_drop(w, PS_DROP_MALFORMED);
  __u8 address[16] = {};
  ps_copy(address, arp.sender_ip, 4);
  __u32 sender_ip;
  ps_copy(&sender_ip, arp.sender_ip, 4);
  if (!(port->flags & PS_PORT_ANY_MAC) && !ps_same_mac(arp.sender_mac, port->mac))
    return ps_drop(w, PS_DROP_SPOOFED_ARP);
  // Sender 0.0.0.0 is a probe whether an address is free (RFC 5227).
  if (!(port->flags & PS_PORT_ANY_ADDRESS) && sender_ip) {
    ps_address_key_set(w, port->port_id, 4, address);
    if (!ps_owns(w, port)) return ps_drop(w, PS_DROP_SPOOFED_ARP);
  }
  // Replies go to nobody: nobody but the switch was asked.
  if (arp.operation != bpf_htons(1)) return ps_drop(w, PS_DROP_OWN_ADDRESS);
  ps_copy(address, arp.target_ip, 4);
  ps_address_key_set(w, port->vni, 4, address);
  const struct ps_neighbor* neighbor = bpf_map_lookup_elem(&ps_neighbors, &w->address_key);
  if (!neighbor) return ps_drop(w, PS_DROP_ARP_UNKNOWN);
  if (ps_same_mac(neighbor->mac, port->mac)) return ps_drop(w, PS_DROP_OWN_ADDRESS);
  __u8* b = w->buffer;
  ps_copy(b, arp.sender_mac, 6);
  ps_copy(b + 6, neighbor->mac, 6);
  b[12] = 0x08;
  b[13] = 0x06;
  struct ps_arp answer = arp;
  answer.operation = bpf_htons(2);
  ps_copy(answer.target_mac, arp.sender_mac, 6);
  ps_copy(answer.target_ip, arp.sender_ip, 4);
  ps_copy(answer.sender_mac, neighbor->mac, 6);
  ps_copy(answer.sender_ip, arp.target_ip, 4);
  ps_copy(b + PS_ETHERNET_BYTES, &answer, sizeof(answer));
  if (bpf_skb_store_bytes(skb, 0, b, PS_ETHERNET_BYTES + sizeof(answer), 0))
    return ps_drop(w, PS_DROP_DELIVERY);
  ps_count(PS_COUNT_ARP_ANSWERED);
  return ps_send_back(skb, w, port);
}

// Hands the frame to the host's responder.
PS_INLINE int ps_punt_frame(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port,
                            __u16 kind) {
  __u32 length = w->length;
  if (length < PS_ETHERNET_BYTES || length > PS_PUNT_BYTES) return ps_drop(w, PS_DROP_MALFORMED);
  struct ps_punted* punted = bpf_ringbuf_reserve(&ps_punt, sizeof(*punted), 0);
  if (!punted) return ps_drop(w, PS_DROP_PUNT_FULL);
  punted->port_id = port->port_id;
  punted->ifindex = port->ifindex;
  punted->vni = port->vni;
  punted->kind = kind;
  punted->length = length;
  asm volatile("" : "+r"(length));
  if (length < PS_ETHERNET_BYTES || length > PS_PUNT_BYTES ||
      bpf_skb_load_bytes(skb, 0, punted->frame, length)) {
    bpf_ringbuf_discard(punted, 0);
    return ps_drop(w, PS_DROP_MALFORMED);
  }
  bpf_ringbuf_submit(punted, 0);
  ps_note(w, PS_NOTE_PUNT, 0, kind, 0, 0);
  ps_count(PS_COUNT_PUNTED);
  return ps_drop(w, PS_DROP_PUNTED);
}

// Neighbour discovery options after `offset` name no link-layer address but the port's own (RFC
// 4861 section 4.6.1).
PS_INLINE int ps_nd_options_ok(struct __sk_buff* skb, const struct ps_port* port, __u32 offset,
                               __u32 end) {
  for (int i = 0; i < 4; i++) {
    __u8 option[8];
    if (offset + 8 > end) return 1;
    if (bpf_skb_load_bytes(skb, offset, option, 8)) return 1;
    if (!option[1]) return 0;
    if ((option[0] == 1 || option[0] == 2) && !ps_same_mac(option + 2, port->mac)) return 0;
    offset += (__u32)option[1] * 8;
  }
  return offset + 8 > end;
}

#define PS_ND_FRAME 86  // Ethernet, IPv6, advertisement, one option

// A neighbour solicitation: target in w->address_key. A tc action.
PS_INLINE int ps_nd_answer(struct __sk_buff* skb, struct ps_work* w, const struct ps_port* port) {
  const struct ps_packet* p = &w->packet;
  w->address_key.scope = port->vni;
  const struct ps_neighbor* neighbor = bpf_map_lookup_elem(&ps_neighbors, &w->address_key);
  if (!neighbor) return ps_drop(w, PS_DROP_ND_UNKNOWN);
  if (ps_same_mac(neighbor->mac, port->mac)) return ps_drop(w, PS_DROP_OWN_ADDRESS);
  const int solicited = (p->src.d[0] | p->src.d[1]) != 0;  // not a duplicate address probe
  __u8* b = w->buffer;
  ps_zero(b, 88);
  if (solicited) {
    ps_mac_store(b, &p->src_mac);
    ps_copy(b + 38, &p->src, 16);
  } else {  // to all nodes: the prober has no address yet
    b[0] = b[1] = 0x33;
    b[5] = 1;
    b[38] = 0xff;
    b[39] = 0x02;
    b[53] = 1;
  }
  ps_copy(b + 6, neighbor->mac, 6);
  b[12] = 0x86;
  b[13] = 0xdd;
  b[14] = 0x60;
  b[19] = 32;
  b[20] = PS_PROTO_ICMP6;
  b[21] = 255;
  ps_copy(b + 22, w->address_key.address, 16);
  b[54] = 136;
  b[58] = (neighbor->flags & PS_NEIGHBOR_ROUTER ? 0x80 : 0) | (solicited ? 0x40 : 0) | 0x20;
  ps_copy(b + 62, w->address_key.address, 16);
  b[78] = 2;
  b[79] = 1;
  ps_copy(b + 80, neighbor->mac, 6);
  const __u64 sum = ps_sum_pseudo(b + 22, b + 38, 16, PS_PROTO_ICMP6, 32) + ps_sum(b + 54, 32, 0);
  const __u16 checksum = ps_checksum_fold(sum);
  ps_copy(b + 56, &checksum, 2);
  if (bpf_skb_change_tail(skb, PS_ND_FRAME, 0) || bpf_skb_store_bytes(skb, 0, b, PS_ND_FRAME, 0))
    return ps_drop(w, PS_DROP_DELIVERY);
  ps_count(PS_COUNT_ND_ANSWERED);
  return ps_send_back(skb, w, port);
}

#define PS_PASS_ON (-100)  // not a tc action: nothing to hold the packet back for

// A packet with PS_PACKET_CONTROL from a VM. A tc action, or PS_PASS_ON to treat it as any other.
__attribute__((noinline)) int ps_control(struct __sk_buff* skb, struct ps_work* w) {
  w = ps_work_again(w);
  if (!w) return TC_ACT_SHOT;
  __u32 slot = w->slot;
  const struct ps_port* port = bpf_map_lookup_elem(&ps_ports, &slot);
  if (!port) return ps_drop(w, PS_DROP_NO_PORT);
  const struct ps_packet* p = &w->packet;
  if (p->proto == PS_PROTO_IGMP) return ps_drop(w, PS_DROP_GROUP_MEMBERSHIP);
  if (p->proto == PS_PROTO_UDP) {
    // Clients look at the destination port alone.
    if (p->dport == (p->family == 4 ? 68 : 546))
      return port->flags & PS_PORT_DHCP_SERVER ? PS_PASS_ON : ps_drop(w, PS_DROP_ROGUE_DHCP);
    if (!(port->flags & PS_PORT_PUNT_DHCP)) return PS_PASS_ON;
    if (p->family == 4 && p->sport == 68 && p->dport == 67)
      return ps_punt_frame(skb, w, port, PS_PUNT_DHCP4);
    if (p->family == 6 && p->dport == 547) return ps_punt_frame(skb, w, port, PS_PUNT_DHCP6);
    return PS_PASS_ON;
  }
  if (!(p->flags & PS_PACKET_ICMP) || p->family != 6) return PS_PASS_ON;
  const __u8 type = p->icmp_type;
  if (type < 133 || type == 143) return ps_drop(w, PS_DROP_GROUP_MEMBERSHIP);
  // Receivers ignore discovery messages that a router could have forwarded, and fragmented ones
  // (RFC 6980).
  if (p->flags & (PS_PACKET_NO_TTL255 | PS_PACKET_FIRST_FRAGMENT))
    return ps_drop(w, PS_DROP_MALFORMED);
  const __u32 body = p->l4;
  if (type == 133) {
    if (!(port->flags & PS_PORT_ANY_MAC) && !ps_nd_options_ok(skb, port, body + 8, w->length))
      return ps_drop(w, PS_DROP_SPOOFED_ND);
    return port->flags & PS_PORT_PUNT_RS ? ps_punt_frame(skb, w, port, PS_PUNT_ROUTER_SOLICITATION)
                                         : PS_PASS_ON;
  }
  if (type == 134 || type == 137)
    return port->flags & PS_PORT_ROUTER ? PS_PASS_ON : ps_drop(w, PS_DROP_ROGUE_RA);
  w->address_key.family = 6;
  ps_zero(w->address_key.zero, 3);
  if (bpf_skb_load_bytes(skb, body + 8, w->address_key.address, 16))
    return ps_drop(w, PS_DROP_MALFORMED);
  if (!(port->flags & PS_PORT_ANY_MAC) && !ps_nd_options_ok(skb, port, body + 24, w->length))
    return ps_drop(w, PS_DROP_SPOOFED_ND);
  if (type == 135) return ps_nd_answer(skb, w, port);
  // An advertisement: its claim is checked, and nobody needs it.
  if (!(port->flags & PS_PORT_ANY_ADDRESS) && !ps_owns(w, port))
    return ps_drop(w, PS_DROP_SPOOFED_ND);
  return ps_drop(w, PS_DROP_OWN_ADDRESS);
}

#endif
