// Telling the sender of a refused packet: TCP reset (RFC 9293 section 3.5.2) or ICMP
// administratively prohibited (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1), and ICMP packet too
// big. The answer is made of the packet itself and goes back where it came from.
#ifndef PENSTOCK_LIB_REJECT_H
#define PENSTOCK_LIB_REJECT_H

#include "lib/checksum.h"
#include "lib/deliver.h"

// Bytes quoted of the refused packet: IPv4 header with options and 8 bytes; IPv6 header and 64
// bytes.
#define PS_QUOTE4 68
#define PS_QUOTE6 104

PS_INLINE void ps_answer_ethernet(struct ps_work* w) {
  __u8* b = w->buffer;
  ps_mac_store(b, &w->packet.src_mac);
  ps_mac_store(b + 6, &w->packet.dst_mac);
  b[12] = w->packet.family == 4 ? 0x08 : 0x86;
  b[13] = w->packet.family == 4 ? 0x00 : 0xdd;
}

// IP header at 14, from the refused packet's destination to its source.
PS_INLINE void ps_answer_ip(struct ps_work* w, __u8 protocol, __u16 payload) {
  __u8* b = w->buffer + PS_ETHERNET_BYTES;
  const struct ps_packet* p = &w->packet;
  if (p->family == 4) {
    const __u16 total = payload + 20;
    b[0] = 0x45;
    b[2] = total >> 8;
    b[3] = (__u8)total;
    b[6] = 0x40;
    b[8] = 64;
    b[9] = protocol;
    ps_copy(b + 12, &p->dst, 4);
    ps_copy(b + 16, &p->src, 4);
    __u8 aligned[20];
    ps_copy(aligned, b, 20);
    const __u16 checksum = ps_checksum_fold(ps_sum(aligned, 20, 0));
    ps_copy(b + 10, &checksum, 2);
    return;
  }
  b[0] = 0x60;
  b[4] = payload >> 8;
  b[5] = (__u8)payload;
  b[6] = protocol;
  b[7] = 64;
  ps_copy(b + 8, &p->dst, 16);
  ps_copy(b + 24, &p->src, 16);
}

PS_INLINE int ps_reset_build(struct __sk_buff* skb, struct ps_work* w) {
  const struct ps_packet* p = &w->packet;
  const __u32 ip = p->family == 4 ? 20 : 40;
  __u8 h[16];
  if (bpf_skb_load_bytes(skb, p->l4, h, 16)) return 0;
  __be32 sequence, acknowledged;
  ps_copy(&sequence, h + 4, 4);
  ps_copy(&acknowledged, h + 8, 4);
  __u8 tcp[20] = {};
  ps_copy(tcp, h + 2, 2);
  ps_copy(tcp + 2, h, 2);
  if (p->tcp_flags & PS_TCP_ACK) {
    ps_copy(tcp + 4, &acknowledged, 4);
    tcp[13] = PS_TCP_RST;
  } else {
    const __u32 header = (h[12] >> 4) * 4;
    __u32 payload = w->length > p->l4 + header ? w->length - p->l4 - header : 0;
    payload += !!(p->tcp_flags & PS_TCP_SYN) + !!(p->tcp_flags & PS_TCP_FIN);
    const __be32 next = bpf_htonl(bpf_ntohl(sequence) + payload);
    ps_copy(tcp + 8, &next, 4);
    tcp[13] = PS_TCP_RST | PS_TCP_ACK;
  }
  tcp[12] = 5 << 4;
  const __u64 sum = p->family == 4 ? ps_sum_pseudo(&p->dst, &p->src, 4, PS_PROTO_TCP, 20)
                                   : ps_sum_pseudo(&p->dst, &p->src, 16, PS_PROTO_TCP, 20);
  const __u16 checksum = ps_checksum_fold(ps_sum(tcp, 20, sum));
  ps_copy(tcp + 16, &checksum, 2);
  ps_answer_ip(w, PS_PROTO_TCP, 20);
  if (ip == 20)
    ps_copy(w->buffer + PS_ETHERNET_BYTES + 20, tcp, 20);
  else
    ps_copy(w->buffer + PS_ETHERNET_BYTES + 40, tcp, 20);
  return PS_ETHERNET_BYTES + ip + 20;
}

// The ICMP error; `mtu` != 0: too big. Length of the frame, 0: none can be made.
PS_INLINE int ps_error4_build(struct __sk_buff* skb, struct ps_work* w, __u32 mtu) {
  __u8 icmp[8 + PS_QUOTE4] = {};
  __u32 quote = w->length - PS_ETHERNET_BYTES;
  if (quote > PS_QUOTE4) quote = PS_QUOTE4;
  asm volatile("" : "+r"(quote));
  if (quote < 20 || quote > PS_QUOTE4) return 0;
  if (bpf_skb_load_bytes(skb, PS_ETHERNET_BYTES, icmp + 8, quote)) return 0;
  icmp[0] = 3;
  icmp[1] = mtu ? 4 : 13;
  icmp[6] = mtu >> 8;
  icmp[7] = (__u8)mtu;
  const __u16 checksum = ps_checksum_fold(ps_sum(icmp, sizeof(icmp), 0));
  ps_copy(icmp + 2, &checksum, 2);
  ps_answer_ip(w, PS_PROTO_ICMP, 8 + quote);
  ps_copy(w->buffer + PS_ETHERNET_BYTES + 20, icmp, sizeof(icmp));
  return PS_ETHERNET_BYTES + 28 + quote;
}

