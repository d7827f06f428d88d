// Which items a host has, and the steps of a port.
#include "compile/view.h"

#include <algorithm>
#include <set>

#include "model/availability.h"
#include "model/ids.h"

namespace penstock {

const std::map<std::string, std::shared_ptr<const ProfilePlan>>& View::profiles() {
  if (!profiles_) {
    auto& out = profiles_.emplace();
    snapshot_.each(kind_of<v1::ServiceProfile>(), [&](const ObjectKey& key,
                                                      const MessagePtr& object, std::int64_t) {
      auto plan =
          plans_.published(snapshot_, std::static_pointer_cast<const v1::ServiceProfile>(object));
      if (!plan) return true;
      for (const auto& level : plan->levels)
        if (level.plan) selectors_.insert(level.plan->groups().begin(), level.plan->groups().end());
      out.emplace(key.name, std::move(plan));
      return true;
    });
  }
  return *profiles_;
}

const std::map<std::string, v1::LabelSelector>& View::selectors() {
  profiles();
  return selectors_;
}

bool View::policy_needed(std::string_view host_name, const ProfilePlan& plan,
                         std::string_view tenant) const {
  const auto host = snapshot_.find<v1::Host>(host_name);
  if (!host) return false;
  const auto& profile = plan.profile->metadata().name();
  const auto by = [&](std::string_view t) {
    // Whoever has it enabled keeps it, also when availability has been narrowed since.
    return may_be_available(*plan.profile, t, *host) || snapshot_.profile_enabled_in(profile, t);
  };
  if (!tenant.empty()) return snapshot_.tenant_on_host(tenant, host_name) && by(tenant);
  return std::ranges::any_of(snapshot_.tenants_of_host(host_name), by);
}

void View::policy_refs(const ProfilePlan& plan, const std::vector<std::string>& tenants,
                       std::vector<ItemRef>& out) const {
  const auto& profile = plan.profile->metadata().name();
  for (const auto& level : plan.levels) {
    if (!level.plan) continue;
    if (!level.plan->per_tenant()) {
      out.push_back(ItemRef::policy(profile, level.level, ""));
      continue;
    }
    for (const auto& tenant : tenants) {
      out.push_back(ItemRef::policy(profile, level.level, tenant));
      for (const auto& [text, selector] : level.plan->groups())
        out.push_back(ItemRef::group(tenant, text));
    }
  }
}

std::vector<ItemRef> View::refs(std::string_view host_name) {
  std::vector<ItemRef> out;
  const auto host = snapshot_.find<v1::Host>(host_name);
  if (!host) return out;
  for (const auto& s : switches_of(*host)) out.push_back(ItemRef::virtual_switch(s.name()));
  std::set<std::pair<std::string, std::string>> networks;
  for (const auto& key : snapshot_.vms_of_host(host_name)) {
    const auto vm = snapshot_.find<v1::VirtualMachine>(key.tenant, key.name);
    out.push_back(ItemRef::instance(key.tenant, key.name));
    for (const auto& nic : vm->spec().nics()) {
      out.push_back(ItemRef::port_of(nic.port_id()));
      networks.emplace(key.tenant, nic.network());
    }
  }
  for (const auto& [tenant, network] : networks) {
    out.push_back(ItemRef::network(tenant, network));
    for (const auto& other : snapshot_.hosts_of_network(tenant, network))
      if (other != host_name)  // with this host's own that move: they are on two
        for (const auto& nic : snapshot_.nics_of_network(tenant, network, other))
          out.push_back(ItemRef::neighbor(nic.port_id));
  }
  const auto tenants = snapshot_.tenants_of_host(host_name);
  for (const auto& [name, plan] : profiles()) policy_refs(*plan, tenants, out);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

const std::vector<View::SelectingPool>& View::selecting_pools(const std::string& tenant) {
  auto it = pools_.find(tenant);
  if (it != pools_.end()) return it->second;
  auto& out = pools_[tenant];
  for (const auto& name : snapshot_.pools_enabled(tenant))
    if (auto pool = snapshot_.find<v1::VmPool>(tenant, name); pool && pool->spec().has_selector())
      out.push_back({std::move(pool), snapshot_.enablements_on_pool(tenant, name)});
  return out;
}

std::vector<std::string> View::enablements_of(const v1::VirtualMachine& vm, const v1::Nic& nic) {
  const auto& tenant = vm.metadata().tenant();
  const auto& name = vm.metadata().name();
  auto out = snapshot_.enablements_on_nic(tenant, name, nic.name());
  const auto more = [&](std::vector<std::string> names) {
    out.insert(out.end(), std::make_move_iterator(names.begin()),
               std::make_move_iterator(names.end()));
  };
  more(snapshot_.enablements_on_vm(tenant, name));
  std::map<std::string, std::vector<std::string>> through;
  for (const auto& pool : snapshot_.pools_naming(tenant, name))
    through.emplace(pool, snapshot_.enablements_on_pool(tenant, pool));
  for (const auto& [pool, enablements] : selecting_pools(tenant))
    if (matches(pool->spec().selector(), vm.metadata().labels()))
      through.emplace(pool->metadata().name(), enablements);
  for (auto& [pool, enablements] : through) more(std::move(enablements));
  more(snapshot_.enablements_on_network(tenant, nic.network()));
  return out;
}

std::vector<v1::StepIntent> View::steps_of(const v1::VirtualMachine& vm, const v1::Nic& nic) {
  const auto enablements = enablements_of(vm, nic);
  if (enablements.empty()) return {};
  std::string key = vm.metadata().tenant();
  for (const auto& name : enablements) key += '/' + name;
  auto it = steps_.find(key);
  if (it == steps_.end())
    it = steps_.emplace(std::move(key), make_steps(vm.metadata().tenant(), enablements)).first;
  return it->second;
}

// The first enablement of a profile wins.
std::vector<v1::StepIntent> View::make_steps(const std::string& tenant,
                                             const std::vector<std::string>& enablements) {
  std::map<std::pair<int, std::string>, v1::StepIntent> ordered;
  std::set<std::string> seen;
  for (const auto& e : enablements) {
    const auto enablement = snapshot_.find<v1::Enablement>(tenant, e);
    const auto& profile = enablement->spec().profile();
    if (!seen.insert(profile).second) continue;
    const auto plan = plans_.published(snapshot_, profile);
    const auto* level = plan ? plan->find(enablement->spec().level()) : nullptr;
    if (!level) continue;
    const auto owner = level->per_tenant() ? snapshot_.find<v1::Tenant>(tenant) : nullptr;
    v1::StepIntent step;
    step.set_policy(policy_id(plan->profile->metadata().uid(), enablement->spec().level(),
                              owner ? owner->metadata().uid() : ""));
    step.set_kind(plan->kind);
    step.set_enablement(tenant + "/" + e);
    step.set_profile(profile);
    step.set_level(enablement->spec().level());
    ordered.emplace(std::pair(plan->profile->spec().order(), profile), std::move(step));
  }
  std::vector<v1::StepIntent> out;
  for (auto& [order, step] : ordered) out.push_back(std::move(step));
  return out;
}

}  // namespace penstock
