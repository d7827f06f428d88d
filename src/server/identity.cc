#include "server/identity.h"

#include <algorithm>

#include "server/secret.h"

namespace penstock {
namespace {

template <typename Test>
bool any_role(const Identity& who, Test test) {
  return who.kind == Identity::Kind::kUser && std::ranges::any_of(who.roles, test);
}

bool expired(const v1::TokenSpec& spec, WallTime now) {
  if (!spec.has_expires_at()) return false;
  const auto at = std::chrono::seconds(spec.expires_at().seconds()) +
                  std::chrono::nanoseconds(spec.expires_at().nanos());
  return now.since_epoch >= at;
}

}  // namespace

bool Identity::administrator() const {
  return any_role(*this, [](const auto& binding) { return binding.role() == v1::ADMINISTRATOR; });
}
bool Identity::tenant_administrator(std::string_view tenant) const {
  return any_role(*this, [&](const auto& binding) {
    return binding.role() == v1::ADMINISTRATOR || (binding.role() == v1::TENANT_ADMINISTRATOR &&
                                                   !tenant.empty() && binding.tenant() == tenant);
  });
}
bool Identity::vm_owner_role(std::string_view tenant) const {
  return any_role(*this, [&](const auto& binding) {
    return binding.role() == v1::VM_OWNER && !tenant.empty() && binding.tenant() == tenant;
  });
}
bool Identity::vendor(std::string_view vendor) const {
  return any_role(*this, [&](const auto& binding) {
    return binding.role() == v1::VENDOR && !vendor.empty() && binding.vendor() == vendor;
  });
}
bool Identity::in_tenant(std::string_view tenant) const {
  return tenant_administrator(tenant) || vm_owner_role(tenant);
}
bool Identity::owns(std::string_view owner) const {
  if (kind != Kind::kUser || owner.empty()) return false;
  if (owner == "user:" + name) return true;
  return std::ranges::any_of(groups, [&](const auto& group) { return owner == "group:" + group; });
}
bool Identity::operator==(const Identity& other) const {
  return kind == other.kind && name == other.name && groups == other.groups &&
         std::ranges::equal(roles, other.roles, [](const auto& a, const auto& b) {
           return a.role() == b.role() && a.tenant() == b.tenant() && a.vendor() == b.vendor();
         });
}
std::string Identity::text() const {
  return kind == Kind::kHost ? "host:" + name : name;
}

Result<Identity> identify(const Snapshot& snapshot, std::string_view secret, WallTime now) {
  const auto refuse = [] {
    return fail(Code::kUnauthenticated, "no valid token", "log in: penstock login");
  };
  if (secret.empty()) return refuse();
  const auto hash = secret_hash(secret);
  const auto token = snapshot.token_of_sha256(hash);
  // The index found it by the hash; the comparison that counts does not stop at the first
  // difference.
  if (!token || !equal_in_constant_time(token->spec().sha256(), hash)) return refuse();
  if (expired(token->spec(), now)) return refuse();

  Identity who;
  if (!token->spec().host().empty()) {
    who.kind = Identity::Kind::kHost;
    who.name = token->spec().host();
    if (!snapshot.find<v1::Host>(who.name)) return refuse();
    return who;
  }
  const auto user = snapshot.find<v1::User>(token->spec().user());
  if (!user || user->spec().disabled()) return refuse();
  who.name = user->metadata().name();
  who.roles.assign(user->spec().roles().begin(), user->spec().roles().end());
  for (const auto& name : user->spec().groups()) {
    const auto group = snapshot.find<v1::Group>(name);
    if (!group) continue;
    who.groups.push_back(name);
    who.roles.insert(who.roles.end(), group->spec().roles().begin(), group->spec().roles().end());
  }
  return who;
}

std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != kScheme[i]) return {};
  }
  auto secret = authorization.substr(kScheme.size());
  while (!secret.empty() && secret.front() == ' ') secret.remove_prefix(1);
  return secret;
}

}  // namespace penstock
