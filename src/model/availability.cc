#include "model/availability.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/schema.h"

namespace penstock {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

bool has(const Names& names, std::string_view name) {
  return std::ranges::any_of(names, [&](const auto& n) { return n == name; });
}
template <typename Range>
bool has_any(const Names& names, const Range& wanted) {
  return std::ranges::any_of(wanted, [&](const auto& w) { return has(names, w); });
}

// What a list says about the subject.
enum class In { kNo, kYes, kUnknown };
In known(bool in) {
  return in ? In::kYes : In::kNo;
}

// Facts about the subject that scopes ask for. Looked up only when a scope asks: most name tenants
// alone.
class Facts {
 public:
  Facts(const Snapshot* snapshot, const Subject& subject)
      : snapshot_(snapshot), subject_(subject) {}

  In tenant(const Names& names) const { return known(has(names, subject_.tenant)); }
  In groups(const Names& names) const {
    return subject_.user_groups ? known(has_any(names, *subject_.user_groups)) : In::kUnknown;
  }
  // `all`: every NIC must be in one of them, instead of any.
  In networks(const Names& names, bool all) const {
    if (!subject_.network.empty()) return known(has(names, qualified(subject_.network)));
    if (!subject_.vm) return perhaps(names);
    const auto& nics = subject_.vm->spec().nics();
    const auto in = [&](const v1::Nic& nic) { return has(names, qualified(nic.network())); };
    return known(all ? !nics.empty() && std::ranges::all_of(nics, in)
                     : std::ranges::any_of(nics, in));
  }
  In pools(const Names& names) const {
    if (!subject_.pool.empty()) return known(has(names, qualified(subject_.pool)));
    if (!subject_.vm) return perhaps(names);
    for (const auto& pool : snapshot_->pools_of_vm(subject_.tenant, vm_name()))
      if (has(names, qualified(pool))) return In::kYes;
    return In::kNo;
  }
  // A stopped VM is on no host yet.
  In hosts(const Names& names) const {
    const auto name = subject_.vm     ? host_of(*subject_.vm)
                      : subject_.host ? subject_.host->metadata().name()
                                      : std::string();
    return name.empty() ? In::kUnknown : known(has(names, name));
  }
  In clusters(const Names& names) const {
    if (subject_.vm) {
      if (host_of(*subject_.vm).empty()) return In::kUnknown;
      const auto host = snapshot_->find<v1::Host>(host_of(*subject_.vm));
      return known(host && has(names, host->spec().cluster()));
    }
    return subject_.host ? known(has(names, subject_.host->spec().cluster())) : In::kUnknown;
  }
  In vms(const Names& names) const {
    return subject_.vm ? known(has(names, qualified(vm_name()))) : perhaps(names);
  }
  In labels(const v1::LabelSelector& selector) const {
    return subject_.vm ? known(matches(selector, subject_.vm->metadata().labels())) : In::kUnknown;
  }

 private:
  const Snapshot* snapshot_;  // with a VM only
  const Subject& subject_;

  const std::string& vm_name() const { return subject_.vm->metadata().name(); }
  std::string qualified(std::string_view name) const {
    return fmt::format("{}/{}", subject_.tenant, name);
  }
  // Of a subject that is not chosen yet only the tenant is known.
  In perhaps(const Names& names) const {
    const auto prefix = subject_.tenant + "/";
    return std::ranges::any_of(names, [&](const auto& n) { return n.starts_with(prefix); })
               ? In::kUnknown
               : In::kNo;
  }
};

// The first list of the scope that decides: of `allow` one that does not contain the subject, of
// `except` one that does.
WhyNot decided_by(const v1::Scope& scope, const Subject& subject, const Facts& facts, bool allow) {
  WhyNot why;
  const auto decides = [&](const Names& names, In in, std::string text) {
    if (names.empty() || in != (allow ? In::kNo : In::kYes)) return false;
    why = {std::move(text), fmt::format("{} {}", allow ? "only" : "not", fmt::join(names, ", "))};
    return true;
  };
  if (decides(scope.tenants(), facts.tenant(scope.tenants()),
              "not available to tenant " + subject.tenant) ||
      decides(scope.groups(), facts.groups(scope.groups()), "not available to the user's groups") ||
      decides(scope.networks(), facts.networks(scope.networks(), allow),
              "not available on its network") ||
      decides(scope.pools(), facts.pools(scope.pools()),
              allow ? "not available outside certain pools" : "not available to its pool") ||
      decides(scope.hosts(), facts.hosts(scope.hosts()), "not available on its host") ||
      decides(scope.clusters(), facts.clusters(scope.clusters()), "not available on its cluster") ||
      decides(scope.vms(), facts.vms(scope.vms()), "not available to this VM"))
    return why;
  if (scope.has_vm_labels() && facts.labels(scope.vm_labels()) == (allow ? In::kNo : In::kYes))
    return {"not available to VMs with its labels",
            fmt::format("{} {}", allow ? "only" : "not", selector_text(scope.vm_labels()))};
  return {};
}

bool says_anything(const v1::Scope& s) {
  return !s.tenants().empty() || !s.groups().empty() || !s.networks().empty() ||
         !s.hosts().empty() || !s.clusters().empty() || !s.vms().empty() || !s.pools().empty() ||
         s.has_vm_labels();
}
bool speaks_of_vms(const v1::Scope& s) {
  return !s.networks().empty() || !s.hosts().empty() || !s.clusters().empty() || !s.vms().empty() ||
         !s.pools().empty() || s.has_vm_labels();
}

WhyNot judge(const v1::Availability& availability, const Subject& subject, const Facts& facts) {
  if (!availability.everyone()) {
    if (!says_anything(availability.allow())) return {"made available to nobody yet", ""};
    if (auto why = decided_by(availability.allow(), subject, facts, true); !why.empty()) return why;
  }
  return decided_by(availability.except(), subject, facts, false);
}

}  // namespace

