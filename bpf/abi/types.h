// Fixed-width types and layout checks that clang for BPF, C and C++ all understand. Every struct of
// bpf/abi/ has explicit padding (fields named zero*, always written as 0, because keys are compared
// byte by byte) and its size asserted, so the two sides of the kernel boundary never hold two
// copies of one layout.
#ifndef PENSTOCK_ABI_TYPES_H
#define PENSTOCK_ABI_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#define PS_CHECK_SIZE(type, bytes) \
  static_assert(sizeof(struct type) == (bytes), #type " changed its size")
#else
#define PS_CHECK_SIZE(type, bytes) \
  _Static_assert(sizeof(struct type) == (bytes), #type " changed its size")
#endif

// The layout of all maps together. Pinned maps are used again only by programs of the same number;
// anything that moves a field or changes a meaning takes the next one.
#define PS_ABI_VERSION 4

// Directions are seen from the protected VM; also the index of every per-direction array.
enum ps_direction {
  PS_OUT = 0,  // from the VM
  PS_IN = 1,   // to the VM
};

#endif
