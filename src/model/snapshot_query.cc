// The questions the indexes answer.
#include <algorithm>
#include <set>

#include "model/snapshot_state.h"

namespace penstock {
namespace {

// port(4) vm nic, of a known tenant.
NicRef read_nic(std::string_view tenant, std::string_view rest) {
  NicRef ref{.tenant = std::string(tenant), .vm = {}, .nic = {}, .port_id = read_be32(rest)};
  rest.remove_prefix(4);
  ref.vm = next_part(rest);
  ref.nic = rest;
  return ref;
}

std::vector<std::string> rests(const KeySet& set, const std::string& prefix) {
  std::vector<std::string> out;
  scan(set, prefix, [&](std::string_view rest) { out.emplace_back(rest); });
  return out;
}

std::uint32_t first_port(const KeySet& set, const std::string& prefix) {
  std::uint32_t port = 0;
  scan(set, prefix, [&](std::string_view rest) {
    port = read_be32(rest);
    return false;
  });
  return port;
}

}  // namespace

std::optional<NicRef> Snapshot::nic_of_port(std::uint32_t port_id) const {
  std::optional<NicRef> found;
  scan(state_->index[kPort], be32(port_id), [&](std::string_view rest) {
    NicRef ref{.tenant = std::string(next_part(rest)), .vm = {}, .nic = {}, .port_id = port_id};
    ref.vm = next_part(rest);
    ref.nic = rest;
    found = std::move(ref);
    return false;
  });
  return found;
}

std::size_t Snapshot::nic_count(std::string_view tenant) const {
  return count_prefix(state_->index[kNetNic], join_prefix(tenant));
}

std::optional<std::string> Snapshot::network_of_vni(std::uint32_t vni) const {
  std::optional<std::string> found;
  scan(state_->index[kVni], be32(vni), [&](std::string_view rest) {
    const auto tenant = next_part(rest);
    found = std::string(tenant) + "/" + std::string(rest);
    return false;
  });
  return found;
}

std::vector<std::string> places_of(const v1::VirtualMachine& vm) {
  std::vector<std::string> out;
  if (host_of(vm).empty()) return out;
  out.push_back(host_of(vm));
  if (!target_of(vm).empty() && target_of(vm) != host_of(vm)) out.push_back(target_of(vm));
  return out;
}

std::vector<NicRef> Snapshot::nics_of_network(std::string_view tenant,
                                              std::string_view network) const {
  std::vector<NicRef> out;
  scan(state_->index[kNetNic], join_prefix(tenant, network), [&](std::string_view rest) {
    next_part(rest);
    out.push_back(read_nic(tenant, rest));
  });
  // By host, so that what moves comes twice.
  std::ranges::sort(out, {}, &NicRef::port_id);
  const auto twins = std::ranges::unique(out, {}, &NicRef::port_id);
  out.erase(twins.begin(), twins.end());
  return out;
}

std::vector<NicRef> Snapshot::nics_of_network(std::string_view tenant, std::string_view network,
                                              std::string_view host) const {
  std::vector<NicRef> out;
  scan(state_->index[kNetNic], join_prefix(tenant, network, host),
       [&](std::string_view rest) { out.push_back(read_nic(tenant, rest)); });
  return out;
}

bool Snapshot::network_on_host(std::string_view tenant, std::string_view network,
                               std::string_view host) const {
  return has_prefix(state_->index[kNetNic], join_prefix(tenant, network, host));
}

std::vector<std::string> Snapshot::hosts_of_network(std::string_view tenant,
                                                    std::string_view network) const {
  auto hosts = first_parts(state_->index[kNetNic], join_prefix(tenant, network));
  std::erase(hosts, "");
  return hosts;
}

std::uint32_t Snapshot::mac_user(std::string_view tenant, std::string_view network,
                                 const Mac& mac) const {
  return first_port(state_->index[kMac],
                    join_prefix(tenant, network) + std::string(mac.bytes.begin(), mac.bytes.end()));
}

std::uint32_t Snapshot::address_user(std::string_view tenant, std::string_view network,
                                     const IpAddress& address) const {
  return first_port(state_->index[kAddress], join_prefix(tenant, network) + address_bytes(address));
}

std::size_t Snapshot::addresses_used(std::string_view tenant, std::string_view network,
                                     const IpAddress& first, const IpAddress& last) const {
  const auto& set = state_->index[kAddress];
  const auto prefix = join_prefix(tenant, network);
  // Five bytes of 0xff sort behind any port number.
  return set.rank(prefix + address_bytes(last) + std::string(5, '\xff')) -
         set.rank(prefix + address_bytes(first));
}

std::vector<ObjectKey> Snapshot::vms_of_host(std::string_view host) const {
  std::vector<ObjectKey> out;
  scan(state_->index[kHostVm], join_prefix(host), [&](std::string_view rest) {
    const auto tenant = next_part(rest);
    out.push_back(ObjectKey::of<v1::VirtualMachine>(tenant, rest));
  });
  return out;
}
std::size_t Snapshot::vm_count_of_host(std::string_view host) const {
  return count_prefix(state_->index[kHostVm], join_prefix(host));
}
std::vector<std::string> Snapshot::tenants_of_host(std::string_view host) const {
  return first_parts(state_->index[kHostVm], join_prefix(host));
}
std::vector<std::string> Snapshot::hosts_of_tenant(std::string_view tenant) const {
  return first_parts(state_->index[kTenantHost], join_prefix(tenant));
}
bool Snapshot::tenant_on_host(std::string_view tenant, std::string_view host) const {
  return has_prefix(state_->index[kTenantHost], join_prefix(tenant, host));
}
std::vector<std::string> Snapshot::hosts_with_vms() const {
  return first_parts(state_->index[kHostVm], "");
}
std::vector<std::string> Snapshot::hosts_of_cluster(std::string_view cluster) const {
  return rests(state_->index[kClusterHost], join_prefix(cluster));
}

std::vector<std::string> Snapshot::enablements_on_vm(std::string_view tenant,
                                                     std::string_view vm) const {
  return rests(state_->index[kOnVm], join_prefix(tenant, vm));
}
std::vector<std::string> Snapshot::enablements_on_nic(std::string_view tenant, std::string_view vm,
                                                      std::string_view nic) const {
  return rests(state_->index[kOnNic], join_prefix(tenant, vm, nic));
}
std::vector<std::string> Snapshot::enablements_on_pool(std::string_view tenant,
                                                       std::string_view pool) const {
  return rests(state_->index[kOnPool], join_prefix(tenant, pool));
}
std::vector<std::string> Snapshot::enablements_on_network(std::string_view tenant,
                                                          std::string_view network) const {
  return rests(state_->index[kOnNetwork], join_prefix(tenant, network));
}
std::vector<ObjectKey> Snapshot::enablements_of_profile(std::string_view profile) const {
  std::vector<ObjectKey> out;
  scan(state_->index[kOfProfile], join_prefix(profile), [&](std::string_view rest) {
    const auto tenant = next_part(rest);
    out.push_back(ObjectKey::of<v1::Enablement>(tenant, rest));
  });
  return out;
}
std::vector<std::string> Snapshot::enablements_of_profile(std::string_view profile,
                                                          std::string_view tenant) const {
  return rests(state_->index[kOfProfile], join_prefix(profile, tenant));
}
std::vector<std::string> Snapshot::pools_enabled(std::string_view tenant) const {
  return first_parts(state_->index[kOnPool], join_prefix(tenant));
}
std::vector<std::string> Snapshot::pools_naming(std::string_view tenant,
                                                std::string_view vm) const {
  return rests(state_->index[kPoolNames], join_prefix(tenant, vm));
}
bool Snapshot::profile_enabled_in(std::string_view profile, std::string_view tenant) const {
  return has_prefix(state_->index[kOfProfile], join_prefix(profile, tenant));
}
std::vector<std::string> Snapshot::profiles_enabled_in(std::string_view tenant) const {
  return first_parts(state_->index[kTenantUses], join_prefix(tenant));
}
std::vector<std::string> Snapshot::profiles_offered_to(std::string_view tenant) const {
  auto out = rests(state_->index[kOffered], join_prefix(""));
  if (tenant.empty()) return out;
  const auto all = static_cast<std::ptrdiff_t>(out.size());
  auto own = rests(state_->index[kOffered], join_prefix(tenant));
  std::ranges::move(own, std::back_inserter(out));
  std::inplace_merge(out.begin(), out.begin() + all, out.end());
  return out;
}
std::vector<std::string> Snapshot::profiles_of_definition(std::string_view definition) const {
  return rests(state_->index[kOfDefinition], join_prefix(definition));
}

std::vector<std::string> Snapshot::vms_of_pool(std::string_view tenant,
                                               std::string_view name) const {
  const auto pool = find<v1::VmPool>(tenant, name);
  if (!pool) return {};
  std::set<std::string> members;
  for (const auto& vm : pool->spec().vms())
    if (find<v1::VirtualMachine>(tenant, vm)) members.insert(vm);
  if (pool->spec().has_selector())
    for (auto& vm : vms_matching(tenant, pool->spec().selector())) members.insert(std::move(vm));
  return {members.begin(), members.end()};
}

std::vector<std::string> Snapshot::pools_of_vm(std::string_view tenant, std::string_view vm) const {
  auto out = rests(state_->index[kPoolNames], join_prefix(tenant, vm));
  const auto object = find<v1::VirtualMachine>(tenant, vm);
  if (!object) return out;
  const auto named = out.size();
  scan(state_->index[kPoolSelects], join_prefix(tenant), [&](std::string_view name) {
    const auto pool = find<v1::VmPool>(tenant, name);
    if (pool && matches(pool->spec().selector(), object->metadata().labels()))
      out.emplace_back(name);
  });
  std::inplace_merge(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(named), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> Snapshot::vms_matching(std::string_view tenant,
                                                const v1::LabelSelector& selector) const {
  const auto& labels = state_->index[kLabel];
  std::string best;
  std::size_t best_count = SIZE_MAX;
  for (const auto& [key, value] : selector.match_labels()) {
    auto prefix = join_prefix(tenant, key, value);
    if (const auto n = count_prefix(labels, prefix);
        n < best_count || (n == best_count && prefix < best)) {
      best = std::move(prefix);
      best_count = n;
    }
  }
  std::vector<std::string> out;
  const auto take = [&](const v1::VirtualMachine& vm) {
    if (matches(selector, vm.metadata().labels())) out.push_back(vm.metadata().name());
  };
  if (best_count == SIZE_MAX) {
    each<v1::VirtualMachine>(tenant, take);
  } else {
    scan(labels, best, [&](std::string_view name) {
      if (const auto vm = find<v1::VirtualMachine>(tenant, name)) take(*vm);
    });
  }
  return out;
}

std::shared_ptr<const v1::Token> Snapshot::token_of_sha256(std::string_view sha256_hex) const {
  const auto names = rests(state_->index[kSha256], join_prefix(sha256_hex));
  return names.empty() ? nullptr : find<v1::Token>(names.front());
}
std::vector<std::string> Snapshot::users_of_group(std::string_view group) const {
  return rests(state_->index[kGroupUser], join_prefix(group));
}
std::vector<std::string> Snapshot::tokens_of_user(std::string_view user) const {
  return rests(state_->index[kUserToken], join_prefix(user));
}
std::vector<std::string> Snapshot::tokens_of_host(std::string_view host) const {
  return rests(state_->index[kHostToken], join_prefix(host));
}
std::vector<ObjectKey> Snapshot::vms_of_owner(std::string_view owner) const {
  std::vector<ObjectKey> out;
  scan(state_->index[kOwner], join_prefix(owner), [&](std::string_view rest) {
    const auto tenant = next_part(rest);
    out.push_back(ObjectKey::of<v1::VirtualMachine>(tenant, rest));
  });
  return out;
}

}  // namespace penstock
