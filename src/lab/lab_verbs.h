#pragma once

#include "cli/verb.h"

namespace penstock::lab {

// `penstock lab up|down|list|exec|status|restart|gc|schema`.
void add_lab_verbs(cli::Verbs&);

}  // namespace penstock::lab
