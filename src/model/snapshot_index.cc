// What each kind of object contributes to the indexes.
#include <algorithm>

#include "model/snapshot_state.h"

namespace penstock {
namespace {

using Entrant = SnapshotState::IndexEntry;

void enter_nic(const Entrant& entry, const std::string& tenant, const v1::VirtualMachine& vm,
               const v1::Nic& nic) {
  const auto& name = vm.metadata().name();
  const auto port = be32(nic.port_id());
  entry(kPort, port + join_key(tenant, name, nic.name()));
  auto places = places_of(vm);
  if (places.empty()) places.emplace_back();
  for (const auto& host : places)
    entry(kNetNic, join_prefix(tenant, nic.network(), host) + port + join_key(name, nic.name()));
  const auto prefix = join_prefix(tenant, nic.network());
  if (auto mac = Mac::parse(nic.mac()))
    entry(kMac, prefix + std::string(mac->bytes.begin(), mac->bytes.end()) + port);
  for (const auto& text : nic.addresses())
    if (auto address = IpAddress::parse(text))
      entry(kAddress, prefix + address_bytes(*address) + port);
}

void enter_object(const Entrant& entry, const v1::VirtualMachine& vm) {
  const auto& tenant = vm.metadata().tenant();
  const auto& name = vm.metadata().name();
  for (const auto& nic : vm.spec().nics()) enter_nic(entry, tenant, vm, nic);
  for (const auto& [key, value] : vm.metadata().labels())
    entry(kLabel, join_key(tenant, key, value, name));
  for (const auto& host : places_of(vm)) {
    entry(kHostVm, join_key(host, tenant, name));
    entry(kTenantHost, join_key(tenant, host, name));
  }
  if (!vm.spec().owner().empty()) entry(kOwner, join_key(vm.spec().owner(), tenant, name));
}

void enter_object(const Entrant& entry, const v1::VmPool& pool) {
  const auto& tenant = pool.metadata().tenant();
  const auto& name = pool.metadata().name();
  for (const auto& vm : pool.spec().vms()) entry(kPoolNames, join_key(tenant, vm, name));
  if (pool.spec().has_selector()) entry(kPoolSelects, join_key(tenant, name));
}

void enter_object(const Entrant& entry, const v1::Enablement& enablement) {
  const auto& tenant = enablement.metadata().tenant();
  const auto& name = enablement.metadata().name();
  const auto& spec = enablement.spec();
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      entry(kOnVm, join_key(tenant, spec.vm(), name));
      break;
    case v1::EnablementSpec::kNic:
      entry(kOnNic, join_key(tenant, spec.nic().vm(), spec.nic().nic(), name));
      break;
    case v1::EnablementSpec::kPool:
      entry(kOnPool, join_key(tenant, spec.pool(), name));
      break;
    case v1::EnablementSpec::kNetwork:
      entry(kOnNetwork, join_key(tenant, spec.network(), name));
      break;
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  entry(kOfProfile, join_key(spec.profile(), tenant, name));
  entry(kTenantUses, join_key(tenant, spec.profile(), name));
}

void enter_object(const Entrant& entry, const v1::Token& token) {
  const auto& name = token.metadata().name();
  if (!token.spec().sha256().empty()) entry(kSha256, join_key(token.spec().sha256(), name));
  if (!token.spec().user().empty()) entry(kUserToken, join_key(token.spec().user(), name));
  if (!token.spec().host().empty()) entry(kHostToken, join_key(token.spec().host(), name));
}

void enter_object(const Entrant& entry, const v1::User& user) {
  for (const auto& group : user.spec().groups())
    entry(kGroupUser, join_key(group, user.metadata().name()));
}

void enter_object(const Entrant& entry, const v1::VirtualNetwork& network) {
  entry(kVni, be32(static_cast<std::uint32_t>(network.spec().vni())) +
                  join_key(network.metadata().tenant(), network.metadata().name()));
}

void enter_object(const Entrant& entry, const v1::Host& host) {
  if (!host.spec().cluster().empty())
    entry(kClusterHost, join_key(host.spec().cluster(), host.metadata().name()));
}

void enter_object(const Entrant& entry, const v1::ServiceProfile& profile) {
  const auto& name = profile.metadata().name();
  entry(kOfDefinition, join_key(profile.spec().definition(), name));
  if (!profile.spec().published()) return;
  const auto& availability = profile.spec().availability();
  const auto& tenants = availability.allow().tenants();
  if (availability.everyone() || tenants.empty()) return entry(kOffered, join_key("", name));
  for (const auto& tenant : tenants) entry(kOffered, join_key(tenant, name));
}

template <typename... Types>
void enter_any(const Entrant& entry, const Message& object) {
  const auto* type = object.GetDescriptor();
  (void)((type == Types::descriptor() &&
          (enter_object(entry, static_cast<const Types&>(object)), true)) ||
         ...);
}

}  // namespace

void SnapshotState::index_entries(const Message& object, const IndexEntry& entry) {
  enter_any<v1::VirtualMachine, v1::VmPool, v1::Enablement, v1::Token, v1::User, v1::VirtualNetwork,
            v1::Host, v1::ServiceProfile>(entry, object);
}

void SnapshotState::enter(const Message& object, bool present) {
  index_entries(object, [&](Table table, std::string key) {
    auto& set = index[table];
    set = present ? set.set(std::move(key), {}) : set.erase(key);
  });
}

std::string be32(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::uint32_t read_be32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string address_bytes(const IpAddress& address) {
  std::string out(1, static_cast<char>(address.family));
  out.append(address.bytes.begin(), address.bytes.end());
  return out;
}

std::vector<std::string> first_parts(const KeySet& set, std::string prefix) {
  std::vector<std::string> out;
  std::string from = prefix;
  for (bool more = true; more;) {
    more = false;
    set.each_from(from, [&](const std::string& key, const None&) {
      if (!key.starts_with(prefix)) return false;
      auto rest = std::string_view(key).substr(prefix.size());
      out.emplace_back(next_part(rest));
      more = true;
      return false;
    });
    if (more) from = prefix + out.back() + static_cast<char>(kSep + 1);
  }
  return out;
}

std::size_t count_prefix(const KeySet& set, const std::string& prefix) {
  // The prefix ends in kSep: the next greater string of the same length bounds everything below it.
  auto end = prefix;
  ++end.back();
  return set.rank(end) - set.rank(prefix);
}

bool has_prefix(const KeySet& set, const std::string& prefix) {
  bool found = false;
  scan(set, prefix, [&](std::string_view) {
    found = true;
    return false;
  });
  return found;
}

}  // namespace penstock
