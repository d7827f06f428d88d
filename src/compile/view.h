// One snapshot as the compiler sees it: which items a host has, and each item's content. Every item
// can be asked for alone; that is what makes a change cost what it changes.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compile/common_items.h"
#include "compile/intent.h"
#include "compile/plans.h"
#include "compile/profile_index.h"

namespace penstock {

class View {
 public:
  View(Snapshot, PlanCache&);
  // The view after the edits; keeps what they cannot have touched.
  View(const View& before, Snapshot after, std::span<const Edit>);
  const Snapshot& snapshot() const { return snapshot_; }

  // nullptr: the host has no such item.
  ItemPtr item(std::string_view host, const ItemRef&);
  // All items of the host, and perhaps refs to some it does not have.
  std::vector<ItemRef> refs(std::string_view host);
  // All items of the host, sorted by key.
  std::vector<ItemPtr> list(std::string_view host);

  std::vector<v1::StepIntent> steps_of(const v1::VirtualMachine&, const v1::Nic&);

  const ProfileIndex& profiles() const { return profiles_; }
  // Profiles that VMs of the tenant may use, as far as its name decides that, or have in use.
  const std::vector<PlanPtr>& plans_of(const std::string& tenant);
  // Refs of the profile's policies and their groups on that host, for those tenants that are there.
  void policy_refs(const ProfilePlan&, const std::vector<std::string>& tenants,
                   std::vector<ItemRef>& out) const;
  // Whether the host has the profile's policies of this tenant; tenant empty: those that are the
  // same for all.
  bool policy_needed(const v1::Host&, const ProfilePlan&, std::string_view tenant);

 private:
  const Snapshot snapshot_;
  PlanCache& plans_;
  ProfileIndex profiles_;
  std::map<std::string, std::vector<PlanPtr>> plans_of_;                     // by tenant
  std::map<std::string, std::vector<std::string>, std::less<>> tenants_of_;  // by host
  // Found before: the items of one change share few hosts and networks.
  std::map<std::string, std::shared_ptr<const v1::Host>, std::less<>> hosts_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const v1::VirtualNetwork>>
      networks_;
  struct SelectingPool {
    std::shared_ptr<const v1::VmPool> pool;
    std::vector<std::string> enablements;
  };
  std::map<std::string, std::vector<SelectingPool>, std::less<>> pools_;  // by tenant
  std::map<std::string, std::vector<v1::StepIntent>>
      steps_;  // by tenant and enablements: most ports have the same
  CommonItems common_;
  using TenantNetwork = CommonItems::TenantNetwork;

  const v1::Host* host(std::string_view name);
  const std::vector<std::string>& tenants_of(std::string_view host);
  bool needed_by(const v1::Host&, const ProfilePlan&, std::string_view tenant) const;
  struct RunningNic {
    std::shared_ptr<const v1::VirtualMachine> vm;
    const v1::Nic* nic = nullptr;
    const v1::VirtualNetwork* network = nullptr;
  };
  // The running VM's NIC with its network; nic is null when there is none.
  RunningNic find_nic(std::uint32_t port);
  // Pools with a selector and something enabled on them.
  const std::vector<SelectingPool>& selecting_pools(const std::string& tenant);
  // Names, the most specific first, of what is enabled for a NIC.
  std::vector<std::string> enablements_of(const v1::VirtualMachine&, const v1::Nic&);
  std::vector<v1::StepIntent> make_steps(const std::string& tenant,
                                         const std::vector<std::string>& enablements);
  // The host's own items, without policies, groups and neighbours; networks by their names.
  std::vector<ItemRef> own_refs(const v1::Host&, std::set<TenantNetwork>& networks) const;
  std::shared_ptr<const Neighborhood> neighborhood(const TenantNetwork&);
  CommonItems::Items policies_of(const ProfilePlan&, const std::string& tenant);

  ItemPtr switch_item(const v1::Host&, const std::string& name) const;
  ItemPtr network_item(const v1::Host&, const std::string& tenant, const std::string& name) const;
  ItemPtr group_item(const v1::Host&, const ItemRef&);
  ItemPtr policy_item(const v1::Host&, const ItemRef&);
  ItemPtr instance_item(const v1::Host&, const std::string& tenant, const std::string& name) const;
  ItemPtr port_item(const v1::Host&, std::uint32_t id);
  ItemPtr neighbor_item(const v1::Host&, std::uint32_t id);
  ItemPtr shared_group(const ItemRef&);
  ItemPtr shared_policy(const ProfilePlan&, const ItemRef&);
  ItemPtr shared_neighbor(const RunningNic&);
  ItemPtr make_group(const ItemRef&) const;
  ItemPtr make_policy(const ProfilePlan&, const ItemRef&) const;
  ItemPtr make_neighbor(const RunningNic&, const std::string& here) const;
};

// The keys of a network's neighbours begin so.
std::string neighbor_prefix(std::uint32_t vni);
// Host's switches, the standard one where it names none.
std::vector<v1::VirtualSwitch> switches_of(const v1::Host&);
// The switch a network uses on a host (its name if the host has it, else the first); nullptr: the
// host has no uplink.
const v1::Uplink* uplink_of(const v1::Host&, const v1::VirtualNetwork&);

}  // namespace penstock
