#include "compile/dirty.h"

#include <algorithm>

#include <google/protobuf/util/message_differencer.h>

namespace penstock {
namespace {

using Names = std::vector<std::string>;

Names join(Names a, const Names& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::ranges::sort(a);
  a.erase(std::unique(a.begin(), a.end()), a.end());
  return a;
}

bool same(const Message& a, const Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

using VmPtr = std::shared_ptr<const v1::VirtualMachine>;
using NetworkPtr = std::shared_ptr<const v1::VirtualNetwork>;
using PoolPtr = std::shared_ptr<const v1::VmPool>;
using EnablementPtr = std::shared_ptr<const v1::Enablement>;
using HostPtr = std::shared_ptr<const v1::Host>;
using ProfilePtr = std::shared_ptr<const v1::ServiceProfile>;

class Marker {
 public:
  // `same_vms`: no VM and no pool is among the edits, so both ends have the same.
  Marker(View& before, View& after, bool same_vms)
      : before_(before), after_(after), same_vms_(same_vms) {}
  Dirty out;

  void edited(const ObjectKey& key) {
    const auto* type = key.kind->descriptor;
    if (type == v1::VirtualMachine::descriptor())
      both<v1::VirtualMachine>(key, &Marker::vm);
    else if (type == v1::Enablement::descriptor())
      both<v1::Enablement>(key, &Marker::enablement);
    else if (type == v1::VmPool::descriptor())
      both<v1::VmPool>(key, &Marker::pool);
    else if (type == v1::VirtualNetwork::descriptor())
      both<v1::VirtualNetwork>(key, &Marker::network);
    else if (type == v1::Host::descriptor())
      both<v1::Host>(key, &Marker::host);
    else if (type == v1::Tenant::descriptor())
      both<v1::Tenant>(key, &Marker::tenant);
    else if (type == v1::ServiceProfile::descriptor())
      profile(key.name, false);
    else if (type == v1::ServiceDefinition::descriptor())
      for (const auto& name :
           join(old().profiles_of_definition(key.name), now().profiles_of_definition(key.name)))
        profile(name, true);
  }

 private:
  View& before_;
  View& after_;
  const bool same_vms_;

  const Snapshot& old() const { return before_.snapshot(); }
  const Snapshot& now() const { return after_.snapshot(); }

  template <typename T, typename Handler>
  void both(const ObjectKey& key, Handler handler) {
    const auto o = old().find<T>(key.tenant, key.name);
    const auto n = now().find<T>(key.tenant, key.name);
    if (o || n) (this->*handler)(o, n);
  }

  void mark(const std::string& host, ItemRef ref) {
    if (!host.empty()) out[host].insert(std::move(ref));
  }
  void mark_all(const std::string& host) {
    for (auto* view : {&before_, &after_})
      for (auto& ref : view->refs(host)) mark(host, std::move(ref));
  }

  Names hosts_of_tenant(const std::string& tenant) const {
    return join(old().hosts_of_tenant(tenant), now().hosts_of_tenant(tenant));
  }
  Names hosts_of_network(const std::string& tenant, const std::string& network) const {
    return join(old().hosts_of_network(tenant, network), now().hosts_of_network(tenant, network));
  }

  // The ports of a VM, or the one NIC named.
  void mark_ports(const std::string& tenant, const std::string& name,
                  const std::string& nic_name = {}) {
    const auto n = now().find<v1::VirtualMachine>(tenant, name);
    const auto o = same_vms_ ? nullptr : old().find<v1::VirtualMachine>(tenant, name);
    for (const auto& vm : {n, n == o ? nullptr : o}) {
      if (!vm) continue;
      for (const auto& host : places_of(*vm))
        for (const auto& nic : vm->spec().nics())
          if (nic_name.empty() || nic.name() == nic_name)
            mark(host, ItemRef::port_of(nic.port_id()));
    }
  }

  void vm(const VmPtr& o, const VmPtr& n) {
    const auto& metadata = (o ? o : n)->metadata();
    const auto& tenant = metadata.tenant();
    const auto was = o ? places_of(*o) : Names(), is = n ? places_of(*n) : Names();
    std::set<std::string> networks;
    for (const auto& v : {o, n}) {
      if (!v) continue;
      for (const auto& nic : v->spec().nics()) networks.insert(nic.network());
      for (const auto& host : places_of(*v)) {
        mark(host, ItemRef::instance(tenant, metadata.name()));
        for (const auto& nic : v->spec().nics()) mark(host, ItemRef::port_of(nic.port_id()));
      }
    }
    const bool nics_changed = !o || !n || was != is || !same_nics(*o, *n);
    if (nics_changed || o->status().move().phase() != n->status().move().phase())
      for (const auto& network : networks) vm_in_network(o, n, tenant, network);
    for (const auto& host : join(was, is))
      if (old().tenant_on_host(tenant, host) != now().tenant_on_host(tenant, host))
        tenant_comes_or_goes(tenant, host);
    vm_in_groups(o, n, nics_changed);
  }

  static bool same_nics(const v1::VirtualMachine& a, const v1::VirtualMachine& b) {
    return std::ranges::equal(a.spec().nics(), b.spec().nics(),
                              [](const auto& x, const auto& y) { return same(x, y); });
  }

  void vm_in_network(const VmPtr& o, const VmPtr& n, const std::string& tenant,
                     const std::string& network) {
    const auto hosts = hosts_of_network(tenant, network);
    for (const auto& v : {o, n}) {
      if (!v) continue;
      for (const auto& nic : v->spec().nics())
        if (nic.network() == network)
          for (const auto& host : hosts) mark(host, ItemRef::neighbor(nic.port_id()));
      for (const auto& host : places_of(*v)) {
        if (old().network_on_host(tenant, network, host) ==
            now().network_on_host(tenant, network, host))
          continue;
        mark(host, ItemRef::network(tenant, network));
        for (const auto* snapshot : {&old(), &now()})
          for (const auto& nic : snapshot->nics_of_network(tenant, network))
            mark(host, ItemRef::neighbor(nic.port_id));
      }
    }
  }

  void tenant_comes_or_goes(const std::string& tenant, const std::string& host) {
    for (auto* view : {&before_, &after_}) {
      std::vector<ItemRef> refs;
      for (const auto& plan : view->plans_of(tenant)) view->policy_refs(*plan, {tenant}, refs);
      for (auto& ref : refs) mark(host, std::move(ref));
    }
  }

  void vm_in_groups(const VmPtr& o, const VmPtr& n, bool nics_changed) {
    const auto& tenant = (o ? o : n)->metadata().tenant();
    std::set<std::string> seen;
    for (auto* view : {&before_, &after_})
      for (const auto& plan : view->plans_of(tenant))
        for (const auto& level : plan->levels) {
          if (!level.plan) continue;
          for (const auto& [text, selector] : level.plan->groups()) {
            if (!seen.insert(text).second) continue;
            const bool was = o && matches(selector, o->metadata().labels());
            const bool is = n && matches(selector, n->metadata().labels());
            if (was == is && !(is && nics_changed)) continue;
            for (const auto& host : hosts_of_tenant(tenant))
              mark(host, ItemRef::group(tenant, text));
          }
        }
  }

  void enablement(const EnablementPtr& o, const EnablementPtr& n) {
    const auto& tenant = (o ? o : n)->metadata().tenant();
    if (o) mark_target(tenant, o->spec());
    if (n && !(o && same_target(o->spec(), n->spec()))) mark_target(tenant, n->spec());
    for (const auto& e : {o, n}) {
      if (!e) continue;
      const auto& profile = e->spec().profile();
      if (old().profile_enabled_in(profile, tenant) != now().profile_enabled_in(profile, tenant))
        mark_policies(profile, hosts_of_tenant(tenant));
    }
  }

  static bool same_target(const v1::EnablementSpec& a, const v1::EnablementSpec& b) {
    return a.target_case() == b.target_case() && a.vm() == b.vm() && a.pool() == b.pool() &&
           a.network() == b.network() && same(a.nic(), b.nic());
  }

  void mark_target(const std::string& tenant, const v1::EnablementSpec& spec) {
    switch (spec.target_case()) {
      case v1::EnablementSpec::kVm:
        mark_ports(tenant, spec.vm());
        break;
      case v1::EnablementSpec::kNic:
        mark_ports(tenant, spec.nic().vm(), spec.nic().nic());
        break;
      case v1::EnablementSpec::kPool:
        for (const auto& vm : members(tenant, spec.pool())) mark_ports(tenant, vm);
        break;
      case v1::EnablementSpec::kNetwork:
        for (const auto* snapshot : {&old(), &now()})
          for (const auto& host : snapshot->hosts_of_network(tenant, spec.network()))
            for (const auto& nic : snapshot->nics_of_network(tenant, spec.network(), host))
              mark(host, ItemRef::port_of(nic.port_id));
        break;
      case v1::EnablementSpec::TARGET_NOT_SET:
        break;
    }
  }

  Names members(const std::string& tenant, const std::string& pool) const {
    auto members = now().vms_of_pool(tenant, pool);
    return same_vms_ ? members : join(old().vms_of_pool(tenant, pool), members);
  }

  void pool(const PoolPtr& o, const PoolPtr& n) {
    const auto& tenant = (o ? o : n)->metadata().tenant();
    const auto& name = (o ? o : n)->metadata().name();
    if (old().enablements_on_pool(tenant, name).empty() &&
        now().enablements_on_pool(tenant, name).empty())
      return;
    const auto was = old().vms_of_pool(tenant, name), is = now().vms_of_pool(tenant, name);
    Names moved;
    std::ranges::set_symmetric_difference(was, is, std::back_inserter(moved));
    for (const auto& vm : moved) mark_ports(tenant, vm);
  }

  void network(const NetworkPtr& o, const NetworkPtr& n) {
    const auto& tenant = (o ? o : n)->metadata().tenant();
    const auto& name = (o ? o : n)->metadata().name();
    const auto hosts = hosts_of_network(tenant, name);
    const bool renumbered = !o || !n || o->spec().vni() != n->spec().vni() ||
                            o->spec().virtual_switch() != n->spec().virtual_switch();
    for (const auto& host : hosts) {
      if (renumbered)
        mark_all(host);
      else
        mark(host, ItemRef::network(tenant, name));
    }
    const bool readdressed = !o || !n ||
                             !std::ranges::equal(o->spec().subnets(), n->spec().subnets(), {},
                                                 &v1::Subnet::cidr, &v1::Subnet::cidr);
    if (!renumbered && !readdressed) return;
    for (auto* view : {&before_, &after_})
      for (const auto& plan : view->plans_of(tenant)) {
        // By number in groups, by subnets in rules.
        std::vector<ItemRef> refs;
        view->policy_refs(*plan, {tenant}, refs);
        for (const auto& host : hosts_of_tenant(tenant))
          for (const auto& ref : refs) mark(host, ref);
      }
  }

  void host(const HostPtr& o, const HostPtr& n) {
    const auto& name = (o ? o : n)->metadata().name();
    mark_all(name);
    const bool moved = !o || !n ||
                       !std::ranges::equal(o->spec().uplinks(), n->spec().uplinks(), same) ||
                       !std::ranges::equal(o->spec().switches(), n->spec().switches(), same);
    if (!moved) return;
    for (const auto* snapshot : {&old(), &now()})
      for (const auto& key : snapshot->vms_of_host(name)) {
        const auto vm = snapshot->find<v1::VirtualMachine>(key.tenant, key.name);
        for (const auto& nic : vm->spec().nics())
          for (const auto& other : hosts_of_network(key.tenant, nic.network()))
            mark(other, ItemRef::neighbor(nic.port_id()));
      }
  }

  void tenant(const std::shared_ptr<const v1::Tenant>& o,
              const std::shared_ptr<const v1::Tenant>& n) {
    if (o && n && o->metadata().uid() == n->metadata().uid()) return;
    for (const auto& host : hosts_of_tenant((o ? o : n)->metadata().name())) mark_all(host);
  }

  void mark_policies(const std::string& profile, const Names& hosts) {
    for (auto* view : {&before_, &after_}) {
      const auto plan = view->profiles().find(profile);
      if (!plan) continue;
      for (const auto& host : hosts) {
        std::vector<ItemRef> refs;
        view->policy_refs(*plan, join(old().tenants_of_host(host), now().tenants_of_host(host)),
                          refs);
        for (auto& ref : refs) mark(host, std::move(ref));
      }
    }
  }

  void profile(const std::string& name, bool definition_changed) {
    const auto o = old().find<v1::ServiceProfile>(name), n = now().find<v1::ServiceProfile>(name);
    if (!(o && o->spec().published()) && !(n && n->spec().published())) return;
    mark_policies(name, join(old().hosts_with_vms(), now().hosts_with_vms()));
    if (!definition_changed && o && n && same_steps(name, *o, *n)) return;
    for (const auto* snapshot : {&old(), &now()})
      for (const auto& key : snapshot->enablements_of_profile(name))
        mark_target(key.tenant, snapshot->find<v1::Enablement>(key.tenant, key.name)->spec());
  }

  // Whether the steps of ports come out the same: the levels with their limits and their being per
  // tenant, the order, the number, whether they observe.
  bool same_steps(const std::string& name, const v1::ServiceProfile& o,
                  const v1::ServiceProfile& n) {
    if (o.metadata().uid() != n.metadata().uid() || o.spec().order() != n.spec().order() ||
        o.spec().observe() != n.spec().observe())
      return false;
    const auto was = before_.profiles().find(name), is = after_.profiles().find(name);
    if (!was || !is) return false;
    return std::ranges::equal(was->levels, is->levels, [](const auto& a, const auto& b) {
      return a.level == b.level && !a.plan == !b.plan && same(a.limits, b.limits) &&
             (!a.plan || a.plan->per_tenant() == b.plan->per_tenant());
    });
  }
};

}  // namespace

Dirty dirty_items(View& before, View& after, std::span<const Edit> edits) {
  std::set<ObjectKey> keys;
  for (const auto& edit : edits)
    if (edit.key.kind) keys.insert(edit.key);
  const bool same_vms = std::ranges::none_of(keys, [](const ObjectKey& key) {
    return key.kind->descriptor == v1::VirtualMachine::descriptor() ||
           key.kind->descriptor == v1::VmPool::descriptor();
  });
  Marker marker(before, after, same_vms);
  for (const auto& key : keys) marker.edited(key);
  return std::move(marker.out);
}

}  // namespace penstock
