// What parsing finds in a frame, and the two ways to read a frame's bytes: from an skb in the
// kernel, from memory natively (tests, fuzzing). Everything that includes this file and nothing of
// the kernel compiles both ways.
#ifndef PENSTOCK_LIB_PACKET_H
#define PENSTOCK_LIB_PACKET_H

#include "abi/policy.h"
#include "abi/types.h"

#define PS_INLINE static inline __attribute__((always_inline))
#define ps_likely(x) __builtin_expect(!!(x), 1)
#define ps_unlikely(x) __builtin_expect(!!(x), 0)

#ifdef __bpf__
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#define ps_host16(x) bpf_ntohs(x)
#define ps_net16(x) bpf_htons(x)
#define ps_host32(x) bpf_ntohl(x)
#define ps_net32(x) bpf_htonl(x)
#define ps_copy(to, from, bytes) __builtin_memcpy(to, from, bytes)
#define ps_zero(to, bytes) __builtin_memset(to, 0, bytes)
typedef struct __sk_buff* ps_frame;
// 0 when all `bytes` (a constant) were there.
PS_INLINE int ps_read(ps_frame frame, __u32 offset, void* to, __u32 bytes) {
  return bpf_skb_load_bytes(frame, offset, to, bytes);
}
#else
#include <arpa/inet.h>
#include <string.h>
#define ps_host16(x) ntohs(x)
#define ps_net16(x) htons(x)
#define ps_host32(x) ntohl(x)
#define ps_net32(x) htonl(x)
#define ps_copy(to, from, bytes) memcpy(to, from, bytes)
#define ps_zero(to, bytes) memset(to, 0, bytes)
typedef struct ps_native_frame {
  const __u8* data;
  __u32 length;
} * ps_frame;
PS_INLINE int ps_read(ps_frame frame, __u32 offset, void* to, __u32 bytes) {
  if (offset > frame->length || bytes > frame->length - offset) return -1;
  memcpy(to, frame->data + offset, bytes);
  return 0;
}
#endif

// Loads of header fields: clang reads bytes one by one unless told that it need not.
#ifdef __bpf__
#define ps_load16(p) (*(const __u16*)(p))
#define ps_load32(p) (*(const __u32*)(p))
#define ps_load64(p) (*(const __u64*)(p))
#else
PS_INLINE __u16 ps_load16(const void* p) {
  __u16 value;
  memcpy(&value, p, sizeof(value));
  return value;
}
PS_INLINE __u32 ps_load32(const void* p) {
  __u32 value;
  memcpy(&value, p, sizeof(value));
  return value;
}
PS_INLINE __u64 ps_load64(const void* p) {
  __u64 value;
  memcpy(&value, p, sizeof(value));
  return value;
}
#endif

// A MAC address, in two words.
struct ps_mac {
  __u32 high;  // first four bytes, as they lie
  __u16 low;
  __u16 zero;
};

#define PS_ETHERNET_BYTES 14
#define PS_ETHERTYPE_IP4 0x0800
#define PS_ETHERTYPE_ARP 0x0806
#define PS_ETHERTYPE_IP6 0x86dd
#define PS_ETHERTYPE_VLAN 0x8100
#define PS_ETHERTYPE_QINQ 0x88a8

#define PS_PROTO_ICMP 1
#define PS_PROTO_IGMP 2
#define PS_PROTO_TCP 6
#define PS_PROTO_UDP 17
#define PS_PROTO_ICMP6 58
#define PS_PROTO_SCTP 132
#define PS_PROTO_UDPLITE 136

#define PS_TCP_FIN 0x01
#define PS_TCP_SYN 0x02
#define PS_TCP_RST 0x04
#define PS_TCP_ACK 0x10

enum ps_packet_flags {
  PS_PACKET_PORTS = 1 << 0,           // sport and dport are known
  PS_PACKET_ICMP = 1 << 1,            // ICMP or ICMPv6
  PS_PACKET_ICMP_ERROR = 1 << 2,      // ... about another packet, whose header follows
  PS_PACKET_FIRST_FRAGMENT = 1 << 3,  // offset 0, more to come
  PS_PACKET_LATER_FRAGMENT = 1 << 4,  // offset > 0: no transport header
  PS_PACKET_MULTICAST = 1 << 5,       // destination MAC is a group or broadcast address
  // A VM may not simply send this: DHCP, neighbour discovery, router messages, group membership
  // (lib/control.h).
  PS_PACKET_CONTROL = 1 << 6,
  PS_PACKET_NO_TTL255 = 1 << 7,  // hop limit below 255: not a genuine neighbour discovery message
};

struct ps_packet {
  union ps_address src, dst;
  struct ps_mac dst_mac, src_mac;
  // What parsing may leave unset is zeroed at once, in three words.
  union {
    __u64 zeroed[3];
    struct {
      __u32 fragment_id;   // host order
      __u16 sport, dport;  // host order
      __u16 icmp_id;       // ICMP queries: identifier; other ICMP: 0
      __u16 icmp_kind;     // ICMP queries: 0; other ICMP: type << 8 | code
      __u16 l4;            // offset of the transport header
      __u16 flags;         // enum ps_packet_flags
      __u8 family;         // 4, 6; 0: not IP
      __u8 proto;
      __u8 tcp_flags;
      __u8 icmp_type, icmp_code;
      __u8 zero[3];
    };
  };
  __u32 fold;       // of addresses, ports and protocol; the same in both directions
  __u16 ethertype;  // host order
  __u16 zero2;
};

PS_INLINE void ps_mac_store(__u8* to, const struct ps_mac* mac) {
  ps_copy(to, &mac->high, 4);
  ps_copy(to + 4, &mac->low, 2);
}

#endif
