#include "compile/common_items.h"

namespace penstock {
namespace {

// Keys from `first` on, as long as `belongs` says so.
template <typename Map, typename Key, typename Belongs>
void erase_range(Map& map, const Key& first, Belongs&& belongs) {
  std::vector<Key> keys;
  map.each_from(first, [&](const Key& key, const auto&) {
    if (!belongs(key)) return false;
    keys.push_back(key);
    return true;
  });
  for (const auto& key : keys) map = map.erase(key);
}

}  // namespace

void CommonItems::forget(const Snapshot& before, const Snapshot& after,
                         std::span<const Edit> edits) {
  for (const auto& edit : edits) {
    const auto* kind = edit.key.kind;
    if (kind == &kind_of<v1::VirtualMachine>()) {
      forget_vm(before, edit.key);
      forget_vm(after, edit.key);
      forget_groups(edit.key.tenant);
    } else if (kind == &kind_of<v1::VirtualNetwork>()) {
      forget_network(before, edit.key);
      forget_network(after, edit.key);
      forget_tenant(edit.key.tenant);
    } else if (kind == &kind_of<v1::Host>()) {
      neighbors = {};
      neighborhoods = {};
    } else if (kind == &kind_of<v1::Tenant>()) {
      forget_tenant(edit.key.name);
    } else if (kind == &kind_of<v1::ServiceProfile>()) {
      forget_profile(edit.key.name);
    } else if (kind == &kind_of<v1::ServiceDefinition>()) {
      for (const auto* snapshot : {&before, &after})
        for (const auto& profile : snapshot->profiles_of_definition(edit.key.name))
          forget_profile(profile);
    }
  }
}

void CommonItems::forget_vm(const Snapshot& snapshot, const ObjectKey& key) {
  const auto vm = snapshot.find<v1::VirtualMachine>(key.tenant, key.name);
  if (!vm) return;
  for (const auto& nic : vm->spec().nics()) {
    neighbors = neighbors.erase(nic.port_id());
    neighborhoods = neighborhoods.erase(TenantNetwork(key.tenant, nic.network()));
  }
}

void CommonItems::forget_network(const Snapshot& snapshot, const ObjectKey& key) {
  neighborhoods = neighborhoods.erase(TenantNetwork(key.tenant, key.name));
  for (const auto& nic : snapshot.nics_of_network(key.tenant, key.name))
    neighbors = neighbors.erase(nic.port_id);
}

// By its uid in numbers, by its networks in rules.
void CommonItems::forget_tenant(const std::string& tenant) {
  forget_groups(tenant);
  std::vector<ItemRef> refs;
  policies.each([&](const ItemRef& ref, const ItemPtr&) {
    if (ref.type == ItemRef::Type::kPolicy && ref.c == tenant) refs.push_back(ref);
  });
  for (const auto& ref : refs) policies = policies.erase(ref);
}

void CommonItems::forget_groups(const std::string& tenant) {
  erase_range(policies, ItemRef::group(tenant, ""), [&](const ItemRef& ref) {
    return ref.type == ItemRef::Type::kGroup && ref.a == tenant;
  });
  erase_range(of_profile, std::pair(tenant, std::string()),
              [&](const auto& key) { return key.first == tenant; });
}

void CommonItems::forget_profile(const std::string& profile) {
  erase_range(policies, ItemRef::policy(profile, "", ""), [&](const ItemRef& ref) {
    return ref.type == ItemRef::Type::kPolicy && ref.a == profile;
  });
  std::vector<std::pair<std::string, std::string>> keys;
  of_profile.each([&](const auto& key, const Items&) {
    if (key.second == profile) keys.push_back(key);
  });
  for (const auto& key : keys) of_profile = of_profile.erase(key);
}

}  // namespace penstock
