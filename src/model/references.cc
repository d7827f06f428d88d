// Who uses an object, and what goes with it.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "model/admit.h"
#include "model/allocate.h"
#include "model/problems.h"

namespace penstock {
namespace {

class Uses {
 public:
  Uses(const Snapshot& snapshot, const ObjectKey& key) : snapshot_(snapshot), key_(key) {}
  std::vector<Use> out;

  void find() {
    const auto* type = key_.kind->descriptor;
    if (type == v1::Tenant::descriptor())
      tenant();
    else if (type == v1::User::descriptor())
      user();
    else if (type == v1::Group::descriptor())
      group();
    else if (type == v1::Cluster::descriptor())
      cluster();
    else if (type == v1::Host::descriptor())
      host();
    else if (type == v1::VirtualNetwork::descriptor())
      network();
    else if (type == v1::VirtualMachine::descriptor())
      vm();
    else if (type == v1::VmPool::descriptor())
      enablements(snapshot_.enablements_on_pool(key_.tenant, key_.name), "spec.pool");
    else if (type == v1::ServiceDefinition::descriptor())
      definition();
    else if (type == v1::ServiceProfile::descriptor())
      for (auto& e : snapshot_.enablements_of_profile(key_.name)) add(std::move(e), "spec.profile");
    std::ranges::sort(out, [](const Use& a, const Use& b) {
      return std::tie(a.by, a.field) < std::tie(b.by, b.field);
    });
  }

 private:
  const Snapshot& snapshot_;
  const ObjectKey& key_;

  void add(ObjectKey by, std::string field, bool cascades = true) {
    out.push_back({std::move(by), std::move(field), cascades});
  }
  void enablements(const std::vector<std::string>& names, const char* field) {
    for (const auto& name : names) add(ObjectKey::of<v1::Enablement>(key_.tenant, name), field);
  }

  // Roles in a tenant that is gone would come to life again with a tenant of the same name.
  template <typename T>
  void bindings() {
    snapshot_.each<T>([&](const T& object) {
      for (int i = 0; i < object.spec().roles_size(); ++i)
        if (object.spec().roles(i).tenant() == key_.name)
          add(key_of(object), field_path("spec.roles", static_cast<std::size_t>(i)), false);
    });
  }
  void tenant() {
    for (const auto& kind : kinds())
      if (kind.tenant_scoped)
        snapshot_.each(kind, key_.name, [&](const ObjectKey& key, const MessagePtr&, std::int64_t) {
          add(key, "metadata.tenant");
          return true;
        });
    bindings<v1::User>();
    bindings<v1::Group>();
  }
  void user() {
    for (const auto& token : snapshot_.tokens_of_user(key_.name))
      add(ObjectKey::of<v1::Token>("", token), "spec.user");
    for (auto& vm : snapshot_.vms_of_owner("user:" + key_.name))
      add(std::move(vm), "spec.owner", false);
    owned<v1::VmPool>("user:" + key_.name);
    owned<v1::VirtualNetwork>("user:" + key_.name);
  }
  template <typename T>
  void owned(const std::string& owner) {
    snapshot_.each<T>([&](const T& object) {
      if (object.spec().owner() == owner) add(key_of(object), "spec.owner", false);
    });
  }
  void group() {
    for (const auto& user : snapshot_.users_of_group(key_.name))
      add(ObjectKey::of<v1::User>("", user), "spec.groups", false);
    for (auto& vm : snapshot_.vms_of_owner("group:" + key_.name))
      add(std::move(vm), "spec.owner", false);
    owned<v1::VmPool>("group:" + key_.name);
    owned<v1::VirtualNetwork>("group:" + key_.name);
  }
  template <typename Wants>
  void placements(Wants wants, const char* field) {
    snapshot_.each<v1::VirtualMachine>([&](const v1::VirtualMachine& vm) {
      if (wants(vm)) add(key_of(vm), field, false);
    });
  }
  void cluster() {
    for (const auto& host : snapshot_.hosts_of_cluster(key_.name))
      add(ObjectKey::of<v1::Host>("", host), "spec.cluster", false);
    placements([&](const auto& vm) { return vm.spec().placement().cluster() == key_.name; },
               "spec.placement.cluster");
  }
  void host() {
    placements(
        [&](const auto& vm) {
          return host_of(vm) == key_.name || vm.spec().placement().host() == key_.name;
        },
        "status.host");
    for (const auto& token : snapshot_.tokens_of_host(key_.name))
      add(ObjectKey::of<v1::Token>("", token), "spec.host");
    snapshot_.each<v1::ServiceDefinition>([&](const v1::ServiceDefinition& d) {
      for (int i = 0; i < d.spec().endpoints_size(); ++i)
        if (d.spec().endpoints(i).device().host() == key_.name)
          add(key_of(d), field_path("spec.endpoints", static_cast<std::size_t>(i)), false);
    });
  }
  void network() {
    std::set<std::string> vms;
    for (auto& nic : snapshot_.nics_of_network(key_.tenant, key_.name))
      vms.insert(std::move(nic.vm));
    for (const auto& vm : vms) add(ObjectKey::of<v1::VirtualMachine>(key_.tenant, vm), "spec.nics");
    enablements(snapshot_.enablements_on_network(key_.tenant, key_.name), "spec.network");
  }
  void vm() {
    enablements(snapshot_.enablements_on_vm(key_.tenant, key_.name), "spec.vm");
    if (const auto vm = snapshot_.find<v1::VirtualMachine>(key_.tenant, key_.name))
      for (const auto& nic : vm->spec().nics())
        enablements(snapshot_.enablements_on_nic(key_.tenant, key_.name, nic.name()), "spec.nic");
    for (const auto& pool : snapshot_.pools_of_vm(key_.tenant, key_.name)) {
      const auto object = snapshot_.find<v1::VmPool>(key_.tenant, pool);
      if (std::ranges::find(object->spec().vms(), key_.name) != object->spec().vms().end())
        add(key_of(*object), "spec.vms");
    }
    snapshot_.each<v1::ServiceDefinition>([&](const v1::ServiceDefinition& d) {
      for (int i = 0; i < d.spec().endpoints_size(); ++i) {
        const auto& at = d.spec().endpoints(i).vm();
        if (at.name() == key_.name && at.tenant() == key_.tenant)
          add(key_of(d), field_path("spec.endpoints", static_cast<std::size_t>(i)), false);
      }
    });
  }
  void definition() {
    for (const auto& profile : snapshot_.profiles_of_definition(key_.name))
      add(ObjectKey::of<v1::ServiceProfile>("", profile), "spec.definition");
  }
};

// Depth first: what depends on something goes before it.
class Cascade {
 public:
  explicit Cascade(const Snapshot& snapshot) : snapshot_(snapshot) {}
  std::set<ObjectKey> gone;
  std::vector<ObjectKey> order;
  std::vector<Use> stuck;

