// Which items a host has, and the steps of a port.
#include "compile/view.h"

#include <algorithm>
#include <set>
#include <span>

#include "model/approval.h"
#include "model/availability.h"
#include "model/ids.h"

namespace penstock {

View::View(Snapshot snapshot, PlanCache& plans)
    : snapshot_(std::move(snapshot)), plans_(plans), profiles_(snapshot_, plans_) {}

View::View(const View& before, Snapshot after, std::span<const Edit> edits)
    : snapshot_(std::move(after)),
      plans_(before.plans_),
      profiles_(before.profiles_.with(snapshot_, plans_, edits)),
      common_(before.common_) {
  common_.forget(before.snapshot_, snapshot_, edits);
}

const std::vector<PlanPtr>& View::plans_of(const std::string& tenant) {
  const auto it = plans_of_.find(tenant);
  if (it != plans_of_.end()) return it->second;
  auto& out = plans_of_[tenant];
  // Whoever has a profile on keeps it, also when it is not available any more.
  const auto offered = snapshot_.profiles_offered_to(tenant),
             used = snapshot_.profiles_enabled_in(tenant);
  std::vector<std::string> names;
  std::ranges::set_union(offered, used, std::back_inserter(names));
  for (const auto& name : names)
    if (auto plan = profiles_.find(name)) out.push_back(std::move(plan));
  return out;
}

const std::vector<std::string>& View::tenants_of(std::string_view host) {
  const auto it = tenants_of_.find(host);
  if (it != tenants_of_.end()) return it->second;
  return tenants_of_.emplace(host, snapshot_.tenants_of_host(host)).first->second;
}

// Whoever has it enabled keeps it, also when availability has been narrowed since.
bool View::needed_by(const v1::Host& host, const ProfilePlan& plan, std::string_view tenant) const {
  return may_be_available(*plan.profile, tenant, host) ||
         snapshot_.profile_enabled_in(plan.profile->metadata().name(), tenant);
}

bool View::policy_needed(const v1::Host& host, const ProfilePlan& plan, std::string_view tenant) {
  const auto& tenants = tenants_of(host.metadata().name());
  if (!tenant.empty())
    return std::ranges::binary_search(tenants, tenant) && needed_by(host, plan, tenant);
  return std::ranges::any_of(tenants, [&](const auto& t) { return needed_by(host, plan, t); });
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

std::vector<ItemRef> View::own_refs(const v1::Host& host, std::set<TenantNetwork>& networks) const {
  std::vector<ItemRef> out;
  for (const auto& s : switches_of(host)) out.push_back(ItemRef::virtual_switch(s.name()));
  for (const auto& key : snapshot_.vms_of_host(host.metadata().name())) {
    const auto vm = snapshot_.find<v1::VirtualMachine>(key.tenant, key.name);
    out.push_back(ItemRef::instance(key.tenant, key.name));
    for (const auto& nic : vm->spec().nics()) {
      out.push_back(ItemRef::port_of(nic.port_id()));
      networks.emplace(key.tenant, nic.network());
    }
  }
  for (const auto& [tenant, network] : networks) out.push_back(ItemRef::network(tenant, network));
  return out;
}

std::vector<ItemRef> View::refs(std::string_view host_name) {
  const auto* host = this->host(host_name);
  if (!host) return {};
  std::set<TenantNetwork> networks;
  auto out = own_refs(*host, networks);
  for (const auto& [tenant, network] : networks)
    for (const auto& other : snapshot_.hosts_of_network(tenant, network))
      if (other != host_name)  // with this host's own that move: they are on two
        for (const auto& nic : snapshot_.nics_of_network(tenant, network, other))
          out.push_back(ItemRef::neighbor(nic.port_id));
  for (const auto& tenant : tenants_of(host_name))
    for (const auto& plan : plans_of(tenant)) policy_refs(*plan, {tenant}, out);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<ItemPtr> View::list(std::string_view host_name) {
  const auto* host = this->host(host_name);
  if (!host) return {};
  std::vector<ItemPtr> out;
  std::set<TenantNetwork> networks;
  for (const auto& ref : own_refs(*host, networks))
    if (auto item = this->item(host_name, ref)) out.push_back(std::move(item));

  std::set<const ProfilePlan*> once;  // whose policies for all tenants are in
  const auto take = [&](const CommonItems::Items& items) {
    out.insert(out.end(), items->begin(), items->end());
  };
  for (const auto& tenant : tenants_of(host_name))
    for (const auto& plan : plans_of(tenant)) {
      if (!needed_by(*host, *plan, tenant)) continue;
      take(policies_of(*plan, tenant));
      if (once.insert(plan.get()).second) take(policies_of(*plan, ""));
    }
  // Profiles of a tenant may share groups.
  std::ranges::sort(out, {}, [](const ItemPtr& item) -> const std::string& { return item->key; });
  out.erase(std::unique(out.begin(), out.end()), out.end());

  // Their keys are the last ones.
  std::vector<std::shared_ptr<const Neighborhood>> neighborhoods;
  for (const auto& network : networks) neighborhoods.push_back(neighborhood(network));
  std::ranges::sort(neighborhoods, {},
                    [](const auto& one) -> const std::string& { return one->key; });
  for (const auto& one : neighborhoods)
    for (const auto& member : one->members) {
      if (member.moves) {
        if (auto item = neighbor_item(*host, member.port)) out.push_back(std::move(item));
      } else if (member.host != host_name) {
        out.push_back(member.item);
      }
    }
  return out;
}

std::shared_ptr<const Neighborhood> View::neighborhood(const TenantNetwork& network) {
  if (const auto* known = common_.neighborhoods.find(network)) return *known;
  auto out = std::make_shared<Neighborhood>();
  if (const auto object = snapshot_.find<v1::VirtualNetwork>(network.first, network.second)) {
    out->key = neighbor_prefix(static_cast<std::uint32_t>(object->spec().vni()));
    for (const auto& ref : snapshot_.nics_of_network(network.first, network.second)) {
      const auto nic = find_nic(ref.port_id);
      if (auto item = nic.nic ? shared_neighbor(nic) : nullptr)
        out->members.push_back(
            {host_of(*nic.vm), !target_of(*nic.vm).empty(), ref.port_id, std::move(item)});
    }
    std::ranges::sort(out->members, {},
                      [](const auto& member) -> const std::string& { return member.item->key; });
  }
  common_.neighborhoods = common_.neighborhoods.set(network, out);
  return out;
}

CommonItems::Items View::policies_of(const ProfilePlan& plan, const std::string& tenant) {
  const std::pair key(tenant, plan.profile->metadata().name());
  if (const auto* known = common_.of_profile.find(key)) return *known;
  auto out = std::make_shared<std::vector<ItemPtr>>();
  std::vector<ItemRef> refs;
  policy_refs(plan, tenant.empty() ? std::vector<std::string>() : std::vector{tenant}, refs);
  for (const auto& ref : refs) {
    if (ref.type == ItemRef::Type::kGroup)
      out->push_back(shared_group(ref));
    else if (ref.c == tenant)
      if (auto item = shared_policy(plan, ref)) out->push_back(std::move(item));
  }
  common_.of_profile = common_.of_profile.set(key, out);
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

// The first enablement of a profile wins; one that is mandatory before all that are not, wherever
// it is from.
std::vector<v1::StepIntent> View::make_steps(const std::string& tenant,
                                             const std::vector<std::string>& enablements) {
  std::map<std::pair<int, std::string>, v1::StepIntent> ordered;
  std::set<std::string> seen;
  std::vector<std::shared_ptr<const v1::Enablement>> found;
  for (const auto& name : enablements)
    if (auto enablement = snapshot_.find<v1::Enablement>(tenant, name); in_force(*enablement))
      found.push_back(std::move(enablement));
  std::ranges::stable_partition(found, [](const auto& e) { return e->spec().mandatory(); });
  for (const auto& enablement : found) {
    const auto& e = enablement->metadata().name();
    const auto& profile = enablement->spec().profile();
    if (!seen.insert(profile).second) continue;
    const auto plan = profiles_.find(profile);
    const auto* level = plan ? plan->level(enablement->spec().level()) : nullptr;
    if (!level || !level->plan) continue;
    const auto owner = level->plan->per_tenant() ? snapshot_.find<v1::Tenant>(tenant) : nullptr;
    v1::StepIntent step;
    step.set_policy(policy_id(plan->profile->metadata().uid(), enablement->spec().level(),
                              owner ? owner->metadata().uid() : ""));
    step.set_kind(plan->kind);
    step.set_enablement(tenant + "/" + e);
    step.set_profile(profile);
    step.set_level(enablement->spec().level());
    step.set_observe(enablement->spec().observe() || plan->profile->spec().observe());
    if (level->limits.ByteSizeLong() > 0) *step.mutable_limits() = level->limits;
    ordered.emplace(std::pair(plan->profile->spec().order(), profile), std::move(step));
  }
  std::vector<v1::StepIntent> out;
  for (auto& [order, step] : ordered) out.push_back(std::move(step));
  return out;
}

}  // namespace penstock
