// Changing what is there in part.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

// A JSON Merge Patch (RFC 7396) of the object, then the same as a put of the outcome: every error
// at once, metadata.resourceVersion compared when the patch has it. Planned anew on what the object
// has become, so two patches of different fields at the same time are both in.
Result<Planned> plan_patch(const PlanContext&, const v1::PatchRequest&, Write&);

}  // namespace penstock
