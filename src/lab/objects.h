// The Penstock objects of a topology file: those of its short form of tenants, then those written
// out. The server judges them.
#pragma once

#include <vector>

#include "cli/json.h"

namespace penstock::lab {

std::vector<cli::Json> objects_of(const cli::Json& file);

}  // namespace penstock::lab
