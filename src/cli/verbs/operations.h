// Verbs of those who run a deployment.
#pragma once

#include "cli/verb.h"

namespace penstock::cli {

void add_reach_verb(Verbs&);
void add_check_verb(Verbs&);
void add_diag_verb(Verbs&);

}  // namespace penstock::cli
