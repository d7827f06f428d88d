// A flow as a host saw it, in the names of the inventory.
#pragma once

#include <memory>
#include <string>

#include "model/snapshot.h"
#include "penstock/v1/flow.pb.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

// Nothing: the inventory has no VM with this port any more. metadata.name is left to the caller.
std::unique_ptr<v1::FlowRecord> flow_record(const Snapshot&, const std::string& host,
                                            const v1::LoggedFlow&);

}  // namespace penstock
