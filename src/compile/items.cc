// The content of each item.
#include <algorithm>

#include <fmt/format.h>

#include "compile/view.h"
#include "model/ids.h"

namespace penstock {
namespace {

constexpr int kVxlanPort = 4789;  // IANA, RFC 7348 section 8

class TenantContext : public StepContext {
 public:
  TenantContext(const Snapshot& snapshot, std::string tenant, std::string uid)
      : snapshot_(snapshot), tenant_(std::move(tenant)), uid_(std::move(uid)) {}

  std::uint64_t group(const v1::LabelSelector& selector) const override {
    return group_id(uid_, selector_text(selector));
  }
  std::vector<std::string> subnets(std::string_view network) const override {
    std::vector<std::string> out;
    if (const auto found = snapshot_.find<v1::VirtualNetwork>(tenant_, network))
      for (const auto& subnet : found->spec().subnets()) out.push_back(subnet.cidr());
    return out;
  }

 private:
  const Snapshot& snapshot_;
  const std::string tenant_, uid_;
};

const v1::VirtualSwitch* pick(const std::vector<v1::VirtualSwitch>& switches,
                              const v1::VirtualNetwork& network) {
  if (switches.empty()) return nullptr;
  const auto it =
      std::ranges::find(switches, network.spec().virtual_switch(), &v1::VirtualSwitch::name);
  return it == switches.end() ? &switches.front() : &*it;
}

// The host behind which a VM is, as seen from `here`, and the one where it may be as well. While it
// changes over, packets go to where it will be: they would miss it at the old place, and what it
// still says there is welcome. Empty: nobody to tell apart.
std::pair<std::string, std::string> places_for(const v1::VirtualMachine& vm,
                                               const std::string& here) {
  const auto &from = host_of(vm), &to = target_of(vm);
  if (to.empty()) return {from == here ? "" : from, ""};
  if (from == here) return {to, ""};
  if (to == here) return {from, ""};
  if (vm.status().move().phase() == v1::VmMove::SWITCHING) return {to, from};
  return {from, to};
}

}  // namespace

std::vector<v1::VirtualSwitch> switches_of(const v1::Host& host) {
  std::vector<v1::VirtualSwitch> out(host.spec().switches().begin(), host.spec().switches().end());
  if (out.empty() && !host.spec().uplinks().empty()) {
    out.emplace_back().set_name("default");
    out.back().set_uplink(host.spec().uplinks(0).name());
  }
  for (auto& s : out)
    if (s.vxlan_port() == 0) s.set_vxlan_port(kVxlanPort);
  return out;
}

const v1::Uplink* uplink_of(const v1::Host& host, const v1::VirtualNetwork& network) {
  const auto switches = switches_of(host);
  const auto* chosen = pick(switches, network);
  if (!chosen) return nullptr;
  const auto it = std::ranges::find(host.spec().uplinks(), chosen->uplink(), &v1::Uplink::name);
  return it == host.spec().uplinks().end() ? nullptr : &*it;
}

const v1::Host* View::host(std::string_view name) {
  const auto it = hosts_.find(name);
  if (it != hosts_.end()) return it->second.get();
  return hosts_.emplace(name, snapshot_.find<v1::Host>(name)).first->second.get();
}

View::RunningNic View::find_nic(std::uint32_t port) {
  const auto ref = snapshot_.nic_of_port(port);
  if (!ref) return {};
  RunningNic out;
  out.vm = snapshot_.find<v1::VirtualMachine>(ref->tenant, ref->vm);
  if (host_of(*out.vm).empty()) return {};
  const auto& nics = out.vm->spec().nics();
  const auto nic = std::ranges::find(nics, ref->nic, &v1::Nic::name);
  std::pair key(ref->tenant, nic->network());
  auto it = networks_.find(key);
  if (it == networks_.end()) {
    auto network = snapshot_.find<v1::VirtualNetwork>(key.first, key.second);
    it = networks_.emplace(std::move(key), std::move(network)).first;
  }
  out.network = it->second.get();
  if (out.network) out.nic = &*nic;
  return out;
}

ItemPtr View::item(std::string_view host_name, const ItemRef& ref) {
  const auto* host = this->host(host_name);
  if (!host) return {};
  switch (ref.type) {
    case ItemRef::Type::kSwitch:
      return switch_item(*host, ref.a);
    case ItemRef::Type::kNetwork:
      return network_item(*host, ref.a, ref.b);
    case ItemRef::Type::kGroup:
      return group_item(*host, ref);
    case ItemRef::Type::kPolicy:
      return policy_item(*host, ref);
    case ItemRef::Type::kInstance:
      return instance_item(*host, ref.a, ref.b);
    case ItemRef::Type::kPort:
      return port_item(*host, ref.port);
    case ItemRef::Type::kNeighbor:
      return neighbor_item(*host, ref.port);
  }
  return {};
}

ItemPtr View::switch_item(const v1::Host& host, const std::string& name) const {
  for (const auto& s : switches_of(host)) {
    if (s.name() != name) continue;
    v1::IntentItem item;
    item.set_key("10/switch/" + name);
    auto& out = *item.mutable_switch_();
    out.set_name(name);
    out.set_vxlan_port(s.vxlan_port());
    for (const auto& uplink : host.spec().uplinks()) {
      if (uplink.name() != s.uplink()) continue;
      out.set_device(uplink.device());
      out.set_local_vtep(uplink.address());
      out.set_underlay_mtu(uplink.mtu());
    }
    return make_item(std::move(item));
  }
  return {};
}

ItemPtr View::network_item(const v1::Host& host, const std::string& tenant,
                           const std::string& name) const {
  const auto network = snapshot_.find<v1::VirtualNetwork>(tenant, name);
  if (!network || !snapshot_.network_on_host(tenant, name, host.metadata().name())) return {};
  const auto& spec = network->spec();
  v1::IntentItem item;
  item.set_key(fmt::format("20/net/{}", spec.vni()));
  auto& out = *item.mutable_network();
  out.set_vni(static_cast<std::uint32_t>(spec.vni()));
  out.set_tenant(tenant);
  out.set_name(name);
  out.set_mtu(spec.mtu() ? spec.mtu() : network->status().mtu());
  // A switch that the host does not have is sent by its name: the host says so on the network.
  const auto switches = switches_of(host);
  out.set_virtual_switch(!spec.virtual_switch().empty() ? spec.virtual_switch()
                         : switches.empty()             ? ""
                                                        : switches.front().name());
  for (const auto& subnet : spec.subnets()) {
    auto& s = *out.add_subnets();
    s.set_cidr(subnet.cidr());
    s.set_gateway(subnet.gateway());
    *s.mutable_dns() = subnet.dns();
  }
  return make_item(std::move(item));
}

ItemPtr View::group_item(const v1::Host& host, const ItemRef& ref) {
  const bool used = std::ranges::any_of(
      profiles_.naming(ref.b), [&](const auto& plan) { return policy_needed(host, *plan, ref.a); });
  return used ? shared_group(ref) : nullptr;
}

ItemPtr View::shared_group(const ItemRef& ref) {
  if (const auto* known = common_.policies.find(ref)) return *known;
  auto item = make_group(ref);
  common_.policies = common_.policies.set(ref, item);
  return item;
}

ItemPtr View::make_group(const ItemRef& ref) const {
  const auto tenant = snapshot_.find<v1::Tenant>(ref.a);
  const auto id = group_id(tenant ? tenant->metadata().uid() : "", ref.b);
  v1::IntentItem item;
  item.set_key(fmt::format("30/group/{}", id));
  auto& group = *item.mutable_group();
  group.set_id(id);
  group.set_text(fmt::format("{}: {}", ref.a, ref.b.empty() ? "all VMs" : ref.b));
  std::vector<std::pair<std::uint32_t, std::string>> members;
  // Stopped VMs too: they keep their addresses, and one that starts is a member before its first
  // packet.
  for (const auto& name : snapshot_.vms_matching(ref.a, *profiles_.selector(ref.b))) {
    const auto vm = snapshot_.find<v1::VirtualMachine>(ref.a, name);
    for (const auto& nic : vm->spec().nics()) {
      const auto network = snapshot_.find<v1::VirtualNetwork>(ref.a, nic.network());
      if (!network) continue;
      for (const auto& address : nic.addresses())
        members.emplace_back(static_cast<std::uint32_t>(network->spec().vni()), address);
    }
  }
  std::ranges::sort(members);
  members.erase(std::unique(members.begin(), members.end()), members.end());
  for (auto& [vni, address] : members) {
    auto& member = *group.add_members();
    member.set_vni(vni);
    member.set_address(std::move(address));
  }
  return make_item(std::move(item));
}

ItemPtr View::policy_item(const v1::Host& host, const ItemRef& ref) {
  const auto plan = profiles_.find(ref.a);
  if (!plan || !policy_needed(host, *plan, ref.c)) return nullptr;
  return shared_policy(*plan, ref);
}

// nullptr: the level has no policy for this tenant, or none that is the same for all.
ItemPtr View::shared_policy(const ProfilePlan& plan, const ItemRef& ref) {
  const auto* level = plan.find(ref.b);
  if (!level || level->per_tenant() == ref.c.empty()) return nullptr;
  if (const auto* known = common_.policies.find(ref)) return *known;
  auto item = make_policy(plan, ref);
  common_.policies = common_.policies.set(ref, item);
  return item;
}

ItemPtr View::make_policy(const ProfilePlan& plan, const ItemRef& ref) const {
  const auto tenant = snapshot_.find<v1::Tenant>(ref.c);
  const auto uid = tenant ? tenant->metadata().uid() : std::string();
  v1::IntentItem item;
  const auto id = policy_id(plan.profile->metadata().uid(), ref.b, uid);
  item.set_key(fmt::format("40/policy/{}", id));
  auto& policy = *item.mutable_policy();
  policy.set_id(id);
  policy.set_profile(ref.a);
  policy.set_level(ref.b);
  policy.set_tenant(ref.c);
  policy.set_definition_version(plan.definition->spec().version());
  plan.find(ref.b)->compile(TenantContext(snapshot_, ref.c, uid), policy);
  return make_item(std::move(item));
}

ItemPtr View::instance_item(const v1::Host& host, const std::string& tenant,
                            const std::string& name) const {
  const auto vm = snapshot_.find<v1::VirtualMachine>(tenant, name);
  if (!vm || host_of(*vm).empty() || !has_place_on(*vm, host.metadata().name())) return {};
  v1::IntentItem item;
  item.set_key(fmt::format("50/vm/{}/{}", tenant, name));
  auto& out = *item.mutable_instance();
  out.set_tenant(tenant);
  out.set_name(name);
  out.set_driver(vm->spec().driver());
  out.set_running(true);
  out.set_arriving(host_of(*vm) != host.metadata().name());
  for (const auto& nic : vm->spec().nics()) out.add_ports(nic.port_id());
  return make_item(std::move(item));
}

ItemPtr View::port_item(const v1::Host& host, std::uint32_t id) {
  const auto found = find_nic(id);
  if (!found.nic || !has_place_on(*found.vm, host.metadata().name())) return {};
  v1::IntentItem item;
  item.set_key(fmt::format("60/port/{}", id));
  auto& port = *item.mutable_port();
  port.set_id(id);
  port.set_tenant(found.vm->metadata().tenant());
  port.set_vm(found.vm->metadata().name());
  port.set_nic(found.nic->name());
  port.set_vni(static_cast<std::uint32_t>(found.network->spec().vni()));
  port.set_mac(found.nic->mac());
  *port.mutable_addresses() = found.nic->addresses();
  port.set_dhcp(found.nic->address_mode() == v1::Nic::DHCP);
  for (auto& step : steps_of(*found.vm, *found.nic)) *port.add_steps() = std::move(step);
  return make_item(std::move(item));
}

ItemPtr View::neighbor_item(const v1::Host& host, std::uint32_t id) {
  const auto found = find_nic(id);
  if (!found.nic) return nullptr;
  const auto& here = host.metadata().name();
  const auto& tenant = found.vm->metadata().tenant();
  if (!snapshot_.network_on_host(tenant, found.nic->network(), here)) return nullptr;
  if (!target_of(*found.vm).empty()) return make_neighbor(found, here);
  return host_of(*found.vm) == here ? nullptr : shared_neighbor(found);
}

ItemPtr View::shared_neighbor(const RunningNic& found) {
  const auto id = found.nic->port_id();
  if (const auto* known = common_.neighbors.find(id)) return *known;
  auto item = make_neighbor(found, "");
  common_.neighbors = common_.neighbors.set(id, item);
  return item;
}

// As seen from `here`: where its packets go, and where it may speak from too. The two hosts of a VM
// that moves have it as a port and know the other one from here. nullptr: there is no uplink.
ItemPtr View::make_neighbor(const RunningNic& found, const std::string& here) const {
  const auto [place, other] = places_for(*found.vm, here);
  const auto vtep_of = [&](const std::string& name) -> std::string {
    const auto there = name.empty() ? nullptr : snapshot_.find<v1::Host>(name);
    const auto* uplink = there ? uplink_of(*there, *found.network) : nullptr;
    return uplink ? uplink->address() : "";
  };
  const auto vtep = vtep_of(place);
  if (vtep.empty()) return nullptr;
  const auto id = found.nic->port_id();
  const auto vni = static_cast<std::uint32_t>(found.network->spec().vni());
  v1::IntentItem item;
  item.set_key(fmt::format("{}{}", neighbor_prefix(vni), id));
  auto& out = *item.mutable_neighbor();
  out.set_port_id(id);
  out.set_vni(vni);
  out.set_mac(found.nic->mac());
  *out.mutable_addresses() = found.nic->addresses();
  out.set_vtep(vtep);
  out.set_also_vtep(vtep_of(other));
  return make_item(std::move(item));
}

std::string neighbor_prefix(std::uint32_t vni) {
  return fmt::format("70/nbr/{}/", vni);
}

}  // namespace penstock
