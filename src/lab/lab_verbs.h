#pragma once

#include "cli/verb.h"

namespace penstock::lab {

// `penstock lab ...`; one file a verb in verbs/.
void add_lab_verbs(cli::Verbs&);

}  // namespace penstock::lab
