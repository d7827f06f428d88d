#include "cli/whoami.h"

#include "cli/api.h"

namespace penstock::cli {

std::string whoami_text(const Json& answer) {
  std::string roles, groups;
  for (const auto& binding : at(answer, "roles")) {
    const auto tenant = text_at(at(binding, "tenant")), vendor = text_at(at(binding, "vendor"));
    roles += (roles.empty() ? "" : ", ") + text_at(at(binding, "role"));
    if (!tenant.empty()) roles += " of " + tenant;
    if (!vendor.empty()) roles += " " + vendor;
  }
  for (const auto& group : at(answer, "groups"))
    groups += (groups.empty() ? "" : ", ") + text_at(group);
  return text_at(at(answer, "user")) + ": " + (roles.empty() ? "no roles" : roles) +
         (groups.empty() ? "" : "; groups " + groups);
}

Result<std::string> only_tenant(Api& api) {
  const Json who = PENSTOCK_TRY(api.read("/v1:whoami", {}));
  std::string only;
  for (const auto& binding : at(who, "roles")) {
    const auto tenant = text_at(at(binding, "tenant"));
    if (tenant.empty() || tenant == only) continue;
    if (!only.empty()) return std::string();
    only = tenant;
  }
  return only;
}

}  // namespace penstock::cli
