// Who may use a profile, where, at which levels and with which parameter values. The same functions
// serve the catalog, enabling, explaining, and the choice of hosts to configure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/snapshot.h"

namespace penstock {

using Json = nlohmann::ordered_json;

// The subject that wants to use a profile. What is not known (no VM chosen yet, no user, a VM that
// is on no host) is left empty and then does not count against the subject; but what belongs to
// another tenant is known not to be the subject's.
struct Subject {
  std::string tenant;
  std::optional<std::vector<std::string>> user_groups;
  std::shared_ptr<const v1::VirtualMachine> vm;
  // The network of the one NIC that is meant, or of a network as target. Empty with a VM: all its
  // NICs are meant.
  std::string network;
  std::string pool;                // a pool as target that has no VM
  const v1::Host* host = nullptr;  // without a VM: any on this host
};

// Why a subject may not use a profile. Empty: it may.
struct WhyNot {
  std::string text;    // names nothing that the tenant's users may not know
  std::string detail;  // for administrators: what the scope names
  bool empty() const { return text.empty(); }
  std::string for_reader(bool administrator) const;
};

// A subject is available when every non-empty list of `allow` contains it and none of `except`
// does. A VM with several NICs is in the `networks` of `allow` when all of them are, and in those
// of `except` when one is.
WhyNot why_not_available(const Snapshot&, const v1::ServiceProfile&, const Subject&);
inline bool available(const Snapshot& snapshot, const v1::ServiceProfile& profile,
                      const Subject& subject) {
  return why_not_available(snapshot, profile, subject).empty();
}

// The same for what an enablement is on: a pool or network is available when all its VMs are (one
// without VMs: as far as the target itself is named). O(VMs of the target) when a list speaks of
// VMs, networks, hosts or pools, else O(1).
struct Obstacle {
  WhyNot why;
  std::string vm;        // the first that may not; empty: the target as a whole
  std::size_t more = 0;  // further VMs that may not
  bool empty() const { return why.empty(); }
};
Obstacle why_not_on_target(const Snapshot&, const v1::ServiceProfile&, const v1::Enablement&,
                           const std::optional<std::vector<std::string>>& user_groups);

// Whether some VM of the tenant on that host could be available: what decides which hosts are
// configured.
bool may_be_available(const v1::ServiceProfile&, std::string_view tenant, const v1::Host&);

// VMs that the enablement covers, by name, sorted.
std::vector<std::string> covered_vms(const Snapshot&, const v1::Enablement&);
// Enablements that cover the VM or one of its NICs, by whatever target: the one that goes first for
// a profile stands before the others (mandatory before not; NIC, VM, pool, network; by name).
std::vector<std::shared_ptr<const v1::Enablement>> enablements_covering(const Snapshot&,
                                                                        const v1::VirtualMachine&);

// Levels the profile offers, in the definition's order, limits merged; disallowed ones left out.
std::vector<v1::Level> allowed_levels(const v1::ServiceDefinition&, const v1::ServiceProfile&);

// Values of the definition's parameters at a level: the schema's defaults, over them the profile's,
// the profile level's, and what the definition fixes for the level.
Json effective_parameters(const v1::ServiceDefinition&, const v1::ServiceProfile&,
                          std::string_view level);

}  // namespace penstock
