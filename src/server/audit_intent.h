// What a request was to do, as an audit record without an outcome: for the log when it got no
// further than the door.
#pragma once

#include "model/kinds.h"
#include "penstock/v1/audit.pb.h"

namespace penstock {

// Action and object as the request names them; `item`: of a batch.
v1::AuditRecord intent_of(const Message& request, std::size_t item);

}  // namespace penstock
