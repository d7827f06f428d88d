// Rules of each kind that go beyond the shape of the message: one file a kind, all errors at once.
// What the caller did not say and the server fills in (addresses, host) is filled in later, by
// model/allocate.cc.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/admit.h"
#include "model/problems.h"
#include "model/snapshot.h"

namespace penstock {

struct ValidateContext {
  const Snapshot& snapshot;
  const AdmitContext& admit;
  // Of the object as it is now; nullptr: it is new. The proposal has inherited what the server once
  // filled in.
  const Message* existing = nullptr;
  // A refusal by the state of the system rather than by the request: kFailedPrecondition,
  // kAlreadyExists, ... Returned when nothing is wrong with the request itself.
  std::optional<Error>* refusal = nullptr;

  template <typename T>
  const T* before() const {
    return static_cast<const T*>(existing);
  }
  void refuse(Code code, std::string message, std::string hint = {}) const {
    if (!*refusal) *refusal = Error{code, std::move(message), {}, std::move(hint)};
  }
};

void validate(const v1::Tenant&, const ValidateContext&, Problems&);
void validate(const v1::User&, const ValidateContext&, Problems&);
void validate(const v1::Group&, const ValidateContext&, Problems&);
void validate(const v1::Token&, const ValidateContext&, Problems&);
void validate(const v1::Cluster&, const ValidateContext&, Problems&);
void validate(const v1::Host&, const ValidateContext&, Problems&);
void validate(const v1::VirtualNetwork&, const ValidateContext&, Problems&);
void validate(const v1::VirtualMachine&, const ValidateContext&, Problems&);
void validate(const v1::VmPool&, const ValidateContext&, Problems&);
void validate(const v1::ServiceDefinition&, const ValidateContext&, Problems&);
void validate(const v1::ServiceProfile&, const ValidateContext&, Problems&);
void validate(const v1::Enablement&, const ValidateContext&, Problems&);

// Shared by the above.
// "there is no network \"x\" in tenant acme", with the nearest name there is.
void missing(const Snapshot&, const Kind&, std::string_view tenant, std::string_view name,
             Problems&, const std::string& field);
template <typename T>
bool check_exists(const Snapshot& snapshot, std::string_view tenant, std::string_view name,
                  Problems& problems, const std::string& field) {
  if (snapshot.find<T>(tenant, name)) return true;
  missing(snapshot, kind_of<T>(), tenant, name, problems, field);
  return false;
}
void check_unique(std::set<std::string>& seen, const std::string& name, Problems&,
                  const std::string& field);
// "user:NAME" or "group:NAME" that exists, or empty. One that stays may have gone since.
void check_owner(const std::string& owner, const std::string& before, const Snapshot&, Problems&);
void check_limits(const v1::Limits&, Problems&, const std::string& field);
// The addresses of a subnet that nobody may have: network and broadcast address (IPv4, shorter than
// /31), the subnet-router anycast address (IPv6), the gateway. Sorted.
std::vector<IpAddress> reserved_addresses(const IpPrefix&, const v1::Subnet&);
// The definition's and profile's values put together and everything compiled once; problems with
// the paths of the profile.
void check_plan(const v1::ServiceDefinition&, const v1::ServiceProfile&, const StepKinds&,
                Problems&);

}  // namespace penstock
