#include <algorithm>

#include <fmt/format.h>

#include "compile/dirty.h"
#include "compile/intent.h"
#include "compile/plans.h"
#include "compile/selector_numbers.h"
#include "compile/steps/filter/filter.h"
#include "compile/view.h"
#include "model/approval.h"
#include "model/availability.h"

namespace penstock {

StepKinds standard_step_kinds() {
  StepKinds kinds;
  kinds.add(make_filter_step_kind());
  return kinds;
}

// What is kept between calls: plans, and the newest snapshot's view with the policies compiled for
// it.
class CompilerMemo {
 public:
  explicit CompilerMemo(const StepKinds& kinds) : plans(kinds) {}

  View& view(const Snapshot& snapshot) {
    for (const auto* known : {&view_, &other_})
      if (*known && (*known)->snapshot().same_as(snapshot)) return **known;
    // An earlier or a proposed state: the newest one's view stays.
    auto& slot = view_ ? other_ : view_;
    slot = std::make_unique<View>(snapshot, plans);
    return *slot;
  }
  // The views of both ends of a change; the newer one is kept.
  std::pair<std::unique_ptr<View>, View*> step(const Snapshot& before, const Snapshot& after,
                                               std::span<const Edit> edits) {
    auto old = view_ && view_->snapshot().same_as(before) ? std::move(view_)
                                                          : std::make_unique<View>(before, plans);
    other_.reset();
    view_ = std::make_unique<View>(*old, after, edits);
    return {std::move(old), view_.get()};
  }

  PlanCache plans;
  SelectorNumbers numbers{plans};

 private:
  std::unique_ptr<View> view_;   // of the newest snapshot
  std::unique_ptr<View> other_;  // of whatever else was asked for last
};

Compiler::Compiler(const StepKinds& kinds) : memo_(std::make_unique<CompilerMemo>(kinds)) {}
Compiler::~Compiler() = default;

HostIntent Compiler::compile(const Snapshot& snapshot, std::string_view host) {
  HostIntent out;
  for (auto& item : list(snapshot, host)) out.items.emplace_hint(out.items.end(), item->key, item);
  return out;
}

std::vector<ItemPtr> Compiler::list(const Snapshot& snapshot, std::string_view host) {
  return memo_->view(snapshot).list(host);
}

Status Compiler::check_selectors(const Snapshot& after, const ObjectKey& edited) {
  if (edited.kind != &kind_of<v1::ServiceProfile>() &&
      edited.kind != &kind_of<v1::ServiceDefinition>())
    return {};
  return memo_->numbers.check(after, edited);
}

namespace {

Changes differences(View& old, View& now, std::span<const Edit> edits) {
  Changes out;
  for (const auto& [host, refs] : dirty_items(old, now, edits)) {
    HostChange change;
    for (const auto& ref : refs) {
      const auto was = old.item(host, ref), is = now.item(host, ref);
      if (was == is || (was && is && was->bytes == is->bytes)) continue;
      if (was) {
        change.difference.remove(was->digest);
        if (!is || was->key != is->key) change.remove.insert(was->key);
      }
      if (is) {
        change.difference.add(is->digest);
        change.put.emplace(is->key, is);
      }
    }
    // A key may pass from one object to another: a VNI to a new network.
    for (const auto& [key, item] : change.put) change.remove.erase(key);
    if (!change.empty()) out.emplace(host, std::move(change));
  }
  return out;
}

}  // namespace

Changes Compiler::changes(const Snapshot& before, const Snapshot& after,
                          std::span<const Edit> edits) {
  auto [old, now] = memo_->step(before, after, edits);
  return differences(*old, *now, edits);
}

// The view of what is true stays the one that is kept.
Changes Compiler::what_if(const Snapshot& before, const Snapshot& after,
                          std::span<const Edit> edits) {
  auto& now = memo_->view(before);
  View then(now, after, edits);
  return differences(now, then, edits);
}

namespace {

using ItemsByHost = std::map<std::string, std::vector<std::string>>;

// Puts the keys of those refs that exist in.
class Collector {
 public:
  Collector(View& view, ItemsByHost& out) : view_(view), out_(out) {}

