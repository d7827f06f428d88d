// The catalog and what it is for: enabling and disabling.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "penstock/v1/api.pb.h"
#include "server/handlers/context.h"
#include "server/pages.h"

namespace penstock {

// Whether there is a catalog for this caller. Without a tenant: administrators see every published
// profile.
Status authorize_catalog(const Snapshot&, const Identity&, const std::string& tenant);

// The profile as this caller sees it in the tenant's catalog; nothing: not published, or not for
// this tenant and user at all. `on`: it acts on something of the user's, who sees it then in any
// case.
std::optional<v1::CatalogEntry> catalog_entry(const ReadContext&, const std::string& tenant,
                                              const v1::ServiceProfile&, bool on = false);

// Published profiles that this caller may use in the tenant, with whether they can be used on the
// VM asked about.
Result<v1::ListCatalogResponse> list_catalog(const ReadContext&, Pages&, WallTime now,
                                             const v1::ListCatalogRequest&);
// The same one by one, in order of name from the first behind `after`, until `visit` returns false.
Status each_catalog_entry(const ReadContext&, const v1::ListCatalogRequest&, std::string_view after,
                          const std::function<bool(v1::CatalogEntry)>& visit);

// Enabling what is enabled on the same target already changes its level, or nothing.
Result<Planned> plan_enable(const PlanContext&, const v1::EnableRequest&, Write&);
// kNotFound: not enabled on exactly this target; the hint says through what it is on.
Result<Planned> plan_disable(const PlanContext&, const v1::DisableRequest&, Write&);

}  // namespace penstock
