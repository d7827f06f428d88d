// Walks a port's step list for the packet in w->view. A new kind of step is a line in abi/steps.h
// and an include here.
#ifndef PENSTOCK_LIB_STEPS_H
#define PENSTOCK_LIB_STEPS_H

#include "lib/count.h"
#include "lib/step_filter.h"

// Each port has a share of the records for itself, so that one that logs without end does not
// silence the others; beyond it, all of a CPU take from one budget.
#define PS_LOG_SHARE 16
PS_INLINE int ps_may_log(const struct ps_work* w) {
  const __u32 per_s = ps_config.events_per_s;
  if (!per_s) return 0;
  __u32 slot = w->side_slot;
  struct ps_port_stats* own = bpf_map_lookup_elem(&ps_port_stats, &slot);
  if (own && ps_may_of(&own->log, per_s / PS_LOG_SHARE ? per_s / PS_LOG_SHARE : 1, w->now_ns))
    return 1;
  return ps_may(PS_BUDGET_EVENTS, per_s, w->now_ns);
}

PS_INLINE void ps_log(struct ps_work* w, __u8 outcome) {
  const struct ps_packet* p = &w->packet;
  struct ps_event* e = 0;
  if (ps_may_log(w)) e = bpf_ringbuf_reserve(&ps_events, sizeof(*e), 0);
  if (!e) {
    ps_count(PS_COUNT_LOG_LOST);
    return;
  }
  e->time_ns = w->now_ns;
  e->port_id = w->key.port_id;
  e->profile = w->judgement.profile;
  e->rule = w->judgement.rule;
  e->length = w->length;
  e->direction = w->side;
  e->outcome = outcome;
  e->family = p->family;
  e->protocol = p->proto;
  e->source_port = p->flags & PS_PACKET_ICMP ? (__u16)(p->icmp_type << 8 | p->icmp_code) : p->sport;
  e->destination_port = p->dport;
  ps_copy(e->source, &p->src, 16);
  ps_copy(e->destination, &p->dst, 16);
  e->tcp_flags = p->tcp_flags;
  ps_zero(e->zero, sizeof(e->zero));
  bpf_ringbuf_submit(e, 0);
  ps_count(PS_COUNT_LOGGED);
}

PS_INLINE int ps_step_run(struct ps_work* w, const struct ps_step* step) {
  switch (step->kind) {
#define PS_STEP_CASE(NAME, number, suffix, help) \
  case PS_STEP_##NAME:                           \
    return ps_step_##suffix(w, step);
    PS_STEP_KINDS(PS_STEP_CASE)
#undef PS_STEP_CASE
  }
  return 1;  // a kind this program does not know
}

// Step `i` of the list at `line`. 0: on to the next; 1: the list ends here. A function of its own,
// so that the verifier looks at it once and not once a turn of the loop.
__attribute__((noinline)) int ps_walk_step(struct ps_work* w, __u32 line, __u32 i, __u32 quiet) {
  if (!w) return 1;
  struct ps_judgement* j = &w->judgement;
  // The header takes the place of one step; four fit a line.
  __u32 at = line + (i + 1) / 4;
  const union ps_line* steps = bpf_map_lookup_elem(&ps_arena, &at);
  j->bad = 1;
  if (!steps) return 1;
  const struct ps_step* step = (const struct ps_step*)steps + (i + 1) % 4;
  if (ps_step_run(w, step)) return 1;
  j->bad = 0;
  ps_note(w, PS_NOTE_STEP, i | w->side << 8,
          j->action | step->kind << 8 | step->flags << 16 | (__u32)j->log << 24, j->rule,
          j->profile);
  j->steps_run |= 1 << (i & 15);
  const int refused = j->action != PS_ACTION_ALLOW;
  const __u32 counts = step->counts ? step->counts + j->rule + 1 : 0;  // PS_NO_RULE + 1 == 0
  if (i < PS_COUNTED_STEPS) j->counts[i] = counts;
  struct ps_rule_count* count = counts && !quiet ? ps_rule_count_at(counts) : 0;
  if (count) {
    count->flows++;
    count->last_ns = w->now_ns;
    if (refused && step->flags & PS_STEP_OBSERVE) count->would_deny++;
  }
  if (refused && step->flags & PS_STEP_OBSERVE) {
    if (!quiet) {
      ps_count(PS_COUNT_OBSERVED);
      ps_log(w, PS_OUTCOME_WOULD_DENY);
    }
    j->action = PS_ACTION_ALLOW;
    return 0;
  }
  if (j->log && !quiet) ps_log(w, j->action);
  return refused;
}

// Judges w->view by the list at `line` of the arena; the answer is in w->judgement. `quiet`: judged
// before, so nothing is logged or counted again. Always 0.
__attribute__((noinline)) int ps_walk(struct ps_work* w, __u32 line, __u32 quiet) {
  if (!w) return 0;
  struct ps_judgement* j = &w->judgement;
  j->rule = PS_NO_RULE;
  j->profile = 0;
  j->steps_run = j->required = 0;
  j->action = PS_ACTION_ALLOW;
  j->log = j->stateless = j->bad = 0;
  ps_zero(j->counts, sizeof(j->counts));
  if (!line) return 0;  // no service in this direction
  const union ps_line* first = bpf_map_lookup_elem(&ps_arena, &line);
  const struct ps_step_list* list = (const void*)first;
  if (!list || list->magic != PS_STEP_LIST_MAGIC || list->count > PS_STEPS_MAX) {
    j->bad = 1;
    return 0;
  }
  const __u32 count = list->count;
  j->required = list->required;
  if (!quiet) ps_count(PS_COUNT_CLASSIFIED);
  for (__u32 i = 0; i < PS_STEPS_MAX; i++)
    if (i >= count || ps_walk_step(w, line, i, quiet)) break;
  return 0;
}

#endif
