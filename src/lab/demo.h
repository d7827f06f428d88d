// `penstock demo`: stories on real packets. Each tells what it does, measures, and ends with 0 only
// when everything it measured was as it should be.
#pragma once

#include "cli/verb.h"

namespace penstock::lab {

void add_demo_verb(cli::Verbs&);

}  // namespace penstock::lab
