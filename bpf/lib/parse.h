// Parsing, once a packet. `ps_parse_fast` reads the plain cases (untagged, no IPv4 options or IPv6
// extension headers, no fragment, TCP or UDP) through pointers at constant offsets; `ps_parse`
// reads everything, byte ranges at a time. What the fast one accepts it parses exactly as the other
// does (property test in bpf/tests/).
#ifndef PENSTOCK_LIB_PARSE_H
#define PENSTOCK_LIB_PARSE_H

#include "abi/reasons.h"
#include "lib/packet.h"

// More extension headers than real stacks send; the rest is malformed (RFC 8504 section 5.3 lets us
// refuse).
#define PS_MAX_EXTENSIONS 6

PS_INLINE __u32 ps_fold(const struct ps_packet* p) {
  const __u64 addresses = p->src.d[0] ^ p->src.d[1] ^ p->dst.d[0] ^ p->dst.d[1];
  return (__u32)addresses ^ (__u32)(addresses >> 32) ^ ((__u32)(p->sport ^ p->dport) << 8) ^
         p->proto;
}

// DHCP's UDP ports: 67 and 68 (RFC 2131), 546 and 547 (RFC 8415).
PS_INLINE int ps_is_dhcp_port(__u16 port) {
  return port == 67 || port == 68 || port == 546 || port == 547;
}

// Fills everything but the transport fields from an Ethernet header.
PS_INLINE void ps_take_ethernet(struct ps_packet* p, const __u8* destination, const __u8* source,
                                __u16 ethertype) {
  p->dst_mac.high = ps_load32(destination);
  p->dst_mac.low = ps_load16(destination + 4);
  p->src_mac.high = ps_load32(source);
  p->src_mac.low = ps_load16(source + 4);
  p->ethertype = ethertype;
  p->zeroed[0] = p->zeroed[1] = p->zeroed[2] = 0;
  if (destination[0] & 1) p->flags = PS_PACKET_MULTICAST;
}

// 1: parsed completely; 0: ask ps_parse. Never says anything about malformed frames.
PS_INLINE int ps_parse_fast(const void* data, const void* end, struct ps_packet* p) {
  const __u8* b = (const __u8*)data;
  const __u8* l4;
  int room;  // bytes behind the IP header, as it says: the frame may be padded
  if (b + PS_ETHERNET_BYTES + 20 + 8 > (const __u8*)end) return 0;
  ps_take_ethernet(p, b, b + 6, ps_host16(ps_load16(b + 12)));
  if (p->ethertype == PS_ETHERTYPE_IP4) {
    if (b[14] != 0x45 || ((b[20] & 0x3f) | b[21])) return 0;
    room = ps_host16(ps_load16(b + 16)) - 20;
    p->family = 4;
    p->proto = b[23];
    p->src.w[0] = ps_load32(b + 26);
    p->dst.w[0] = ps_load32(b + 30);
    p->src.w[1] = p->dst.w[1] = 0;
    p->src.d[1] = p->dst.d[1] = 0;
    p->l4 = 34;
    l4 = b + 34;
  } else if (p->ethertype == PS_ETHERTYPE_IP6) {
    if (b + PS_ETHERNET_BYTES + 40 + 8 > (const __u8*)end || b[14] >> 4 != 6) return 0;
    room = ps_host16(ps_load16(b + 18));
    p->family = 6;
    p->proto = b[20];
    p->src.d[0] = ps_load64(b + 22);
    p->src.d[1] = ps_load64(b + 30);
    p->dst.d[0] = ps_load64(b + 38);
    p->dst.d[1] = ps_load64(b + 46);
    p->l4 = 54;
    l4 = b + 54;
  } else {
    return 0;
  }
  if (p->proto == PS_PROTO_TCP) {
    if (room < 20 || l4 + 20 > (const __u8*)end) return 0;
    p->tcp_flags = l4[13];
  } else if (p->proto != PS_PROTO_UDP || room < 8) {
    return 0;
  }
  p->sport = ps_host16(ps_load16(l4));
  p->dport = ps_host16(ps_load16(l4 + 2));
  p->flags |= PS_PACKET_PORTS;
  if (p->proto == PS_PROTO_UDP && (ps_is_dhcp_port(p->sport) || ps_is_dhcp_port(p->dport)))
    p->flags |= PS_PACKET_CONTROL;
  p->fold = ps_fold(p);
  return 1;
}

