// The one function that decides, against a model written from the words of service.proto: "Every
// non-empty list must contain the subject; `except` removes. All lists empty and everyone false:
// nobody."
#include "model/availability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/sim_runtime.h"

namespace penstock {
namespace {

using Groups = std::optional<std::vector<std::string>>;

// An inventory as plain lists, and the same as a snapshot.
struct Inventory {
  struct Vm {
    std::string tenant, name, host, label;
    std::vector<std::string> networks;  // of its NICs eth0, eth1
  };
  struct Pool {
    std::string tenant, name, label;  // label empty: named
    std::vector<std::string> names;
  };
  std::map<std::string, std::string> cluster_of;  // host -> cluster, may be empty
  std::vector<Vm> vms;
  std::vector<Pool> pools;
  Snapshot snapshot;
};

template <typename T>
std::shared_ptr<T> object(const std::string& tenant, const std::string& name) {
  auto made = std::make_shared<T>();
  made->mutable_metadata()->set_tenant(tenant);
  made->mutable_metadata()->set_name(name);
  return made;
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  bool chance(double p) { return random_.chance(p); }
  std::size_t below(std::size_t n) { return random_.below(n); }
  std::string pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

 private:
  SimRandom random_;
};

const std::vector<std::string> kTenants{"acme", "globex"}, kNetworks{"blue", "red"},
    kHosts{"h1", "h2", "h3"}, kClusters{"c1", "c2"}, kRoles{"web", "db"}, kPools{"named", "chosen"},
    kVms{"v0", "v1", "v2", "v3"}, kGroups{"dev", "ops"};

Inventory random_inventory(Dice& dice) {
  Inventory out;
  std::vector<Edit> edits;
  std::uint32_t port = 0;
  for (const auto& name : kHosts) {
    out.cluster_of[name] = dice.chance(0.3) ? "" : dice.pick(kClusters);
    auto host = object<v1::Host>("", name);
    host->mutable_spec()->set_cluster(out.cluster_of[name]);
    edits.push_back(Edit::put(host));
  }
  for (const auto& tenant : kTenants) {
    for (const auto& name : kVms) {
      if (dice.chance(0.2)) continue;
      Inventory::Vm vm{
          tenant, name, dice.chance(0.2) ? "" : dice.pick(kHosts), dice.pick(kRoles), {}};
      auto made = object<v1::VirtualMachine>(tenant, name);
      (*made->mutable_metadata()->mutable_labels())["role"] = vm.label;
      made->mutable_status()->set_host(vm.host);
      for (std::size_t i = dice.below(3); i > 0; --i) {
        auto& nic = *made->mutable_spec()->add_nics();
        nic.set_name(fmt::format("eth{}", vm.networks.size()));
        nic.set_port_id(++port);
        vm.networks.push_back(dice.pick(kNetworks));
        nic.set_network(vm.networks.back());
      }
      out.vms.push_back(vm);
      edits.push_back(Edit::put(made));
    }
    for (const auto& name : kPools) {
      Inventory::Pool pool{tenant, name, "", {}};
      auto made = object<v1::VmPool>(tenant, name);
      if (name == "chosen") {
        pool.label = dice.chance(0.2) ? "nobody" : dice.pick(kRoles);
        (*made->mutable_spec()->mutable_selector()->mutable_match_labels())["role"] = pool.label;
      } else {
        for (const auto& vm : kVms)
          if (dice.chance(0.4)) pool.names.push_back(vm), made->mutable_spec()->add_vms(vm);
      }
      out.pools.push_back(pool);
      edits.push_back(Edit::put(made));
    }
  }
  out.snapshot = Snapshot().with(edits, 1);
  return out;
}

void random_scope(Dice& dice, double p, v1::Scope& scope) {
  const auto some = [&](const std::vector<std::string>& from, bool qualified, auto add) {
    if (!dice.chance(p)) return;
    for (std::size_t i = 1 + dice.below(2); i > 0; --i)
      add((qualified ? dice.pick(kTenants) + "/" : "") + dice.pick(from));
  };
  some(kTenants, false, [&](const auto& n) { scope.add_tenants(n); });
  some(kGroups, false, [&](const auto& n) { scope.add_groups(n); });
  some(kNetworks, true, [&](const auto& n) { scope.add_networks(n); });
  some(kHosts, false, [&](const auto& n) { scope.add_hosts(n); });
  some(kClusters, false, [&](const auto& n) { scope.add_clusters(n); });
  some(kVms, true, [&](const auto& n) { scope.add_vms(n); });
  some(kPools, true, [&](const auto& n) { scope.add_pools(n); });
  if (dice.chance(p))
    (*scope.mutable_vm_labels()->mutable_match_labels())["role"] = dice.pick(kRoles);
}

v1::ServiceProfile random_profile(Dice& dice) {
  v1::ServiceProfile profile;
  auto& availability = *profile.mutable_spec()->mutable_availability();
  availability.set_everyone(dice.chance(0.4));
  random_scope(dice, 0.25, *availability.mutable_allow());
  if (dice.chance(0.6)) random_scope(dice, 0.12, *availability.mutable_except());
  return profile;
}

// --- the model

// What is on one VM: all its NICs, or those in one network.
struct Unit {
  const Inventory::Vm* vm;
  std::vector<std::string> networks;
};

bool contains(const auto& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool member(const Inventory::Pool& pool, const Inventory::Vm& vm) {
  return pool.tenant == vm.tenant &&
         (contains(pool.names, vm.name) || (!pool.label.empty() && pool.label == vm.label));
}

// One list about one unit: yes, no, or not known (a VM that is on no host, no user).
std::vector<std::optional<bool>> said(const Inventory& world, const v1::Scope& scope,
                                      const std::string& tenant, const Groups& groups,
                                      const Unit& unit, bool allow) {
  std::vector<std::optional<bool>> out;
  const auto& vm = *unit.vm;
  const auto any_of = [](const auto& list, const auto& mine, const std::string& prefix) {
    for (const auto& one : mine)
      if (contains(list, prefix + one)) return true;
    return false;
  };
  if (scope.tenants_size()) out.push_back(contains(scope.tenants(), tenant));
  if (scope.groups_size())
    out.push_back(groups ? std::optional(any_of(scope.groups(), *groups, "")) : std::nullopt);
  if (scope.networks_size()) {
    bool all = !unit.networks.empty(), any = false;
    for (const auto& network : unit.networks) {
      const bool in = contains(scope.networks(), tenant + "/" + network);
      all = all && in;
      any = any || in;
    }
    out.push_back(allow ? all : any);
  }
  if (scope.hosts_size())
    out.push_back(vm.host.empty() ? std::nullopt : std::optional(contains(scope.hosts(), vm.host)));
  if (scope.clusters_size())
    out.push_back(vm.host.empty()
                      ? std::nullopt
                      : std::optional(contains(scope.clusters(), world.cluster_of.at(vm.host))));
  if (scope.vms_size()) out.push_back(contains(scope.vms(), tenant + "/" + vm.name));
  if (scope.pools_size()) {
    bool in = false;
    for (const auto& pool : world.pools)
      in = in || (member(pool, vm) && contains(scope.pools(), tenant + "/" + pool.name));
    out.push_back(in);
  }
  if (scope.has_vm_labels()) out.push_back(scope.vm_labels().match_labels().at("role") == vm.label);
  return out;
}

bool nobody(const v1::Availability& a) {
  return !a.everyone() && a.allow().ByteSizeLong() == 0;
}

bool model(const Inventory& world, const v1::Availability& a, const std::string& tenant,
           const Groups& groups, const Unit& unit) {
  if (nobody(a)) return false;
  if (!a.everyone())
    for (const auto& list : said(world, a.allow(), tenant, groups, unit, true))
      if (list == false) return false;
  for (const auto& list : said(world, a.except(), tenant, groups, unit, false))
    if (list == true) return false;
  return true;
}

// Without a VM only what is named counts: the tenant, the groups, the network or pool that is the
// target. What else a list speaks of is not known, unless it is all of other tenants.
bool model_without_vm(const v1::Availability& a, const std::string& tenant, const Groups& groups,
                      const std::string& network, const std::string& pool) {
  if (nobody(a)) return false;
  const auto one = [&](const v1::Scope& scope, bool allow) {
    std::vector<std::optional<bool>> out;
    const auto perhaps = [&](const auto& list) -> std::optional<bool> {
      for (const auto& name : list)
        if (name.starts_with(tenant + "/")) return std::nullopt;
      return false;
    };
    if (scope.tenants_size()) out.push_back(contains(scope.tenants(), tenant));
    if (scope.groups_size() && groups) {
      bool in = false;
      for (const auto& group : *groups) in = in || contains(scope.groups(), group);
      out.push_back(in);
    }
    if (scope.networks_size())
      out.push_back(network.empty() ? perhaps(scope.networks())
                                    : contains(scope.networks(), tenant + "/" + network));
    if (scope.pools_size())
      out.push_back(pool.empty() ? perhaps(scope.pools())
                                 : contains(scope.pools(), tenant + "/" + pool));
    if (scope.vms_size()) out.push_back(perhaps(scope.vms()));
    for (const auto& list : out)
      if (list == !allow) return true;
    return false;
  };
  return !(!a.everyone() && one(a.allow(), true)) && !one(a.except(), false);
}

TEST(Availability, EqualsTheModelForEveryKindOfTarget) {
  int yes = 0, no = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Dice dice(seed);
    const auto world = random_inventory(dice);
    for (int i = 0; i < 10; ++i) {
      const auto profile = random_profile(dice);
      const auto& a = profile.spec().availability();
      const auto tenant = dice.pick(kTenants);
      Groups groups;
      if (dice.chance(0.7)) {
        groups.emplace();
        for (const auto& group : kGroups)
          if (dice.chance(0.5)) groups->push_back(group);
      }
      const auto check = [&](const v1::Enablement& e, bool want, const std::string& what) {
        const auto got = why_not_on_target(world.snapshot, profile, e, groups);
        ASSERT_EQ(got.empty(), want)
            << "seed " << seed << " " << what << " of " << tenant << ": " << got.why.text << "\n"
            << a.DebugString();
        ++(want ? yes : no);
      };
      v1::Enablement target;
      target.mutable_metadata()->set_tenant(tenant);
      auto& spec = *target.mutable_spec();
      Subject open;
      open.tenant = tenant;
      open.user_groups = groups;
      const bool seen = available(world.snapshot, profile, open);
      ASSERT_EQ(seen, model_without_vm(a, tenant, groups, "", "")) << a.DebugString();
      for (const auto& vm : world.vms) {
        if (vm.tenant != tenant) continue;
        spec.set_vm(vm.name);
        const bool may = model(world, a, tenant, groups, {&vm, vm.networks});
        check(target, may, "vm " + vm.name);
        ASSERT_TRUE(seen || !may) << "in the catalog is what can be used on any VM";
        for (std::size_t nic = 0; nic < vm.networks.size(); ++nic) {
          spec.mutable_nic()->set_vm(vm.name);
          spec.mutable_nic()->set_nic(fmt::format("eth{}", nic));
          const bool on_nic = model(world, a, tenant, groups, {&vm, {vm.networks[nic]}});
          check(target, on_nic, fmt::format("nic {}/{}", vm.name, nic));
          if (on_nic && !vm.host.empty())
            ASSERT_TRUE(may_be_available(profile, tenant, *world.snapshot.find<v1::Host>(vm.host)))
                << "its host is configured";
        }
      }
      for (const auto& pool : world.pools) {
        if (pool.tenant != tenant) continue;
        spec.set_pool(pool.name);
        bool all = true, any = false;
        for (const auto& vm : world.vms) {
          if (!member(pool, vm)) continue;
          any = true;
          all = all && model(world, a, tenant, groups, {&vm, vm.networks});
        }
        check(target, any ? all : model_without_vm(a, tenant, groups, "", pool.name),
              "pool " + pool.name);
      }
      for (const auto& network : kNetworks) {
        spec.set_network(network);
        bool all = true, any = false;
        for (const auto& vm : world.vms) {
          if (vm.tenant != tenant || !contains(vm.networks, network)) continue;
          any = true;
          all = all && model(world, a, tenant, groups, {&vm, {network}});
        }
        check(target, any ? all : model_without_vm(a, tenant, groups, network, ""),
              "network " + network);
      }
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(yes, 5'000);
  EXPECT_GT(no, 5'000);
}

TEST(Availability, ReasonsNameScopesToAdministratorsOnly) {
  Dice dice(1);
  const auto world = random_inventory(dice);
  Subject subject;
  subject.tenant = "acme";
  subject.user_groups = {"dev"};
  v1::ServiceProfile profile;
  auto& allow = *profile.mutable_spec()->mutable_availability()->mutable_allow();
  allow.add_groups("secret-project");
  auto why = why_not_available(world.snapshot, profile, subject);
  EXPECT_THAT(why.for_reader(false), testing::Not(testing::HasSubstr("secret-project")));
  EXPECT_THAT(why.for_reader(true), testing::HasSubstr("only secret-project"));
  allow.Clear();
  allow.add_vms("globex/vault");
  why = why_not_available(world.snapshot, profile, subject);
  EXPECT_FALSE(why.empty()) << "what is for another tenant's VM is not in this one's catalog";
  EXPECT_THAT(why.for_reader(false), testing::Not(testing::HasSubstr("globex")));
}

}  // namespace
}  // namespace penstock
