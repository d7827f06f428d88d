// The catalog and what it is for: enabling and disabling.
#pragma once

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"

namespace penstock {

// Published profiles that this caller may use in the tenant, with whether they can be used on the
// VM asked about. Without a tenant: administrators see every published profile.
Result<v1::ListCatalogResponse> list_catalog(const ReadContext&, const v1::ListCatalogRequest&);

// Enabling what is enabled on the same target already changes its level, or nothing.
Result<Planned> plan_enable(const PlanContext&, const v1::EnableRequest&, Write&);
// kNotFound: not enabled on exactly this target; the hint says through what it is on.
Result<Planned> plan_disable(const PlanContext&, const v1::DisableRequest&, Write&);

}  // namespace penstock
