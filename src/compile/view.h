// One snapshot as the compiler sees it: which items a host has, and each item's content. Every item
// can be asked for alone; that is what makes a change cost what it changes.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/intent.h"
#include "compile/plans.h"

namespace penstock {

// Which item, by what it is made of.
struct ItemRef {
  enum class Type : std::uint8_t {
    kSwitch,
    kNetwork,
    kGroup,
    kPolicy,
    kInstance,
    kPort,
    kNeighbor
  };
  Type type;
  std::string a, b, c;
  std::uint32_t port = 0;
  auto operator<=>(const ItemRef&) const = default;

  static ItemRef virtual_switch(std::string name) {
    return {Type::kSwitch, std::move(name), {}, {}, 0};
  }
  static ItemRef network(std::string tenant, std::string name) {
    return {Type::kNetwork, std::move(tenant), std::move(name), {}, 0};
  }
  static ItemRef group(std::string tenant, std::string selector) {
    return {Type::kGroup, std::move(tenant), std::move(selector), {}, 0};
  }
  // Tenant empty: the policy that is the same for all.
  static ItemRef policy(std::string profile, std::string level, std::string tenant) {
    return {Type::kPolicy, std::move(profile), std::move(level), std::move(tenant), 0};
  }
  static ItemRef instance(std::string tenant, std::string vm) {
    return {Type::kInstance, std::move(tenant), std::move(vm), {}, 0};
  }
  static ItemRef port_of(std::uint32_t id) { return {Type::kPort, {}, {}, {}, id}; }
  static ItemRef neighbor(std::uint32_t id) { return {Type::kNeighbor, {}, {}, {}, id}; }
};

struct Item {
  std::string key;
  ItemBytes bytes;
};

class View {
 public:
  View(Snapshot snapshot, PlanCache& plans) : snapshot_(std::move(snapshot)), plans_(plans) {}
  const Snapshot& snapshot() const { return snapshot_; }

  // Absent: the host has no such item.
  std::optional<Item> item(std::string_view host, const ItemRef&);
  // All items of the host, and perhaps refs to some it does not have.
  std::vector<ItemRef> refs(std::string_view host);

  std::vector<v1::StepIntent> steps_of(const v1::VirtualMachine&, const v1::Nic&);

  // Published profiles that can be compiled, by name.
  const std::map<std::string, std::shared_ptr<const ProfilePlan>>& profiles();
  // Refs of the profile's policies and their groups on that host, for those tenants that are there.
  void policy_refs(const ProfilePlan&, const std::vector<std::string>& tenants,
                   std::vector<ItemRef>& out) const;
  // All selectors that rules name, by their text.
  const std::map<std::string, v1::LabelSelector>& selectors();
  // Key of the policy on that host; absent: not needed there.
  bool policy_needed(std::string_view host, const ProfilePlan&, std::string_view tenant) const;

 private:
  const Snapshot snapshot_;
  PlanCache& plans_;
  std::optional<std::map<std::string, std::shared_ptr<const ProfilePlan>>> profiles_;
  std::map<std::string, v1::LabelSelector> selectors_;
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
      steps_;                       // by tenant and enablements: most ports have the same
  std::map<ItemRef, Item> shared_;  // policies and groups: the same on every host

  const v1::Host* host(std::string_view name);
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
  std::optional<Item> switch_item(const v1::Host&, const std::string& name) const;
  std::optional<Item> network_item(const v1::Host&, const std::string& tenant,
                                   const std::string& name) const;
  std::optional<Item> group_item(const v1::Host&, const ItemRef&);
  std::optional<Item> policy_item(const v1::Host&, const ItemRef&);
  std::optional<Item> instance_item(const v1::Host&, const std::string& tenant,
                                    const std::string& name) const;
  std::optional<Item> port_item(const v1::Host&, std::uint32_t id);
  std::optional<Item> neighbor_item(const v1::Host&, std::uint32_t id);
  Item make_group(const ItemRef&) const;
  std::optional<Item> make_policy(const ProfilePlan&, const ItemRef&) const;
};

// Host's switches, the standard one where it names none.
std::vector<v1::VirtualSwitch> switches_of(const v1::Host&);
// The switch a network uses on a host (its name if the host has it, else the first); nullptr: the
// host has no uplink.
const v1::Uplink* uplink_of(const v1::Host&, const v1::VirtualNetwork&);

}  // namespace penstock
