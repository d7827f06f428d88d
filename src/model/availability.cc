#include "model/availability.h"

#include <algorithm>

#include <fmt/format.h>

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

// Facts about the subject that scopes ask for. Looked up only when a scope asks: most name tenants
// alone.
class Facts {
 public:
  Facts(const Snapshot& snapshot, const Subject& subject)
      : snapshot_(snapshot), subject_(subject) {}

  std::string qualified(std::string_view name) const {
    return fmt::format("{}/{}", subject_.tenant, name);
  }
  std::vector<std::string> networks() const {
    if (!subject_.network.empty()) return {qualified(subject_.network)};
    std::vector<std::string> out;
    if (subject_.vm)
      for (const auto& nic : subject_.vm->spec().nics()) out.push_back(qualified(nic.network()));
    return out;
  }
  std::vector<std::string> pools() const {
    std::vector<std::string> out;
    if (!subject_.pool.empty()) out.push_back(qualified(subject_.pool));
    if (subject_.vm)
      for (const auto& pool :
           snapshot_.pools_of_vm(subject_.tenant, subject_.vm->metadata().name()))
        out.push_back(qualified(pool));
    return out;
  }
  std::string host() const { return subject_.vm ? host_of(*subject_.vm) : ""; }
  std::string cluster() const {
    const auto host = snapshot_.find<v1::Host>(this->host());
    return host ? host->spec().cluster() : "";
  }

 private:
  const Snapshot& snapshot_;
  const Subject& subject_;
};

// The first list of `allow` that does not contain the subject. A pool or network as target has no
// one VM: scopes about VMs are then not met, because some VM of the target might be outside.
std::string outside(const v1::Scope& scope, const Subject& s, const Facts& facts) {
  const bool whole = !s.vm && (!s.pool.empty() || !s.network.empty());
  const bool open = !s.vm && !whole;  // no target chosen yet
  if (!scope.tenants().empty() && !has(scope.tenants(), s.tenant))
    return "not available to tenant " + s.tenant;
  if (!scope.groups().empty() && s.user_groups && !has_any(scope.groups(), *s.user_groups))
    return fmt::format("available to the user groups {} only", fmt::join(scope.groups(), ", "));
  if (open) return "";
  if (!scope.networks().empty() && !(whole && s.network.empty()) &&
      !has_any(scope.networks(), facts.networks()))
    return "not available on its network";
  if (!scope.pools().empty() && !has_any(scope.pools(), facts.pools()))
    return "not available outside its pools";
  if (whole) {
    if (!scope.vms().empty() || scope.has_vm_labels() || !scope.hosts().empty() ||
        !scope.clusters().empty() || (!scope.networks().empty() && s.network.empty()))
      return "available on single VMs only, because not all VMs, hosts or networks may use it";
    return "";
  }
  // A stopped VM is on no host yet: judged when it runs, by what its host was given.
  if (!scope.hosts().empty() && !facts.host().empty() && !has(scope.hosts(), facts.host()))
    return "not available on its host";
  if (!scope.clusters().empty() && !facts.host().empty() && !has(scope.clusters(), facts.cluster()))
    return "not available on its cluster";
  if (!scope.vms().empty() && !has(scope.vms(), facts.qualified(s.vm->metadata().name())))
    return "not available to this VM";
  if (scope.has_vm_labels() && !matches(scope.vm_labels(), s.vm->metadata().labels()))
    return fmt::format("available to VMs with labels {} only", selector_text(scope.vm_labels()));
  return "";
}

// The first list of `except` that contains the subject.
std::string excepted(const v1::Scope& scope, const Subject& s, const Facts& facts) {
  if (has(scope.tenants(), s.tenant)) return "not available to tenant " + s.tenant;
  if (s.user_groups && has_any(scope.groups(), *s.user_groups))
    return "not available to the user's group";
  if (!scope.networks().empty() && has_any(scope.networks(), facts.networks()))
    return "not available on its network";
  if (!scope.pools().empty() && has_any(scope.pools(), facts.pools()))
    return "not available to its pool";
  if (!s.vm) return "";
  if (!scope.hosts().empty() && has(scope.hosts(), facts.host()))
    return "not available on its host";
  if (!scope.clusters().empty() && has(scope.clusters(), facts.cluster()))
    return "not available on its cluster";
  if (!scope.vms().empty() && has(scope.vms(), facts.qualified(s.vm->metadata().name())))
    return "not available to this VM";
  if (scope.has_vm_labels() && matches(scope.vm_labels(), s.vm->metadata().labels()))
    return fmt::format("not available to VMs with labels {}", selector_text(scope.vm_labels()));
  return "";
}

bool nobody(const v1::Availability& a) {
  const auto& s = a.allow();
  return !a.everyone() && s.tenants().empty() && s.groups().empty() && s.networks().empty() &&
         s.hosts().empty() && s.clusters().empty() && s.vms().empty() && s.pools().empty() &&
         !s.has_vm_labels();
}

}  // namespace

std::string why_not_available(const Snapshot& snapshot, const v1::ServiceProfile& profile,
                              const Subject& subject) {
  const auto& availability = profile.spec().availability();
  if (nobody(availability)) return "made available to nobody yet";
  const Facts facts(snapshot, subject);
  if (!availability.everyone())
    if (auto why = outside(availability.allow(), subject, facts); !why.empty()) return why;
  return excepted(availability.except(), subject, facts);
}

bool may_be_available(const v1::ServiceProfile& profile, std::string_view tenant,
                      const v1::Host& host) {
  const auto& a = profile.spec().availability();
  if (nobody(a)) return false;
  const auto& name = host.metadata().name();
  const auto& cluster = host.spec().cluster();
  if (!a.everyone()) {
    const auto& allow = a.allow();
    if (!allow.tenants().empty() && !has(allow.tenants(), tenant)) return false;
    if (!allow.hosts().empty() && !has(allow.hosts(), name)) return false;
    if (!allow.clusters().empty() && !has(allow.clusters(), cluster)) return false;
  }
  const auto& except = a.except();
  return !has(except.tenants(), tenant) && !has(except.hosts(), name) &&
         (cluster.empty() || !has(except.clusters(), cluster));
}

Subject subject_of(const Snapshot& snapshot, const v1::Enablement& enablement) {
  const auto& spec = enablement.spec();
  Subject out;
  out.tenant = enablement.metadata().tenant();
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      out.vm = snapshot.find<v1::VirtualMachine>(out.tenant, spec.vm());
      break;
    case v1::EnablementSpec::kNic:
      out.vm = snapshot.find<v1::VirtualMachine>(out.tenant, spec.nic().vm());
      if (out.vm)
        for (const auto& nic : out.vm->spec().nics())
          if (nic.name() == spec.nic().nic()) out.network = nic.network();
      break;
    case v1::EnablementSpec::kPool:
      out.pool = spec.pool();
      break;
    case v1::EnablementSpec::kNetwork:
      out.network = spec.network();
      break;
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  return out;
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
