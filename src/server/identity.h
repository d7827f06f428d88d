// Who a caller is: a bearer token, looked up in the inventory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/runtime.h"
#include "model/snapshot.h"

namespace penstock {

struct Identity {
  enum class Kind {
    kUser,
    kHost,  // good for that host's session and nothing else
  };
  Kind kind = Kind::kUser;
  std::string name;
  std::vector<std::string> groups;
  std::vector<v1::RoleBinding> roles;  // own and those of the groups

  bool administrator() const;
  bool tenant_administrator(std::string_view tenant) const;
  bool vm_owner_role(std::string_view tenant) const;
  bool vendor(std::string_view vendor) const;
  bool in_tenant(std::string_view tenant) const;  // any role in it, or administrator
  // Whether the owner of a VM, pool or network ("user:NAME", "group:NAME") is this user or one of
  // its groups. Nobody owns what has no owner.
  bool owns(std::string_view owner) const;
  std::string text() const;  // "admin", "host:h1"
  bool operator==(const Identity&) const;
};

// kUnauthenticated: no token, an unknown or expired one, a disabled or deleted user. All with the
// same message, so that nothing can be learned by trying.
Result<Identity> identify(const Snapshot&, std::string_view secret, WallTime now);

// "Bearer TEXT" of an HTTP header or gRPC metadata -> TEXT; otherwise empty.
std::string_view bearer(std::string_view authorization);

}  // namespace penstock
