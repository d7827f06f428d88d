/* First match over a compiled policy (abi/policy.h), for BPF and natively from this one source.
 *
 * On BPF: a global function, verified once however often it is called: `ps_classify(line, &view,
 * &match)`. It reads the map ps_arena and uses the per-CPU map ps_classify_scratch, both defined in
 * lib/classify_arena.h. 6.1 wants `match` initialised by the caller. With what it calls it takes
 * 320 bytes of stack, which leaves its callers 192. It makes no tail call itself, so programs that
 * do may call it.
 *
 * Natively: `ps_classify(&arena, line, &view, &match)`; no image, however malformed, makes it read
 * outside the arena or run for longer than its limits.
 *
 * An unreadable image denies (and sets match.error): a fault must not open what the policy was to
 * close.
 *
 * Order of work: rows that are always checked; each dimension in use (search, then the rows that
 * pivot there); groups; then the dense rows that the vectors of all dimensions agree on, 512 at a
 * time. The lowest rule wins, and whatever cannot be lower is not looked at. */
#ifndef PENSTOCK_LIB_CLASSIFY_H
#define PENSTOCK_LIB_CLASSIFY_H

#include "abi/policy.h"
#include "lib/classify_arena.h"
#include "lib/classify_search.h"

/* ands line `line` of an image into the hits; 0 when there is no such line. */
static __always_inline int ps_and_line(struct ps_scratch* s, __u32 number) {
  const union ps_line* line = ps_line_at(s, number);
  if (!line) return 0;
#pragma GCC unroll 8
  for (int w = 0; w < 8; w++) s->hits[w] &= line->d[w];
  return 1;
}

/* ands the union of the lines of a side's groups into the hits. */
static __always_inline int ps_and_groups(struct ps_scratch* s, __u32 side, __u32 number) {
  if (s->group_vectors[side] == 1) return ps_and_line(s, s->group_vector[side][0] + number);
  __u64 any[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (__u32 i = 0; i < PS_MAX_GROUPS_PER_ADDRESS; i++) {
    if (i >= s->group_vectors[side]) break;
    const union ps_line* line = ps_line_at(s, s->group_vector[side][i] + number);
    if (!line) return 0;
#pragma GCC unroll 8
    for (int w = 0; w < 8; w++) any[w] |= line->d[w];
  }
#pragma GCC unroll 8
  for (int w = 0; w < 8; w++) s->hits[w] &= any[w];
  return 1;
}

/* Number of zero bits below the lowest one of a nonzero word; BPF has no instruction for it. */
static __always_inline __u32 ps_lowest_bit(__u64 word) {
#ifdef __bpf__
  __u64 below = (word & (0 - word)) - 1;
  below = below - ((below >> 1) & 0x5555555555555555ULL);
  below = (below & 0x3333333333333333ULL) + ((below >> 2) & 0x3333333333333333ULL);
  below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
  return (below * 0x0101010101010101ULL) >> 56;
#else
  return __builtin_ctzll(word);
#endif
}

/* Loop step: the next candidate of the line in s->hits. */
static long ps_hit_step(__u32 i, void* context) {
  struct ps_scratch* s = ((struct ps_loop*)context)->s;
  (void)i;
  __u32 word = s->word & 7;
  __u64 hits = s->hits[word];
  if (!hits) {
    s->word = word + 1;
    return word == 7;
  }
  s->hits[word] = hits & (hits - 1);
  __u32 row = s->dense_line * PS_ROWS_PER_LINE + word * 64 + ps_lowest_bit(hits);
  if (!ps_check_row(s, row)) return 0;
  s->summary = 0; /* rows come in rule order: nothing later is better */
  return 1;
}

/* Loop step: line i of the dense part. */
static long ps_dense_step(__u32 i, void* context) {
  struct ps_loop* loop = (struct ps_loop*)context;
  struct ps_scratch* s = loop->s;
  if (!((s->summary >> (i & 31)) & 1)) return s->summary == 0;
  const union ps_line* first = ps_line_at(s, s->vector[0] + i);
  if (!first) return 1;
#pragma GCC unroll 8
  for (int w = 0; w < 8; w++) s->hits[w] = first->d[w];
  for (__u32 d = 1; d < PS_MAX_DIMENSIONS; d++) {
    if (d >= s->vectors) break;
    if (!ps_and_line(s, s->vector[d] + i)) return 1;
  }
  if (s->group_vectors[0] && !ps_and_groups(s, 0, i)) return 1;
  if (s->group_vectors[1] && !ps_and_groups(s, 1, i)) return 1;
  __u64 any = 0;
#pragma GCC unroll 8
  for (int w = 0; w < 8; w++) any |= s->hits[w];
  if (!any) return 0;
  s->dense_line = i;
  s->word = 0;
  PS_LOOP(PS_ROWS_PER_LINE + 8, ps_hit_step, loop);
  return 0;
}

/* Fills the scratch from the packet. */
static __always_inline void ps_load_packet(struct ps_scratch* s,
                                           const struct ps_packet_view* view) {
  s->v6 = view->family == 6;
  s->src[0] = view->src.d[0];
  s->src[1] = view->src.d[1];
  s->dst[0] = view->dst.d[0];
  s->dst[1] = view->dst.d[1];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    s->field[PS_FIELD_SRC + i] = ps_be32(view->src.w[i]);
    s->field[PS_FIELD_DST + i] = ps_be32(view->dst.w[i]);
  }
  s->sport = view->sport;
  s->dport = view->dport;
  s->field[PS_FIELD_PROTO] = s->proto = view->proto;
  __u32 later = view->flags & PS_VIEW_FRAGMENT_LATER;
  __u32 ports = (view->flags & PS_VIEW_PORTS_VALID) && !later;
  s->field[PS_FIELD_SPORT] = ports ? s->sport : PS_PORT_NONE;
  s->field[PS_FIELD_DPORT] = ports ? s->dport : PS_PORT_NONE;
  s->forbidden = ports ? 0 : PS_ROW_PORTS;
  s->l4_forbidden = later ? 0xffff : 0;
  s->l4 = view->proto == 6 ? view->tcp_flags : view->icmp_type | (__u32)view->icmp_code << 8;
  __u32 l4 = PS_L4_NONE;
  if (view->proto == 6) l4 = PS_L4_TCP | view->tcp_flags;
  if (view->proto == (s->v6 ? 58 : 1)) l4 = (__u32)view->icmp_type << 8 | view->icmp_code;
  s->field[PS_FIELD_L4] = later ? PS_L4_NONE : l4;
#pragma GCC unroll 8
  for (int i = 0; i < PS_MAX_GROUPS_PER_ADDRESS; i++) {
    s->groups[0][i] = view->src_groups[i];
    s->groups[1][i] = view->dst_groups[i];
  }
}

