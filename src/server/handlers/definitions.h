// A service definition as a series of calls: put a draft, add parts, submit.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

// Merges a part into the draft: scalars replace, lists append, the mode's rules append.
Result<Planned> plan_add_to_draft(const PlanContext&, const v1::AddToDraftRequest&, Write&);
// Checks the draft whole and makes it final. Of what is submitted already: nothing to do.
Result<Planned> plan_submit(const PlanContext&, const v1::SubmitDefinitionRequest&, Write&);

}  // namespace penstock
