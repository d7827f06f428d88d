// Items that many hosts have in common, made once and kept as long as nothing they are made of
// changes. Copies are free, as of snapshots: each view has its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/persistent_map.h"
#include "compile/intent.h"
#include "compile/item_ref.h"

namespace penstock {

// The running NICs of a network as neighbours on other hosts see them.
struct Neighborhood {
  struct Member {
    std::string host;
    bool moves = false;  // its hosts and the others see it in different places
    std::uint32_t port = 0;
    ItemPtr item;
  };
  std::string key;              // prefix of its items' keys
  std::vector<Member> members;  // sorted by the items' keys
};

struct CommonItems {
  using TenantNetwork = std::pair<std::string, std::string>;
  using Items = std::shared_ptr<const std::vector<ItemPtr>>;

  PersistentMap<ItemRef, ItemPtr> policies;  // and groups
  // What a host with VMs of a tenant has of a profile: its policies and groups for that tenant;
  // tenant "": those that are the same for all. By tenant and profile.
  PersistentMap<std::pair<std::string, std::string>, Items> of_profile;
  PersistentMap<std::uint32_t, ItemPtr> neighbors;  // by port
  PersistentMap<TenantNetwork, std::shared_ptr<const Neighborhood>> neighborhoods;

  // Lets go of everything that the edits between the snapshots can have changed.
  void forget(const Snapshot& before, const Snapshot& after, std::span<const Edit>);

 private:
  void forget_vm(const Snapshot&, const ObjectKey&);
  void forget_network(const Snapshot&, const ObjectKey&);
  void forget_tenant(const std::string& tenant);
  void forget_groups(const std::string& tenant);
  void forget_profile(const std::string& profile);
};

}  // namespace penstock
