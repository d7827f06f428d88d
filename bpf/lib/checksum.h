// Internet checksums (RFC 1071) over bytes being built. Lengths are constants and multiples of 4;
// shorter contents are padded with zeros, which do not change the sum.
#ifndef PENSTOCK_LIB_CHECKSUM_H
#define PENSTOCK_LIB_CHECKSUM_H

#include "lib/packet.h"

PS_INLINE __u16 ps_checksum_fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

PS_INLINE __u64 ps_sum(const void* bytes, __u32 length, __u64 seed) {
  const __u32 sum = (__u32)bpf_csum_diff(0, 0, (__be32*)bytes, length, 0);
  return seed + sum;
}

// The pseudo header of UDP, TCP and ICMPv6 (RFC 8200 section 8.1, RFC 9293 section 3.1).
PS_INLINE __u64 ps_sum_pseudo(const void* source, const void* destination, __u32 address_bytes,
                              __u8 protocol, __u32 length) {
  return ps_sum(source, address_bytes, 0) + ps_sum(destination, address_bytes, 0) +
         bpf_htons(protocol) + bpf_htons((__u16)length);
}

#endif
