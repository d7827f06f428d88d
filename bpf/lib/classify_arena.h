/* How the classifier reads the arena and loops: the only place where BPF and native code differ. */
#ifndef PENSTOCK_LIB_CLASSIFY_ARENA_H
#define PENSTOCK_LIB_CLASSIFY_ARENA_H

#include "abi/policy.h"

#ifdef __bpf__

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define PS_ARENA_PARAMETER
#define PS_ARENA_ARG(arena)
/* Weak, so that two objects of one program may hold it; not static, so that the verifier sees it once. */
#define PS_CLASSIFY_ENTRY __attribute__((noinline, weak))

/* Lines of compiled policy; user space sets max_entries and writes through mmap. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, union ps_line);
} ps_arena SEC(".maps");

#else

/* The whole arena, flat. */
struct ps_arena_view {
  const union ps_line* lines;
  __u32 count;
};

#define PS_ARENA_PARAMETER const struct ps_arena_view *arena,
#define PS_ARENA_ARG(arena) (arena),
#define PS_CLASSIFY_ENTRY static inline

#endif
#endif