/* A side whose rows name groups, for a packet in none of them: the rows that name none. */
static __always_inline void ps_group_base(struct ps_scratch* s, const struct ps_dimension* dim,
                                          __u32 side) {
  if (s->group_vectors[side] || !dim->keys) return;
  const union ps_line* line = ps_line_at(s, dim->entries_line);
  if (!line || !line->group[0].vector.line) return;
  s->group_vector[side][0] = line->group[0].vector.line;
  s->group_summary[side] = line->group[0].vector.summary;
  s->group_vectors[side] = 1;
}

/* Lowest rule that matches, into s->rule. */
static __always_inline void ps_search(struct ps_scratch* s, const struct ps_family* family) {
  struct ps_loop loop = {s};
  s->rows_line = family->rows_line;
  s->lists_line = family->lists_line;
  s->dims_line = family->dims_line;
  s->groups_line = family->groups_line;
  s->summary = PS_NO_RULE;
  s->vectors = 0;
  s->group_vectors[0] = s->group_vectors[1] = 0;
  s->group_summary[0] = s->group_summary[1] = 0;
  ps_check_list(s, family->always_list);
  __u32 dims = family->dims;
  if (dims > PS_MAX_DIMENSIONS) dims = PS_MAX_DIMENSIONS;
  if (dims) PS_LOOP(dims, ps_dimension_step, &loop);
  __u32 lines = family->vector_lines;
  if (lines > PS_MAX_VECTOR_LINES) lines = PS_MAX_VECTOR_LINES;
  if (family->groups_line) {
    PS_LOOP(2 * PS_MAX_GROUPS_PER_ADDRESS, ps_group_step, &loop);
    const union ps_line* groups = lines ? ps_line_at(s, family->groups_line) : 0;
    if (groups) {
      ps_group_base(s, &groups->dim[0], 0);
      ps_group_base(s, &groups->dim[1], 1);
      if (s->group_vectors[0]) s->summary &= s->group_summary[0];
      if (s->group_vectors[1]) s->summary &= s->group_summary[1];
    }
  }
  if (!lines || family->dense_first_rule >= s->rule) return;
  if (!s->vectors) s->vector[0] = family->all_line;
  PS_LOOP(lines, ps_dense_step, &loop);
}

static __always_inline void ps_answer(struct ps_match* match, __u32 rule, __u32 verdict) {
  match->rule = rule;
  match->matched = rule != PS_NO_RULE;
  match->action = verdict & PS_VERDICT_ACTION;
  match->flags = verdict & (PS_VERDICT_LOG | PS_VERDICT_STATELESS);
}

/* policy_line: the image's first line in the arena. Always returns 0. */
PS_CLASSIFY_ENTRY int ps_classify(PS_ARENA_PARAMETER __u32 policy_line,
                                  const struct ps_packet_view* view, struct ps_match* match) {
#ifdef __bpf__
  __u32 zero = 0;
  if (!view || !match) return 0;
  struct ps_scratch* s = (struct ps_scratch*)bpf_map_lookup_elem(&ps_classify_scratch, &zero);
  if (!s) return 0;
#else
  struct ps_scratch scratch;
  struct ps_scratch* s = &scratch;
  s->arena = arena;
#endif
  ps_answer(match, PS_NO_RULE, PS_ACTION_DENY);
  match->error = 1;
  s->base = policy_line;
  const union ps_line* header = ps_line_at(s, 0);
  if (!header || header->header.magic != PS_POLICY_MAGIC ||
      header->header.version != PS_POLICY_VERSION)
    return 0;
  s->rule = PS_NO_RULE;
  __u32 v6 = view->family == 6;
  __u32 family_line = header->header.family_line[v6];
  if (family_line) {
    const union ps_line* family = ps_line_at(s, family_line);
    if (!family) return 0;
    ps_load_packet(s, view);
    ps_search(s, &family->family);
  }
  __u32 rule = s->rule;
  __u32 verdict = header->header.default_verdict;
  if (rule != PS_NO_RULE) {
    const union ps_line* line = ps_line_at(s, header->header.verdicts_line + rule / 64);
    if (!line) return 0;
    verdict = line->b[rule & 63];
  }
  ps_answer(match, rule, verdict);
  match->error = 0;
  return 0;
}

#endif
