// What every backend asks of a transaction before it looks at its own state.
#pragma once

#include "base/tunables.h"
#include "store/store.h"

namespace penstock {

// The limits of Txn. The error names the operation ("ops[3].key") and the limit.
Status validate(const Txn&, const Tunables&);

const std::string& key_of(const Txn::Op&);

}  // namespace penstock
