// Levels of catalog entries with their limits, as columns.
#pragma once

#include <string>
#include <vector>

#include "cli/json.h"
#include "cli/table.h"

namespace penstock::cli {

// One row a level: NAME KIND LEVEL and its limits, then usable, why not and vendor.
Table levels_table(const Json& entries);
// Of one entry: LEVEL, its limits, what the vendor says of it.
Table levels_of(const Json& entry);

}  // namespace penstock::cli
