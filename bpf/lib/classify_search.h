/* The parts of the classifier: search of a dimension, check of a row, lists. */
#ifndef PENSTOCK_LIB_CLASSIFY_SEARCH_H
#define PENSTOCK_LIB_CLASSIFY_SEARCH_H

#include "lib/classify_arena.h"

/* What the steps of loops get: a pointer to a stack slot that holds the pointer to the scratch,
 * because bpf_loop takes no other. */
struct ps_loop {
  struct ps_scratch* s;
};

/* 1 when a < b, both below 2^63; without a branch. */
static __always_inline __u64 ps_less(__u64 a, __u64 b) {
  __u64 difference = a - b;
  PS_OPAQUE(difference);
  return difference >> 63;
}

/* Number of the 16 keys of a search block that are <= x. */
static __always_inline __u32 ps_rank(const union ps_line* block, __u32 x) {
  __u64 above = (__u64)x + 1;
  __u64 rank = 0;
#pragma GCC unroll 16
  for (int i = 0; i < PS_TREE_KEYS; i++) rank += ps_less(block->w[i], above);
  return rank;
}

/* Index of the interval of x: 0..keys. */
static __always_inline __u32 ps_interval(const struct ps_scratch* s, const struct ps_dimension* dim,
                                         __u32 x) {
  if (dim->levels == 0) {
    __u64 above = (__u64)x + 1;
    __u32 few = ps_less(dim->few[0], above) + ps_less(dim->few[1], above);
    return few > dim->keys ? dim->keys : few;
  }
  __u32 level_line = dim->tree_line;
  __u32 block = 0, index = 0;
#pragma GCC unroll 4
  for (int level = 0; level < PS_MAX_TREE_LEVELS; level++) {
    const union ps_line* line = ps_line_at(s, level_line + block);
    if (!line) break;
    __u32 rank = ps_rank(line, x);
    if (level + 1 >= dim->levels || level + 1 == PS_MAX_TREE_LEVELS) {
      index = block * PS_TREE_KEYS + rank;
      break;
    }
    level_line += dim->blocks[level];
    block = block * (PS_TREE_KEYS + 1) + rank;
    /* Only the largest x counts the filling keys of a last block; its place is at the end. */
    __u32 last = (__u32)dim->blocks[(level + 1) & 3] - 1;
    if (block > last) block = last;
  }
  return index > dim->keys ? dim->keys : index;
}

/* Nonzero when `group` is not among the packet's groups of that side. */
static __always_inline __u64 ps_outside(const __u32* groups, __u32 group) {
  __u64 outside = 1;
#pragma GCC unroll 8
  for (int i = 0; i < PS_MAX_GROUPS_PER_ADDRESS; i++) outside &= ps_less(0, groups[i] ^ group);
  return outside;
}

/* Nonzero when the packet's transport part differs from what the row asks. */
static __always_inline __u64 ps_tail_differs(const struct ps_scratch* s,
                                             const struct ps_row_tail* tail) {
  __u64 match = tail->match;
  __u64 differs = match & s->forbidden;
  differs |= (tail->proto ^ s->proto) & (0 - (match & PS_ROW_PROTO));
  differs |= ps_less(s->sport, tail->sport_low) | ps_less(tail->sport_high, s->sport);
  differs |= ps_less(s->dport, tail->dport_low) | ps_less(tail->dport_high, s->dport);
  differs |= tail->l4_mask & s->l4_forbidden;
  differs |= (s->l4 & tail->l4_mask) ^ tail->l4_value;
  return differs;
}

/* Checks row `row`. 1: no later row of this list can matter any more, because this one matches
 * (noted as s->rule) or belongs to a rule after the best match. */
