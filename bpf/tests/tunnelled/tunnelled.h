// What a test leaves for tunnelled.bpf.c: the only global of that object.
#ifndef PENSTOCK_TESTS_TUNNELLED_H
#define PENSTOCK_TESTS_TUNNELLED_H

#include <linux/types.h>

struct ps_tunnelled {
  __u32 vni;
  __u32 family;   // 4, 6; 0: the frame has no tunnel data
  __u32 sender4;  // host order
  __u8 sender6[16];
};

#endif
