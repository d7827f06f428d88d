// Requests for approval: made by enabling, answered here.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

// Grants or refuses. kNotFound: the caller may not see the enablement; kPermissionDenied: sees it,
// but others decide; kFailedPrecondition: nobody asked. The same answer again changes nothing.
Result<Planned> plan_decide(const PlanContext&, const v1::DecideRequest&, Write&);

// Says in `write` what the write does to the request for approval, for the events of both sides.
void note_approval(const v1::Enablement* before, const v1::Enablement& after, Write& write);

// "asked 2 h ago", "refused: the licences are used up".
std::string approval_text(const v1::ApprovalDecision&, WallTime now);
// "needs approval by netadmins", "needs approval by an administrator".
std::string needs_approval_text(const v1::ServiceProfile&);

}  // namespace penstock
