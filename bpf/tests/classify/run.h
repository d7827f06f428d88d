// What the test leaves for classify_run.bpf.c and finds there: the only global of that object.
#ifndef PENSTOCK_TESTS_CLASSIFY_RUN_H
#define PENSTOCK_TESTS_CLASSIFY_RUN_H

#include "abi/policy.h"

struct ps_classify_run {
  struct ps_packet_view view;
  struct ps_match match;
  __u32 policy_line;
  __u32 zero;
};

#endif