std::string WhyNot::for_reader(bool administrator) const {
  return administrator && !detail.empty() ? fmt::format("{} ({})", text, detail) : text;
}

WhyNot why_not_available(const Snapshot& snapshot, const v1::ServiceProfile& profile,
                         const Subject& subject) {
  return judge(profile.spec().availability(), subject, Facts(&snapshot, subject));
}

Obstacle why_not_on_target(const Snapshot& snapshot, const v1::ServiceProfile& profile,
                           const v1::Enablement& enablement,
                           const std::optional<std::vector<std::string>>& user_groups) {
  const auto& spec = enablement.spec();
  const auto& availability = profile.spec().availability();
  Subject subject;
  subject.tenant = enablement.metadata().tenant();
  subject.user_groups = user_groups;
  if (spec.has_network()) subject.network = spec.network();
  const bool single = spec.has_vm() || spec.has_nic();
  const bool each = speaks_of_vms(availability.except()) ||
                    (!availability.everyone() && speaks_of_vms(availability.allow()));
  const auto vms = single || each ? covered_vms(snapshot, enablement) : std::vector<std::string>();
  if (vms.empty()) {
    if (spec.has_pool()) subject.pool = spec.pool();
    return {why_not_available(snapshot, profile, subject), "", 0};
  }
  Obstacle found;
  for (const auto& name : vms) {
    subject.vm = snapshot.find<v1::VirtualMachine>(subject.tenant, name);
    if (spec.has_nic())
      for (const auto& nic : subject.vm->spec().nics())
        if (nic.name() == spec.nic().nic()) subject.network = nic.network();
    auto why = why_not_available(snapshot, profile, subject);
    if (why.empty()) continue;
    if (!found.empty())
      ++found.more;
    else
      found = {std::move(why), single ? "" : name, 0};
  }
  return found;
}

bool may_be_available(const v1::ServiceProfile& profile, std::string_view tenant,
                      const v1::Host& host) {
  Subject subject;
  subject.tenant = tenant;
  subject.host = &host;
  return judge(profile.spec().availability(), subject, Facts(nullptr, subject)).empty();
}

std::vector<std::string> covered_vms(const Snapshot& snapshot, const v1::Enablement& enablement) {
  const auto& tenant = enablement.metadata().tenant();
  const auto& spec = enablement.spec();
  if (spec.has_pool()) return snapshot.vms_of_pool(tenant, spec.pool());
  if (spec.has_network()) {
    std::set<std::string> vms;
    for (const auto& nic : snapshot.nics_of_network(tenant, spec.network())) vms.insert(nic.vm);
    return {vms.begin(), vms.end()};
  }
  const auto& vm = spec.has_nic() ? spec.nic().vm() : spec.vm();
  return snapshot.find<v1::VirtualMachine>(tenant, vm) ? std::vector<std::string>{vm}
                                                       : std::vector<std::string>{};
}

std::vector<std::shared_ptr<const v1::Enablement>> enablements_covering(
    const Snapshot& snapshot, const v1::VirtualMachine& vm) {
  const auto& tenant = vm.metadata().tenant();
  const auto& name = vm.metadata().name();
  std::vector<std::shared_ptr<const v1::Enablement>> found;
  const auto take = [&](const std::vector<std::string>& names) {
    for (const auto& one : names)
      if (auto e = snapshot.find<v1::Enablement>(tenant, one);
          std::ranges::find(found, e) == found.end())
        found.push_back(std::move(e));
  };
  for (const auto& nic : vm.spec().nics())
    take(snapshot.enablements_on_nic(tenant, name, nic.name()));
  take(snapshot.enablements_on_vm(tenant, name));
  for (const auto& pool : snapshot.pools_of_vm(tenant, name))
    take(snapshot.enablements_on_pool(tenant, pool));
  for (const auto& nic : vm.spec().nics())
    take(snapshot.enablements_on_network(tenant, nic.network()));
  std::ranges::stable_partition(found, [](const auto& e) { return e->spec().mandatory(); });
  return found;
}

std::vector<v1::Level> allowed_levels(const v1::ServiceDefinition& definition,
                                      const v1::ServiceProfile& profile) {
  std::vector<v1::Level> out;
  for (const auto& level : definition.spec().levels()) {
    const auto& chosen = profile.spec().levels();
    const auto it =
        std::ranges::find_if(chosen, [&](const auto& c) { return c.name() == level.name(); });
    // Only disallowed entries in the profile: the others stay.
    const bool names_some =
        std::ranges::any_of(chosen, [](const auto& c) { return !c.disallowed(); });
    if (it == chosen.end() ? names_some : it->disallowed()) continue;
    out.push_back(level);
    if (it != chosen.end() && it->has_limits()) *out.back().mutable_limits() = it->limits();
  }
  return out;
}

Json effective_parameters(const v1::ServiceDefinition& definition,
                          const v1::ServiceProfile& profile, std::string_view level) {
  Problems ignored;  // a stored definition has been through validation
  auto out = Schema::parse(definition.spec().parameters(), ignored, "").defaults();
  const auto over = [&](const google::protobuf::Struct& values) {
    const auto json = to_json(values);
    for (const auto& [name, value] : json.items()) out[name] = value;
  };
  over(profile.spec().parameters());
  for (const auto& l : profile.spec().levels())
    if (l.name() == level) over(l.parameters());
  for (const auto& l : definition.spec().levels())
    if (l.name() == level) over(l.parameters());
  return out;
}

}  // namespace penstock
