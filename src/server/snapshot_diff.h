// What leads from one snapshot to another, when nobody kept the edits (the inventory was read
// anew).
#pragma once

#include <vector>

#include "model/snapshot.h"

namespace penstock {

// O(size of both). Erasures first. Counters are left out: nothing that watches a snapshot looks at
// them.
std::vector<Edit> differences(const Snapshot& before, const Snapshot& after);

}  // namespace penstock
