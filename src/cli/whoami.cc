#include "cli/whoami.h"

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

}  // namespace penstock::cli
