// Who may use a profile, where, at which levels and with which parameter values. The same functions
// serve the catalog, enabling, and the choice of hosts to configure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/snapshot.h"

namespace penstock {

using Json = nlohmann::ordered_json;

// The subject that wants to use a profile. What is not known (no VM chosen yet, no user) is left
// empty and then does not count against the subject.
struct Subject {
  std::string tenant;
  std::optional<std::vector<std::string>> user_groups;
  std::shared_ptr<const v1::VirtualMachine> vm;
  std::string pool;     // target is a pool
  std::string network;  // target is a network, or one NIC's network
};

// Empty: available. Otherwise the reason, for people: "not available to tenant acme".
std::string why_not_available(const Snapshot&, const v1::ServiceProfile&, const Subject&);
inline bool available(const Snapshot& snapshot, const v1::ServiceProfile& profile,
                      const Subject& subject) {
  return why_not_available(snapshot, profile, subject).empty();
}
// Whether some VM of the tenant on that host could be available: what decides which hosts are
// configured. VM, pool and network scopes are not looked at, so a host may be configured though
// none of its VMs may use the profile.
bool may_be_available(const v1::ServiceProfile&, std::string_view tenant, const v1::Host&);

// The subject that an enablement's target is. `user_groups` are not known from it.
Subject subject_of(const Snapshot&, const v1::Enablement&);

// Levels the profile offers, in the definition's order, limits merged; disallowed ones left out.
std::vector<v1::Level> allowed_levels(const v1::ServiceDefinition&, const v1::ServiceProfile&);

// Values of the definition's parameters at a level: the schema's defaults, over them the profile's,
// the profile level's, and what the definition fixes for the level.
Json effective_parameters(const v1::ServiceDefinition&, const v1::ServiceProfile&,
                          std::string_view level);

}  // namespace penstock