  void remove(const ObjectKey& key) {
    if (!gone.insert(key).second) return;
    for (const auto& use : references_to(snapshot_, key)) {
      if (is_pool_name(use)) {
        shrunk_[use.by].insert(key.name);
      } else if (use.cascades) {
        remove(use.by);
      } else {
        stuck.push_back(use);
      }
    }
    order.push_back(key);
  }

  std::vector<Edit> edits() const {
    std::vector<Edit> out;
    for (const auto& [pool, names] : shrunk_) {
      if (gone.contains(pool)) continue;
      auto object =
          std::make_shared<v1::VmPool>(*snapshot_.find<v1::VmPool>(pool.tenant, pool.name));
      auto& vms = *object->mutable_spec()->mutable_vms();
      vms.erase(std::remove_if(vms.begin(), vms.end(),
                               [&](const auto& vm) { return names.contains(vm); }),
                vms.end());
      object->mutable_metadata()->set_generation(object->metadata().generation() + 1);
      out.push_back(Edit::put(std::move(object)));
    }
    for (const auto& key : order) out.push_back(Edit::erase(key));
    return out;
  }

  static bool is_pool_name(const Use& use) { return use.field == "spec.vms"; }

 private:
  const Snapshot& snapshot_;
  std::map<ObjectKey, std::set<std::string>> shrunk_;
};

std::unexpected<Error> in_use(const ObjectKey& key, const std::vector<Use>& uses,
                              std::string hint) {
  constexpr std::size_t kListed = 20;
  Error error{
      Code::kFailedPrecondition, fmt::format("{} is in use", key.describe()), {}, std::move(hint)};
  if (uses.size() > kListed)
    error.message += fmt::format(" by {} objects (the first {} are listed)", uses.size(), kListed);
  for (const auto& use : uses) {
    if (error.details.size() == kListed) break;
    error.details.push_back({use.field, fmt::format("used by {}", use.by.describe()), ""});
  }
  return std::unexpected(std::move(error));
}

}  // namespace

std::vector<Use> references_to(const Snapshot& snapshot, const ObjectKey& key) {
  Uses uses(snapshot, key);
  uses.find();
  return std::move(uses.out);
}

Result<std::vector<Edit>> deletion(const Snapshot& snapshot, const ObjectKey& key, bool cascade) {
  if (!snapshot.find(key))
    return fail(Code::kNotFound, fmt::format("{} does not exist", key.describe()));
  const auto may_go = [&](const ObjectKey& gone) -> Status {
    if (gone.kind != &kind_of<v1::VirtualMachine>()) return {};
    return may_end(*snapshot.find<v1::VirtualMachine>(gone.tenant, gone.name));
  };
  if (!cascade) {
    PENSTOCK_CHECK(may_go(key));
    if (const auto uses = references_to(snapshot, key); !uses.empty()) {
      const bool all = std::ranges::all_of(uses, &Use::cascades);
      return in_use(key, uses,
                    all ? "delete those first, or ask for a cascading delete"
                        : "change or delete those first");
    }
    return std::vector{Edit::erase(key)};
  }
  Cascade walk(snapshot);
  walk.remove(key);
  // What is stuck on something that goes anyway is no obstacle.
  std::erase_if(walk.stuck, [&](const Use& use) { return walk.gone.contains(use.by); });
  if (!walk.stuck.empty())
    return in_use(key, walk.stuck, "these are not deleted along; change or delete them first");
  for (const auto& gone : walk.order) PENSTOCK_CHECK(may_go(gone));
  return walk.edits();
}

}  // namespace penstock
