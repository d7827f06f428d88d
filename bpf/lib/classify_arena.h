/* How the classifier reads the arena, keeps its scratch and loops: the only place where BPF and
 * native code differ. */
#ifndef PENSTOCK_LIB_CLASSIFY_ARENA_H
#define PENSTOCK_LIB_CLASSIFY_ARENA_H

#include "abi/policy.h"

#ifdef __bpf__
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* The whole arena, flat; natively only. */
struct ps_arena_view {
  const union ps_line* lines;
  __u32 count;
};

/* One evaluation's state. Too big for a BPF stack and, being memory whose contents the verifier
 * does not follow, it keeps the verifier's work small. All that is derived from the packet first,
 * then what the search found. */
struct ps_scratch {
  const struct ps_arena_view* arena; /* natively only */
  __u32 base;                        /* the image's first line */
  __u32 rows_line, lists_line, dims_line, groups_line;
  __u32 v6;
  __be64 src[2], dst[2];
  __u32 sport, dport, proto, l4;
  __u32 forbidden;    /* PS_ROW_* bits that no matching row has */
  __u32 l4_forbidden; /* bits of l4_mask that no matching row has */
  __u32 field[PS_FIELDS];
  __u32 groups[2][PS_MAX_GROUPS_PER_ADDRESS];
  __u32 rule; /* lowest that matched so far */
  __u32 list_at;
  __u32 summary; /* lines of the dense part that may hold a match */
  __u32 vectors;
  __u32 group_vectors[2];
  __u32 vector[PS_FIELDS];
  __u32 group_vector[2][PS_MAX_GROUPS_PER_ADDRESS];
  __u32 group_summary[2];
  __u32 dense_line; /* the one being searched */
  __u32 word;
  __u64 hits[8]; /* its candidates */
};

#ifdef __bpf__

#define PS_ARENA_PARAMETER
#define PS_ARENA_ARG(arena)
/* Weak, so that two objects linked into one program may hold it; not static, so that the verifier
 * sees it once. */
#define PS_CLASSIFY_ENTRY __attribute__((noinline, weak))

/* Lines of compiled policy; user space sets max_entries and writes through mmap. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, union ps_line);
} ps_arena SEC(".maps");

/* Programs at tc run with bottom halves off and an evaluation never sends, so nothing nests on one
 * CPU. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ps_scratch);
} ps_classify_scratch SEC(".maps");

/* Line `line` of the image, or null. */
static __always_inline const union ps_line* ps_line_at(const struct ps_scratch* s, __u32 line) {
  __u32 key = s->base + line;
  return (const union ps_line*)bpf_map_lookup_elem(&ps_arena, &key);
}

/* Keeps clang from turning arithmetic on comparisons back into branches, which cost the CPU
 * mispredictions and the verifier states. */
#define PS_OPAQUE(value) asm volatile("" : "+r"(value))

#define PS_LOOP(count, step, context) bpf_loop((count), (step), (context), 0)

#else

#define PS_ARENA_PARAMETER const struct ps_arena_view *arena,
#define PS_ARENA_ARG(arena) (arena),
#define PS_CLASSIFY_ENTRY static inline

static __always_inline const union ps_line* ps_line_at(const struct ps_scratch* s, __u32 line) {
  __u32 at = s->base + line;
  return at < s->arena->count ? &s->arena->lines[at] : 0;
}

#define PS_OPAQUE(value) (void)0

#define PS_LOOP(count, step, context)                           \
  do {                                                          \
    for (__u32 ps_loop_i = 0; ps_loop_i < (count); ps_loop_i++) \
      if ((step)(ps_loop_i, (context))) break;                  \
  } while (0)

#endif

static __always_inline __u32 ps_be32(__be32 value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return __builtin_bswap32(value);
#else
  return value;
#endif
}

#endif
