#include <algorithm>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "model/availability.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

std::string target_text(const v1::EnablementSpec& spec) {
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      return "VM " + spec.vm();
    case v1::EnablementSpec::kNic:
      return fmt::format("NIC {} of VM {}", spec.nic().nic(), spec.nic().vm());
    case v1::EnablementSpec::kPool:
      return "pool " + spec.pool();
    case v1::EnablementSpec::kNetwork:
      return "network " + spec.network();
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  return "nothing";
}

bool check_target(const v1::Enablement& e, const ValidateContext& context, Problems& problems) {
  const auto& tenant = e.metadata().tenant();
  const auto& spec = e.spec();
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      return check_exists<v1::VirtualMachine>(context.snapshot, tenant, spec.vm(), problems,
                                              "spec.vm");
    case v1::EnablementSpec::kPool:
      return check_exists<v1::VmPool>(context.snapshot, tenant, spec.pool(), problems, "spec.pool");
    case v1::EnablementSpec::kNetwork:
      return check_exists<v1::VirtualNetwork>(context.snapshot, tenant, spec.network(), problems,
                                              "spec.network");
    case v1::EnablementSpec::kNic: {
      if (!check_exists<v1::VirtualMachine>(context.snapshot, tenant, spec.nic().vm(), problems,
                                            "spec.nic.vm"))
        return false;
      const auto vm = context.snapshot.find<v1::VirtualMachine>(tenant, spec.nic().vm());
      std::vector<std::string> names;
      for (const auto& nic : vm->spec().nics()) names.push_back(nic.name());
      if (std::ranges::find(names, spec.nic().nic()) != names.end()) return true;
      problems.add("spec.nic.nic",
                   fmt::format("VM {} has no NIC \"{}\"", spec.nic().vm(), spec.nic().nic()),
                   did_you_mean(spec.nic().nic(), names));
      return false;
    }
    case v1::EnablementSpec::TARGET_NOT_SET:
      problems.add("spec", "names no target", "exactly one of vm, nic, pool, network");
      return false;
  }
  return false;
}

// VMs of the tenant on which the profile is on at the level, the proposal included. One VM counts
// once.
std::size_t users(const Snapshot& snapshot, const v1::Enablement& proposal) {
  std::set<std::string> vms;
  const auto& tenant = proposal.metadata().tenant();
  const auto count = [&](const v1::EnablementSpec& spec) {
    if (spec.has_vm())
      vms.insert(spec.vm());
    else if (spec.has_nic())
      vms.insert(spec.nic().vm());
    else if (spec.has_pool())
      for (auto& vm : snapshot.vms_of_pool(tenant, spec.pool())) vms.insert(std::move(vm));
    else if (spec.has_network())
      for (auto& nic : snapshot.nics_of_network(tenant, spec.network()))
        vms.insert(std::move(nic.vm));
  };
  count(proposal.spec());
  for (const auto& name : snapshot.enablements_of_profile(proposal.spec().profile(), tenant)) {
    if (name == proposal.metadata().name()) continue;
    const auto other = snapshot.find<v1::Enablement>(tenant, name);
    if (other->spec().level() == proposal.spec().level()) count(other->spec());
  }
  return vms.size();
}

}  // namespace

void validate(const v1::Enablement& enablement, const ValidateContext& context,
              Problems& problems) {
  const auto& spec = enablement.spec();
  const auto& snapshot = context.snapshot;
  const auto* before = context.before<v1::Enablement>();
  const bool target = check_target(enablement, context, problems);
  const auto profile = snapshot.find<v1::ServiceProfile>(spec.profile());
  const auto definition =
      profile ? snapshot.find<v1::ServiceDefinition>(profile->spec().definition()) : nullptr;
  // To its users a profile that is not in their catalog is not there.
  const auto hidden = [&] {
    if (before || context.admit.user_is_administrator) return false;
    Subject reader;
    reader.tenant = enablement.metadata().tenant();
    reader.user_groups = context.admit.user_groups;
    return !available(snapshot, *profile, reader);
  };
  if (!definition || !profile->spec().published() || hidden()) {
    if (definition && context.admit.user_is_administrator)
      context.refuse(Code::kFailedPrecondition,
                     fmt::format("the profile {} is not published", spec.profile()),
                     "publish it first");
    else
      problems.add("spec.profile", fmt::format("there is no profile \"{}\" in the catalog",
                                               spec.profile().substr(0, 80)));
    return;
  }
  const auto levels = allowed_levels(*definition, *profile);
  const auto level = std::ranges::find(levels, spec.level(), &v1::Level::name);
  if (level == levels.end()) {
    std::vector<std::string> names;
    for (const auto& l : levels) names.push_back(l.name());
    auto hint = did_you_mean(spec.level(), names);
    problems.add(
        "spec.level",
        fmt::format("the profile {} does not offer level \"{}\"", spec.profile(), spec.level()),
        hint.empty() ? fmt::format("it offers: {}", fmt::join(names, ", ")) : hint);
  }
  if (before) {
    v1::EnablementSpec a = before->spec(), b = spec;
    for (auto* s : {&a, &b})
      s->clear_level(), s->clear_definition_version(), s->clear_profile(), s->clear_observe();
    if (!google::protobuf::util::MessageDifferencer::Equals(a, b))
      problems.add("spec",
                   fmt::format("the target may not change (it is {})", target_text(before->spec())),
                   "disable it and enable it elsewhere");
  }
  if (!target || problems.any()) return;

  auto subject = subject_of(snapshot, enablement);
  if (!context.admit.user_is_administrator) subject.user_groups = context.admit.user_groups;
  // What is on stays on when availability is narrowed; only a new use is judged.
  if (const auto why = why_not_available(snapshot, *profile, subject); !before && !why.empty())
    context.refuse(Code::kFailedPrecondition,
                   fmt::format("the profile {} cannot be enabled on {}: {}", spec.profile(),
                               target_text(spec), why));
  if (!before)
    if (const auto other = find_enablement(snapshot, enablement);
        other && other->metadata().name() != enablement.metadata().name())
      context.refuse(Code::kAlreadyExists,
                     fmt::format("the profile {} is on for {} already, as enablement {}",
                                 spec.profile(), target_text(spec), other->metadata().name()),
                     "change the level of that one");
  if (const auto most = level->limits().users();
      most > 0 && (!before || before->spec().level() != spec.level())) {
    if (const auto n = users(snapshot, enablement); n > static_cast<std::size_t>(most))
      context.refuse(
          Code::kResourceExhausted,
          fmt::format("level {} of profile {} is for {} VMs of a tenant; this would make {}",
                      spec.level(), spec.profile(), most, n));
  }
}

}  // namespace penstock
