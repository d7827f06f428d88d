// The whole inventory at one revision: immutable, free to copy, safe to keep. An edit gives a new
// Snapshot that shares all but O(log n) nodes with the old one, indexes included.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/persistent_map.h"
#include "model/kinds.h"
#include "net/address.h"

namespace penstock {

// A number that only grows and lives in the store: port ids. Key "/penstock/v1/counters/NAME",
// value in decimal.
struct Counter {
  std::string name;
  std::uint64_t value = 0;
  bool operator==(const Counter&) const = default;
};

// One change of the inventory: an object put or erased, or a counter set.
struct Edit {
  ObjectKey key;      // without a kind: `counter` is meant
  MessagePtr object;  // nullptr: erased
  std::optional<Counter> counter;

  static Edit put(MessagePtr object);
  static Edit erase(ObjectKey key);
  static Edit set(Counter counter);

  bool is_erase() const { return key.kind && !object; }
  std::string store_key() const;
  std::string store_value() const;  // serialized; of an erase: empty
};

struct NicRef {
  std::string tenant, vm, nic;
  std::uint32_t port_id = 0;
  bool operator==(const NicRef&) const = default;
};

struct SnapshotState;

class Snapshot {
 public:
  Snapshot();  // empty, revision 0

  std::int64_t revision() const;
  const std::string& incarnation() const;

  // The inventory after the edits, in order. Objects and counters changed here get `revision` as
  // modification revision.
  [[nodiscard]] Snapshot with(std::span<const Edit> edits, std::int64_t revision) const;
  [[nodiscard]] Snapshot with_incarnation(std::string incarnation) const;

  struct Stored {
    std::string key, value;
    std::int64_t mod_revision = 0;
  };
  // From what the store holds under kStorePrefix. Keys outside are ignored; a key or value of ours
  // that cannot be read is kInternal and names it.
  static Result<Snapshot> load(std::span<const Stored>, std::int64_t revision,
                               std::string incarnation);

  // --- objects
  template <typename T>
  std::shared_ptr<const T> find(std::string_view tenant, std::string_view name) const {
    return std::static_pointer_cast<const T>(find_in(kind_of<T>(), tenant, name));
  }
  template <typename T>
  std::shared_ptr<const T> find(std::string_view name) const {
    return find<T>("", name);
  }
  MessagePtr find(const ObjectKey& key) const { return find_in(*key.kind, key.tenant, key.name); }
  // Store revision of the object's last change; 0: no such object.
  std::int64_t mod_revision(const ObjectKey&) const;

  std::size_t count(const Kind&) const;
  std::size_t count(const Kind&, std::string_view tenant) const;  // O(log n)
  using Visit = std::function<bool(const ObjectKey&, const MessagePtr&,
                                   std::int64_t mod_revision)>;  // false: stop
  // In order of tenant, then name.
  void each(const Kind&, const Visit&) const;
  void each(const Kind&, std::string_view tenant, const Visit&) const;
  // From the first key after `after`, over all tenants: for pages.
  void each_after(const ObjectKey& after, const Visit&) const;
  template <typename T, typename F>  // f(const T&)
  void each(F&& f) const {
    each(kind_of<T>(), [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
      f(static_cast<const T&>(*object));
      return true;
    });
  }
  template <typename T, typename F>
  void each(std::string_view tenant, F&& f) const {
    each(kind_of<T>(), tenant, [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
      f(static_cast<const T&>(*object));
      return true;
    });
  }

  // --- counters
  std::uint64_t counter(std::string_view name) const;          // 0: never set
  std::int64_t counter_revision(std::string_view name) const;  // 0: not in the store

  // --- indexes. Names are given without a tenant when `tenant` is a parameter. Everything is
  // sorted.
  std::optional<NicRef> nic_of_port(std::uint32_t port_id) const;
  std::size_t nic_count(std::string_view tenant) const;                // O(log n)
  std::optional<std::string> network_of_vni(std::uint32_t vni) const;  // "tenant/name"
  // NICs in a network; with `host`: of running VMs on that host only. A VM that moves is on two.
  std::vector<NicRef> nics_of_network(std::string_view tenant, std::string_view network) const;
  std::vector<NicRef> nics_of_network(std::string_view tenant, std::string_view network,
                                      std::string_view host) const;
  bool network_on_host(std::string_view tenant, std::string_view network,
                       std::string_view host) const;
  std::vector<std::string> hosts_of_network(std::string_view tenant,
                                            std::string_view network) const;
  // Port that uses the MAC or address in the network; 0: free.
  std::uint32_t mac_user(std::string_view tenant, std::string_view network, const Mac&) const;
  std::uint32_t address_user(std::string_view tenant, std::string_view network,
                             const IpAddress&) const;
  // Number of addresses in use in the network that are from first to last, both included.
  std::size_t addresses_used(std::string_view tenant, std::string_view network,
                             const IpAddress& first, const IpAddress& last) const;