static __always_inline long ps_check_row(struct ps_scratch* s, __u32 row) {
  const struct ps_row_tail* tail;
  __u64 differs, match;
  __u32 src_group, dst_group;
  if (s->v6) {
    const union ps_line* line = ps_line_at(s, s->rows_line + row);
    if (!line) return 1;
    const struct ps_row6* r = &line->row6;
    tail = &r->tail;
    match = tail->match;
    __u64 src_long = 0 - ((match / PS_ROW_SRC_LONG) & 1);
    __u64 dst_long = 0 - ((match / PS_ROW_DST_LONG) & 1);
    differs = (s->src[0] ^ r->src.d[0]) & (r->src_mask | src_long);
    differs |= (s->src[1] ^ r->src.d[1]) & (r->src_mask & src_long);
    differs |= (s->dst[0] ^ r->dst.d[0]) & (r->dst_mask | dst_long);
    differs |= (s->dst[1] ^ r->dst.d[1]) & (r->dst_mask & dst_long);
    src_group = r->src.w[0];
    dst_group = r->dst.w[0];
  } else {
    const union ps_line* line = ps_line_at(s, s->rows_line + row / 2);
    if (!line) return 1;
    const struct ps_row4* r = &line->row4[row & 1];
    tail = &r->tail;
    match = tail->match;
    differs = ((__u32)s->src[0] ^ r->src) & r->src_mask;
    differs |= ((__u32)s->dst[0] ^ r->dst) & r->dst_mask;
    src_group = r->src;
    dst_group = r->dst;
  }
  if (tail->rule >= s->rule) return 1;
  differs |= ps_tail_differs(s, tail);
  if (match & PS_ROW_SRC_GROUP) differs |= ps_outside(s->groups[0], src_group);
  if (match & PS_ROW_DST_GROUP) differs |= ps_outside(s->groups[1], dst_group);
  if (differs) return 0;
  s->rule = tail->rule;
  return 1;
}

static long ps_list_step(__u32 i, void* context) {
  struct ps_scratch* s = ((struct ps_loop*)context)->s;
  __u32 at = s->list_at + i;
  const union ps_line* line = ps_line_at(s, s->lists_line + at / 32);
  if (!line) return 1;
  return ps_check_row(s, line->h[at & 31]);
}

/* Checks the rows of a list reference. */
static __always_inline void ps_check_list(struct ps_scratch* s, __u32 reference) {
  __u32 count = PS_LIST_COUNT(reference);
  if (count == 1) {
    ps_check_row(s, PS_LIST_AT(reference));
  } else if (count) {
    struct ps_loop loop = {s};
    s->list_at = PS_LIST_AT(reference);
    if (count > PS_MAX_LIST) count = PS_MAX_LIST;
    PS_LOOP(count, ps_list_step, &loop);
  }
}

/* Loop step: dimension i of the family. */
static long ps_dimension_step(__u32 i, void* context) {
  struct ps_scratch* s = ((struct ps_loop*)context)->s;
  const union ps_line* dims = ps_line_at(s, s->dims_line + i / 2);
  if (!dims) return 1;
  const struct ps_dimension* dim = &dims->dim[i & 1];
  __u32 index = ps_interval(s, dim, s->field[dim->field & (PS_FIELDS - 1)]);
  if (dim->dense_line) {
    const union ps_line* line = ps_line_at(s, dim->dense_line + index / 8);
    __u32 n = s->vectors;
    if (!line || n >= PS_MAX_DIMENSIONS) return 1;
    const struct ps_vector* vector = &line->vector[index & 7];
    s->summary &= vector->summary;
    if (vector->line) {
      s->vector[n & (PS_FIELDS - 1)] = vector->line;
      s->vectors = n + 1;
    }
  }
  if (dim->sparse_line) {
    const union ps_line* line = ps_line_at(s, dim->sparse_line + index / 16);
    if (!line) return 1;
    ps_check_list(s, line->w[index & 15]);
  }
  return 0;
}

/* Loop step: group i % 8 of side i / 8. */
static long ps_group_step(__u32 i, void* context) {
  struct ps_scratch* s = ((struct ps_loop*)context)->s;
  __u32 side = (i / PS_MAX_GROUPS_PER_ADDRESS) & 1;
  __u32 group = s->groups[side][i & (PS_MAX_GROUPS_PER_ADDRESS - 1)];
  if (!group) return 0;
  const union ps_line* dims = ps_line_at(s, s->groups_line);
  if (!dims) return 1;
  const struct ps_dimension* dim = &dims->dim[side];
  if (!dim->keys) return 0;
  __u32 index = ps_interval(s, dim, group);
  const union ps_line* line = ps_line_at(s, dim->entries_line + index / 4);
  if (!line) return 1;
  const struct ps_group_entry* entry = &line->group[index & 3];
  if (entry->group != group) return 0;
  __u32 n = s->group_vectors[side];
  if (entry->vector.line && n < PS_MAX_GROUPS_PER_ADDRESS) {
    s->group_vector[side][n & (PS_MAX_GROUPS_PER_ADDRESS - 1)] = entry->vector.line;
    s->group_summary[side] |= entry->vector.summary;
    s->group_vectors[side] = n + 1;
  }
  ps_check_list(s, entry->list);
  return 0;
}

#endif