  void add(const std::string& host, const ItemRef& ref) {
    if (host.empty()) return;
    if (const auto item = view_.item(host, ref)) out_[host].push_back(item->key);
  }
  void ports(const std::string& tenant, const std::string& name, const std::string& nic_name = {}) {
    const auto vm = view_.snapshot().find<v1::VirtualMachine>(tenant, name);
    if (!vm) return;
    for (const auto& host : places_of(*vm))
      for (const auto& nic : vm->spec().nics())
        if (nic_name.empty() || nic.name() == nic_name) add(host, ItemRef::port_of(nic.port_id()));
  }
  void network_ports(const std::string& tenant, const std::string& network) {
    for (const auto& host : view_.snapshot().hosts_of_network(tenant, network))
      for (const auto& nic : view_.snapshot().nics_of_network(tenant, network, host))
        add(host, ItemRef::port_of(nic.port_id));
  }
  void target(const v1::Enablement& e) {
    const auto& tenant = e.metadata().tenant();
    switch (e.spec().target_case()) {
      case v1::EnablementSpec::kVm:
        return ports(tenant, e.spec().vm());
      case v1::EnablementSpec::kNic:
        return ports(tenant, e.spec().nic().vm(), e.spec().nic().nic());
      case v1::EnablementSpec::kPool:
        return pool(tenant, e.spec().pool());
      case v1::EnablementSpec::kNetwork:
        return network_ports(tenant, e.spec().network());
      case v1::EnablementSpec::TARGET_NOT_SET:
        return;
    }
  }
  void pool(const std::string& tenant, const std::string& name) {
    for (const auto& vm : view_.snapshot().vms_of_pool(tenant, name)) ports(tenant, vm);
  }
  void profile(const std::string& name) {
    const auto plan = view_.profiles().find(name);
    if (!plan) return;
    for (const auto& host : view_.snapshot().hosts_with_vms()) {
      std::vector<ItemRef> refs;
      view_.policy_refs(*plan, view_.snapshot().tenants_of_host(host), refs);
      for (const auto& ref : refs) add(host, ref);
    }
  }

 private:
  View& view_;
  ItemsByHost& out_;
};

}  // namespace

ItemsByHost Compiler::items_of(const Snapshot& snapshot, const ObjectKey& key) {
  ItemsByHost out;
  auto& view = memo_->view(snapshot);
  Collector collect(view, out);
  const auto* type = key.kind->descriptor;
  if (type == v1::VirtualMachine::descriptor()) {
    if (const auto vm = snapshot.find<v1::VirtualMachine>(key.tenant, key.name))
      for (const auto& host : places_of(*vm))
        collect.add(host, ItemRef::instance(key.tenant, key.name));
    collect.ports(key.tenant, key.name);
  } else if (type == v1::Enablement::descriptor()) {
    if (const auto e = snapshot.find<v1::Enablement>(key.tenant, key.name); e && in_force(*e))
      collect.target(*e);
  } else if (type == v1::VmPool::descriptor()) {
    collect.pool(key.tenant, key.name);
  } else if (type == v1::VirtualNetwork::descriptor()) {
    for (const auto& host : snapshot.hosts_of_network(key.tenant, key.name))
      collect.add(host, ItemRef::network(key.tenant, key.name));
  } else if (type == v1::ServiceProfile::descriptor()) {
    collect.profile(key.name);
  } else if (type == v1::ServiceDefinition::descriptor()) {
    for (const auto& profile : snapshot.profiles_of_definition(key.name)) collect.profile(profile);
  } else if (type == v1::Host::descriptor()) {
    for (const auto& ref : view.refs(key.name)) collect.add(key.name, ref);
  }
  for (auto& [host, keys] : out) {
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  }
  return out;
}

std::vector<std::string> Compiler::items_of(const Snapshot& snapshot, const ObjectKey& key,
                                            std::string_view host) {
  auto all = items_of(snapshot, key);
  const auto it = all.find(std::string(host));
  return it == all.end() ? std::vector<std::string>() : std::move(it->second);
}

std::vector<v1::StepIntent> Compiler::steps_of(const Snapshot& snapshot,
                                               const v1::VirtualMachine& vm, const v1::Nic& nic) {
  return memo_->view(snapshot).steps_of(vm, nic);
}

std::string Compiler::covers_by(const v1::Enablement& e) {
  switch (e.spec().target_case()) {
    case v1::EnablementSpec::kVm:
      return "on the VM";
    case v1::EnablementSpec::kNic:
      return "on NIC " + e.spec().nic().nic();
    case v1::EnablementSpec::kPool:
      return "through pool " + e.spec().pool();
    case v1::EnablementSpec::kNetwork:
      return "through network " + e.spec().network();
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  return "on nothing";
}

Result<std::vector<std::string>> Compiler::explain_level(const Snapshot& snapshot,
                                                         std::string_view profile,
                                                         std::string_view level) {
  const auto object = snapshot.find<v1::ServiceProfile>(profile);
  if (!object) return fail(Code::kNotFound, fmt::format("there is no profile \"{}\"", profile));
  const auto plan = memo_->plans.published(snapshot, object);
  if (!plan)
    return fail(Code::kFailedPrecondition, fmt::format("the profile {} is not published", profile));
  const auto* found = plan->find(level);
  if (!found)
    return fail(Code::kNotFound, fmt::format("the profile {} has no level \"{}\"", profile, level));
  return found->explain();
}

}  // namespace penstock
