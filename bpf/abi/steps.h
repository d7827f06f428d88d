// The step list a port's policy word points at: what a new flow of one direction passes, in order.
// It lies in the arena, starting at a line; entries follow each other without regard to lines.
#ifndef PENSTOCK_ABI_STEPS_H
#define PENSTOCK_ABI_STEPS_H

#include "abi/types.h"

#define PS_STEP_LIST_MAGIC 0x70735354u  // 'psST'
#define PS_STEPS_MAX 15                 // header and steps fill four lines

// X(NAME, number, function suffix, meaning). A kind is one line here and one file
// bpf/lib/step_<suffix>.h with ps_step_<suffix>(); nothing else of the hot path names it.
#define PS_STEP_KINDS(X) X(FILTER, 1, filter, "ordered rules; the first match decides")

enum ps_step_kind {
#define PS_STEP_KIND_MEMBER(NAME, number, suffix, help) PS_STEP_##NAME = number,
  PS_STEP_KINDS(PS_STEP_KIND_MEMBER)
#undef PS_STEP_KIND_MEMBER
};

enum ps_step_flags {
  PS_STEP_OBSERVE = 1 << 0,  // count and log what it would drop, drop nothing
};

struct ps_step {
  __u32 line;     // absolute arena line of what the kind evaluates (filter: the policy image)
  __u32 profile;  // number of the service profile, for logs, drops and explain
  __u8 kind;      // enum ps_step_kind
  __u8 flags;     // enum ps_step_flags
  __u16 zero;
  // Where its rules are counted: ps_rule_counts[counts] the default action, counts + 1 + rule the
  // others. A multiple of PS_RULES_PER_BLOCK; 0: not counted.
  __u32 counts;
};
PS_CHECK_SIZE(ps_step, 16);

struct ps_step_list {
  __u32 magic;  // PS_STEP_LIST_MAGIC
  __u16 count;  // steps that follow, at most PS_STEPS_MAX
  // Bit i: step i must have run before a packet may pass (what the policy calls inspection).
  // Checked apart from the walk itself, so that a fault or a way round the walk becomes a counted
  // drop and not a silent bypass.
  __u16 required;
  __u32 zero[2];
};
PS_CHECK_SIZE(ps_step_list, 16);

#endif
