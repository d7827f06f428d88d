/* First match over a compiled policy (abi/policy.h), for BPF and natively from this one source.
 *
 *   struct ps_verdict verdict = {};
 *   ps_classify(PS_ARENA_ARG(arena) policy_line, &view, &verdict);
 *
 * On BPF: a global function, verified once however often it is called; `ps_classify(line, &view, &verdict)`. It
 * reads the map ps_arena (abi/maps.h) and uses the per-CPU map ps_classify_scratch; both are defined in
 * lib/classify_arena.h. It takes < 128 bytes of stack, so it may be called from programs that make tail calls.
 * Natively: `ps_classify(&arena, line, &view, &verdict)` with a struct ps_arena_view; no image, however malformed,
 * makes it read outside the arena or run for longer than its limits.
 * An unreadable image denies (and sets verdict.error): a fault must not open what the policy was to close. */
#ifndef PENSTOCK_LIB_CLASSIFY_H
#define PENSTOCK_LIB_CLASSIFY_H

#include "abi/policy.h"
#include "lib/classify_arena.h"

/* policy_line: the image's first line in the arena. Always returns 0. */
PS_CLASSIFY_ENTRY int ps_classify(PS_ARENA_PARAMETER __u32 policy_line,
                                  const struct ps_packet_view* view, struct ps_verdict* verdict);

#endif