  // Running VMs (with a host), as keys; also those on their way there.
  std::vector<ObjectKey> vms_of_host(std::string_view host) const;
  std::size_t vm_count_of_host(std::string_view host) const;
  std::vector<std::string> tenants_of_host(std::string_view host) const;
  std::vector<std::string> hosts_of_tenant(std::string_view tenant) const;
  bool tenant_on_host(std::string_view tenant, std::string_view host) const;
  std::vector<std::string> hosts_with_vms() const;
  std::vector<std::string> hosts_of_cluster(std::string_view cluster) const;

  // Names of the enablements whose target is exactly this.
  std::vector<std::string> enablements_on_vm(std::string_view tenant, std::string_view vm) const;
  std::vector<std::string> enablements_on_nic(std::string_view tenant, std::string_view vm,
                                              std::string_view nic) const;
  std::vector<std::string> enablements_on_pool(std::string_view tenant,
                                               std::string_view pool) const;
  std::vector<std::string> enablements_on_network(std::string_view tenant,
                                                  std::string_view network) const;
  std::vector<ObjectKey> enablements_of_profile(std::string_view profile) const;
  std::vector<std::string> enablements_of_profile(std::string_view profile,
                                                  std::string_view tenant) const;
  // The tenant's pools on which anything is enabled.
  std::vector<std::string> pools_enabled(std::string_view tenant) const;
  // The pools that name the VM; those whose selector matches it are not among them.
  std::vector<std::string> pools_naming(std::string_view tenant, std::string_view vm) const;
  bool profile_enabled_in(std::string_view profile, std::string_view tenant) const;
  std::vector<std::string> profiles_enabled_in(std::string_view tenant) const;
  std::vector<std::string> profiles_of_definition(std::string_view definition) const;
  // Published profiles whose availability does not leave the tenant out by its name alone.
  std::vector<std::string> profiles_offered_to(std::string_view tenant) const;

  // Names of VMs: those the pool names that exist, and those its selector matches.
  std::vector<std::string> vms_of_pool(std::string_view tenant, std::string_view pool) const;
  std::vector<std::string> pools_of_vm(std::string_view tenant, std::string_view vm) const;
  // Names of the tenant's VMs that the selector matches. O(matches of its rarest simple part).
  std::vector<std::string> vms_matching(std::string_view tenant, const v1::LabelSelector&) const;

  std::shared_ptr<const v1::Token> token_of_sha256(std::string_view sha256_hex) const;
  std::vector<std::string> users_of_group(std::string_view group) const;
  std::vector<std::string> tokens_of_user(std::string_view user) const;
  std::vector<std::string> tokens_of_host(std::string_view host) const;
  std::vector<ObjectKey> vms_of_owner(std::string_view owner) const;  // "user:NAME", "group:NAME"

  // Whether both are the same object, not merely equal: what memos go by.
  bool same_as(const Snapshot& other) const { return state_ == other.state_; }

  // All index entries as text, sorted: for the test that compares with a rebuild.
  std::vector<std::string> index_dump() const;

 private:
  std::shared_ptr<const SnapshotState> state_;
  explicit Snapshot(std::shared_ptr<const SnapshotState> state) : state_(std::move(state)) {}
  MessagePtr find_in(const Kind&, std::string_view tenant, std::string_view name) const;
};

// Whether the labels satisfy the selector. An empty selector matches everything.
bool matches(const v1::LabelSelector&,
             const google::protobuf::Map<std::string, std::string>& labels);
// One text for all selectors that mean the same by form: sorted, "role=web,tier in (a,b),!old".
std::string selector_text(const v1::LabelSelector&);
// The other way: the form of ListRequest.label_selector.
Result<v1::LabelSelector> parse_selector(std::string_view);

// The host a VM is on; empty when it is stopped or could not be placed.
inline const std::string& host_of(const v1::VirtualMachine& vm) {
  return vm.status().host();
}
// The host it is moving to; empty when it stays.
inline const std::string& target_of(const v1::VirtualMachine& vm) {
  return vm.status().move().to();
}
// Hosts that hold the VM's ports with their services: where it is, and where it moves to.
std::vector<std::string> places_of(const v1::VirtualMachine&);
inline bool has_place_on(const v1::VirtualMachine& vm, std::string_view host) {
  return !host.empty() && (host_of(vm) == host || target_of(vm) == host);
}

}  // namespace penstock
