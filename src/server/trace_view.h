// A finished trace as its caller may see it: who may change what decided, what to type next, and
// without what is not theirs to know. Pure.
#pragma once

#include "model/snapshot.h"
#include "penstock/v1/trace.pb.h"
#include "server/identity.h"

namespace penstock {

void show_trace(const Snapshot&, const Identity&, const std::string& tenant, v1::Trace&);

}  // namespace penstock