PS_INLINE int ps_icmp_is_query(__u8 family, __u8 type) {
  if (family == 6) return type == 128 || type == 129;
  // echo, timestamp, information, address mask
  return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

PS_INLINE int ps_icmp_is_error(__u8 family, __u8 type) {
  if (family == 6) return type >= 1 && type <= 4;
  return type == 3 || type == 4 || type == 11 ||
         type == 12;  // redirects (5) are no errors about a flow
}

// The transport header at `offset`, from a first fragment or an unfragmented packet. 0 or a drop
// reason. `end`: of the packet, where padding may follow that its receiver does not look at. A
// packet that an ICMP error quotes has none (PS_QUOTED): only 8 bytes of transport are promised
// (RFC 792).
#define PS_QUOTED 0xffffffff
PS_INLINE int ps_take_transport(ps_frame frame, __u32 offset, __u32 end, struct ps_packet* p) {
  __u8 h[8];
  p->l4 = (__u16)offset;
  switch (p->proto) {
    case PS_PROTO_TCP:
      if (end != PS_QUOTED) {
        // A first fragment too short to show the flags is an attack on filters (RFC 1858 section
        // 3).
        if (offset + 20 > end || ps_read(frame, offset + 12, h, 8))
          return p->flags & PS_PACKET_FIRST_FRAGMENT ? PS_DROP_FRAGMENT_OVERLAP : PS_DROP_MALFORMED;
        p->tcp_flags = h[1];
      }
      break;
    case PS_PROTO_UDP:
    case PS_PROTO_SCTP:
    case PS_PROTO_UDPLITE:
    case PS_PROTO_ICMP:
    case PS_PROTO_ICMP6:
      break;
    default:
      if (p->proto == PS_PROTO_IGMP && p->family == 4) p->flags |= PS_PACKET_CONTROL;
      return 0;
  }
  if (offset + 8 > end || ps_read(frame, offset, h, 8)) return PS_DROP_MALFORMED;
  if (p->proto == (p->family == 6 ? PS_PROTO_ICMP6 : PS_PROTO_ICMP)) {
    p->flags |= PS_PACKET_ICMP;
    p->icmp_type = h[0];
    p->icmp_code = h[1];
    if (ps_icmp_is_query(p->family, h[0]))
      p->icmp_id = (__u16)(h[4] << 8 | h[5]);
    else
      p->icmp_kind = (__u16)(h[0] << 8 | h[1]);
    if (ps_icmp_is_error(p->family, h[0])) p->flags |= PS_PACKET_ICMP_ERROR;
    // Group membership 130..132, 143 (RFC 3810); router and neighbour discovery, redirect 133..137
    // (RFC 4861).
    if (p->family == 6 && ((h[0] >= 130 && h[0] <= 137) || h[0] == 143))
      p->flags |= PS_PACKET_CONTROL;
    return 0;
  }
  // ICMP of the other family has no meaning and no ports: judged by protocol number alone.
  if (p->proto == PS_PROTO_ICMP || p->proto == PS_PROTO_ICMP6) return 0;
  p->sport = (__u16)(h[0] << 8 | h[1]);
  p->dport = (__u16)(h[2] << 8 | h[3]);
  p->flags |= PS_PACKET_PORTS;
  if (p->proto == PS_PROTO_UDP && (ps_is_dhcp_port(p->sport) || ps_is_dhcp_port(p->dport)))
    p->flags |= PS_PACKET_CONTROL;
  return 0;
}

PS_INLINE int ps_take_ip4(ps_frame frame, __u32 offset, struct ps_packet* p, int quoted) {
  __u8 h[20];
  if (ps_read(frame, offset, h, 20)) return PS_DROP_MALFORMED;
  if (h[0] >> 4 != 4 || (h[0] & 15) < 5) return PS_DROP_MALFORMED;
  const __u32 header = (h[0] & 15) * 4;
  const __u32 total = h[2] << 8 | h[3];
  if (!quoted && total < header) return PS_DROP_MALFORMED;
  p->family = 4;
  p->proto = h[9];
  ps_zero(&p->src, 16);
  ps_zero(&p->dst, 16);
  ps_copy(&p->src.w[0], h + 12, 4);
  ps_copy(&p->dst.w[0], h + 16, 4);
  const __u32 fragment = (h[6] & 0x1f) << 8 | h[7];
  p->fragment_id = h[4] << 8 | h[5];
  if (fragment) {
    p->flags |= PS_PACKET_LATER_FRAGMENT;
    // Offset 1 would overwrite the TCP flags that were judged (RFC 3128).
    return fragment == 1 && p->proto == PS_PROTO_TCP ? PS_DROP_FRAGMENT_OVERLAP : 0;
  }
  if (h[6] & 0x20) p->flags |= PS_PACKET_FIRST_FRAGMENT;
  return ps_take_transport(frame, offset + header, quoted ? PS_QUOTED : offset + total, p);
}

// Payload length 0 with a jumbo option (RFC 2675) is malformed, as is IPv4's total length 0: the
// kernel makes such packets only of more than 64 KiB (BIG TCP), which no device does unless it is
// told to.
PS_INLINE int ps_take_ip6(ps_frame frame, __u32 offset, struct ps_packet* p, int quoted) {
  __u8 h[40];
  if (ps_read(frame, offset, h, 40)) return PS_DROP_MALFORMED;
  if (h[0] >> 4 != 6) return PS_DROP_MALFORMED;
  p->family = 6;
  ps_copy(&p->src, h + 8, 16);
  ps_copy(&p->dst, h + 24, 16);
  __u8 next = h[6];
  offset += 40;
  const __u32 end = quoted ? PS_QUOTED : offset + (h[4] << 8 | h[5]);
  for (int i = 0; i < PS_MAX_EXTENSIONS; i++) {
    __u8 e[8];
    // hop-by-hop 0, routing 43, fragment 44, authentication 51, destination 60, mobility 135
    if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135) break;
    if (offset + 8 > end || ps_read(frame, offset, e, 8)) return PS_DROP_MALFORMED;
    if (next == 44) {
      const __u32 fragment = e[2] << 8 | (e[3] & 0xf8);
      p->fragment_id = (__u32)e[4] << 24 | (__u32)e[5] << 16 | (__u32)e[6] << 8 | e[7];
      if (fragment) {
        p->flags |= PS_PACKET_LATER_FRAGMENT;
        p->proto = e[0];
        return 0;
      }
      if (e[3] & 1) p->flags |= PS_PACKET_FIRST_FRAGMENT;
      offset += 8;
    } else {
      offset += next == 51 ? ((__u32)e[1] + 2) * 4 : ((__u32)e[1] + 1) * 8;
    }
    next = e[0];
  }
  if (next == 0 || next == 43 || next == 44 || next == 51 || next == 60 || next == 135)
    return PS_DROP_MALFORMED;
  p->proto = next;
  if (next == PS_PROTO_ICMP6 && h[7] != 255) p->flags |= PS_PACKET_NO_TTL255;
  return ps_take_transport(frame, offset, end, p);
}