PS_INLINE int ps_error6_build(struct __sk_buff* skb, struct ps_work* w, __u32 mtu) {
  const struct ps_packet* p = &w->packet;
  __u8* icmp = w->buffer + PS_ETHERNET_BYTES + 40;
  __u32 quote = w->length - PS_ETHERNET_BYTES;
  if (quote > PS_QUOTE6) quote = PS_QUOTE6;
  asm volatile("" : "+r"(quote));
  if (quote < 40 || quote > PS_QUOTE6) return 0;
  if (bpf_skb_load_bytes(skb, PS_ETHERNET_BYTES, icmp + 8, quote)) return 0;
  icmp[0] = mtu ? 2 : 1;
  icmp[1] = mtu ? 0 : 1;
  icmp[6] = mtu >> 8;
  icmp[7] = (__u8)mtu;
  const __u64 sum = ps_sum_pseudo(&p->dst, &p->src, 16, PS_PROTO_ICMP6, 8 + quote);
  const __u16 checksum = ps_checksum_fold(ps_sum(icmp, 8 + PS_QUOTE6, sum));
  ps_copy(icmp + 2, &checksum, 2);
  ps_answer_ip(w, PS_PROTO_ICMP6, 8 + quote);
  return PS_ETHERNET_BYTES + 48 + quote;
}

// Makes the frame `length` bytes long, and one whose checksums are as they stand. A guest with
// checksum offload has left the transport checksum to a device further on, which would write it
// into the middle of the answer: the kernel forgets that only when the place is cut off in front,
// so room for it is made behind first. 0 when done.
#define PS_CUT 512
PS_INLINE int ps_answer_room(struct __sk_buff* skb, const struct ps_work* w, __u32 length) {
  if (w->packet.l4 >= PS_CUT) return 1;
  return bpf_skb_change_tail(skb, PS_ETHERNET_BYTES + 40 + PS_CUT, 0) ||
         bpf_skb_adjust_room(skb, -PS_CUT, BPF_ADJ_ROOM_MAC, 0) ||
         bpf_skb_change_tail(skb, length, 0);
}

// Never about a packet that must not be answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4 e):
// ICMP errors, broadcast and multicast, later fragments, unspecified senders, resets.
PS_INLINE int ps_may_answer(const struct ps_packet* p) {
  if (p->flags & (PS_PACKET_ICMP_ERROR | PS_PACKET_MULTICAST | PS_PACKET_LATER_FRAGMENT)) return 0;
  if (!(p->src.d[0] | p->src.d[1])) return 0;
  return p->proto != PS_PROTO_TCP || !(p->tcp_flags & PS_TCP_RST);
}

// Drops the packet for `reason` and answers its sender. A tc action. mtu != 0: "packet too big".
__attribute__((noinline)) int ps_reject(struct __sk_buff* skb, struct ps_work* w, __u32 reason,
                                        __u32 mtu) {
  if (!w) return TC_ACT_SHOT;
  const struct ps_port* port = 0;
  const int action = ps_drop(w, reason);
  const struct ps_packet* p = &w->packet;
  if (!ps_may_answer(p)) return action;
  if (!ps_may(PS_BUDGET_REJECTS, ps_config.rejects_per_s, w->now_ns)) {
    ps_count(PS_COUNT_REJECT_LIMITED);
    return action;
  }
  if (w->from_vm) {
    __u32 slot = w->slot;
    port = bpf_map_lookup_elem(&ps_ports, &slot);
    if (!port) return action;
  }
  ps_zero(w->buffer, sizeof(w->buffer));
  ps_answer_ethernet(w);
  __u32 length;
  if (p->proto == PS_PROTO_TCP && !mtu)
    length = ps_reset_build(skb, w);
  else if (p->family == 4)
    length = ps_error4_build(skb, w, mtu);
  else
    length = ps_error6_build(skb, w, mtu);
  asm volatile("" : "+r"(length));
  if (length < PS_ETHERNET_BYTES || length > sizeof(w->buffer)) return action;
  if (ps_answer_room(skb, w, length) || bpf_skb_store_bytes(skb, 0, w->buffer, length, 0))
    return action;
  ps_count(PS_COUNT_REJECT_SENT);
  return ps_send_back(skb, w, port);
}

#endif
