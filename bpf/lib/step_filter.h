// Step kind `filter`: ordered rules, first match decides (lib/classify.h).
#ifndef PENSTOCK_LIB_STEP_FILTER_H
#define PENSTOCK_LIB_STEP_FILTER_H

#include "lib/maps.h"

// 0: the step ran; w->judgement says what it found. Not 0: it could not.
PS_INLINE int ps_step_filter(struct ps_work* w, const struct ps_step* step) {
  w->match.rule = PS_NO_RULE;
  w->match.matched = w->match.flags = w->match.error = 0;
  w->match.action = PS_ACTION_DENY;
  ps_classify(step->line, &w->view, &w->match);
  w->judgement.action = w->match.action;
  w->judgement.rule = w->match.rule;
  w->judgement.profile = step->profile;
  w->judgement.log = !!(w->match.flags & PS_VERDICT_LOG);
  w->judgement.stateless |= !!(w->match.flags & PS_VERDICT_STATELESS);
  return w->match.error;
}

#endif