// 0 or a drop reason. ARP frames are left at their Ethernet header.
PS_INLINE int ps_parse(ps_frame frame, struct ps_packet* p) {
  __u32 destination[2], source[2];  // apart, because the stack is only read aligned
  __u16 ethertype;
  int reason;
  if (ps_read(frame, 0, destination, 6) || ps_read(frame, 6, source, 6) ||
      ps_read(frame, 12, &ethertype, 2))
    return PS_DROP_MALFORMED;
  ps_take_ethernet(p, (const __u8*)destination, (const __u8*)source, ps_host16(ethertype));
  if (p->ethertype == PS_ETHERTYPE_IP4)
    reason = ps_take_ip4(frame, PS_ETHERNET_BYTES, p, 0);
  else if (p->ethertype == PS_ETHERTYPE_IP6)
    reason = ps_take_ip6(frame, PS_ETHERNET_BYTES, p, 0);
  else if (p->ethertype == PS_ETHERTYPE_ARP)
    return 0;
  else
    return p->ethertype == PS_ETHERTYPE_VLAN || p->ethertype == PS_ETHERTYPE_QINQ
               ? PS_DROP_VLAN
               : PS_DROP_ETHERTYPE;
  p->fold = ps_fold(p);
  return reason;
}

// The packet that an ICMP error at `error->l4` quotes. 0, or a drop reason when it cannot be read.
PS_INLINE int ps_parse_quoted(ps_frame frame, const struct ps_packet* error, struct ps_packet* p) {
  int reason;
  p->flags = 0;
  p->sport = p->dport = p->icmp_id = p->icmp_kind = 0;
  p->proto = p->tcp_flags = p->icmp_type = p->icmp_code = 0;
  if (error->family == 4)
    reason = ps_take_ip4(frame, error->l4 + 8, p, 1);
  else
    reason = ps_take_ip6(frame, error->l4 + 8, p, 1);
  p->fold = ps_fold(p);
  return reason;
}

#endif
