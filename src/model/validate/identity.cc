// Tenants, users, groups, tokens.
#include <fmt/format.h>

#include "model/validate/validate.h"

namespace penstock {
namespace {

void check_roles(const google::protobuf::RepeatedPtrField<v1::RoleBinding>& roles,
                 const ValidateContext& context, Problems& problems) {
  for (int i = 0; i < roles.size(); ++i) {
    const auto& binding = roles[i];
    const auto at = field_path("spec.roles", static_cast<std::size_t>(i));
    const bool of_tenant =
        binding.role() == v1::TENANT_ADMINISTRATOR || binding.role() == v1::VM_OWNER;
    if (binding.role() == v1::ROLE_UNSPECIFIED)
      problems.add(field_path(at, "role"), "is required",
                   "ADMINISTRATOR, TENANT_ADMINISTRATOR, VM_OWNER or VENDOR");
    if (of_tenant && binding.tenant().empty())
      problems.add(field_path(at, "tenant"), "is required with this role");
    else if (of_tenant)
      check_exists<v1::Tenant>(context.snapshot, "", binding.tenant(), problems,
                               field_path(at, "tenant"));
    else if (!binding.tenant().empty())
      problems.add(field_path(at, "tenant"), "has no meaning with this role", "remove it");
    if (binding.role() == v1::VENDOR && binding.vendor().empty())
      problems.add(field_path(at, "vendor"), "is required with the role VENDOR");
    if (binding.role() != v1::VENDOR && !binding.vendor().empty())
      problems.add(field_path(at, "vendor"), "has no meaning with this role", "remove it");
  }
}

}  // namespace

void validate(const v1::Tenant& tenant, const ValidateContext&, Problems& problems) {
  const auto& quota = tenant.spec().quota();
  const auto* type = v1::Quota::descriptor();
  for (int i = 0; i < type->field_count(); ++i)
    if (const auto value = quota.GetReflection()->GetInt64(quota, type->field(i)); value < 0)
      problems.add(field_path("spec.quota", type->field(i)->json_name()),
                   fmt::format("{} is below 0", value), "0 means no limit");
}
void validate(const v1::Cluster&, const ValidateContext&, Problems&) {}

void validate(const v1::User& user, const ValidateContext& context, Problems& problems) {
  check_roles(user.spec().roles(), context, problems);
  std::set<std::string> seen;
  for (int i = 0; i < user.spec().groups_size(); ++i) {
    const auto at = field_path("spec.groups", static_cast<std::size_t>(i));
    check_exists<v1::Group>(context.snapshot, "", user.spec().groups(i), problems, at);
    check_unique(seen, user.spec().groups(i), problems, at);
  }
}

void validate(const v1::Group& group, const ValidateContext& context, Problems& problems) {
  check_roles(group.spec().roles(), context, problems);
}

void validate(const v1::Token& token, const ValidateContext& context, Problems& problems) {
  const auto& spec = token.spec();
  if (spec.user().empty() == spec.host().empty())
    problems.add("spec", "names either a user or a host",
                 spec.user().empty() ? "spec.user or spec.host" : "remove one");
  if (!spec.user().empty())
    check_exists<v1::User>(context.snapshot, "", spec.user(), problems, "spec.user");
  // A host's token may come before the host: it is what a new host first shows.
  if (!context.existing && spec.has_expires_at() &&
      spec.expires_at().seconds() <=
          std::chrono::duration_cast<std::chrono::seconds>(context.admit.now.since_epoch).count())
    problems.add("spec.expiresAt", "lies in the past");
}

}  // namespace penstock
