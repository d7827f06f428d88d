// Status of the whole, and why something is as it is.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

// Administrators see everything; others only that the server is there and how far it is.
v1::StatusResponse server_status(const ReadContext&, const HostSessions&);

// Desired, applied, and what is waited for and why.
Result<v1::ExplainResponse> explain_object(const ReadContext&, const HostSessions&, Compiler&,
                                           const v1::ExplainRequest&);

}  // namespace penstock
