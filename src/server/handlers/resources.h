// Reading and writing objects of every kind.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"
#include "server/pages.h"

namespace penstock {

Result<v1::Object> get_object(const ReadContext&, const v1::GetRequest&);
// Pages are of one revision: a continue token names it. kFailedPrecondition: that revision is not
// kept any more.
Result<v1::ListResponse> list_objects(const ReadContext&, Pages&, WallTime now,
                                      const v1::ListRequest&);

// Create or replace. Equal to what is there: nothing to do. `must_be_new`: kAlreadyExists when it
// is there. `purpose`: of an enablement.
Result<Planned> plan_put(const PlanContext&, const Message& proposed, bool must_be_new, Write&,
                         AdmitContext::Purpose purpose = AdmitContext::Purpose::kPut);
Result<Planned> plan_delete(const PlanContext&, const v1::DeleteRequest&, Write&);
Result<Planned> plan_batch_item(const PlanContext&, const v1::BatchItem&, Write&);

}  // namespace penstock
