#include <algorithm>

#include <fmt/format.h>

#include "model/availability.h"
#include "model/labels.h"
#include "model/schema.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

// References that were there before are not looked up again: what they named may be gone, which is
// no fault of whoever changes something else.
class ScopeCheck {
 public:
  ScopeCheck(const Snapshot& snapshot, const v1::Scope& scope, const v1::Scope& before,
             Problems& problems, std::string path)
      : snapshot_(snapshot),
        scope_(scope),
        before_(before),
        problems_(problems),
        path_(std::move(path)) {}

  void run() {
    plain<v1::Tenant>(scope_.tenants(), before_.tenants(), "tenants");
    plain<v1::Group>(scope_.groups(), before_.groups(), "groups");
    plain<v1::Host>(scope_.hosts(), before_.hosts(), "hosts");
    plain<v1::Cluster>(scope_.clusters(), before_.clusters(), "clusters");
    qualified<v1::VirtualNetwork>(scope_.networks(), before_.networks(), "networks");
    qualified<v1::VirtualMachine>(scope_.vms(), before_.vms(), "vms");
    qualified<v1::VmPool>(scope_.pools(), before_.pools(), "pools");
    if (scope_.has_vm_labels())
      check_selector(scope_.vm_labels(), problems_, field_path(path_, "vmLabels"));
  }

 private:
  const Snapshot& snapshot_;
  const v1::Scope& scope_;
  const v1::Scope& before_;
  Problems& problems_;
  const std::string path_;

  static bool had(const Strings& before, const std::string& name) {
    return std::ranges::find(before, name) != before.end();
  }
  std::string at(const char* field, int i) const {
    return field_path(field_path(path_, field), static_cast<std::size_t>(i));
  }
  template <typename T>
  void plain(const Strings& names, const Strings& before, const char* field) {
    for (int i = 0; i < names.size(); ++i)
      if (!had(before, names[i])) check_exists<T>(snapshot_, "", names[i], problems_, at(field, i));
  }
  template <typename T>
  void qualified(const Strings& names, const Strings& before, const char* field) {
    for (int i = 0; i < names.size(); ++i) {
      if (had(before, names[i])) continue;
      const auto slash = names[i].find('/');
      if (slash == std::string::npos)
        problems_.add(at(field, i), fmt::format("\"{}\" names no tenant", names[i].substr(0, 80)),
                      "\"tenant/name\"");
      else
        check_exists<T>(snapshot_, names[i].substr(0, slash), names[i].substr(slash + 1), problems_,
                        at(field, i));
    }
  }
};

void check_levels(const v1::ServiceDefinition& definition, const v1::ServiceProfile& profile,
                  Problems& problems) {
  std::vector<std::string> known;
  for (const auto& level : definition.spec().levels()) known.push_back(level.name());
  std::set<std::string> seen;
  for (int i = 0; i < profile.spec().levels_size(); ++i) {
    const auto& level = profile.spec().levels(i);
    const auto at = field_path("spec.levels", static_cast<std::size_t>(i));
    if (std::ranges::find(known, level.name()) == known.end()) {
      auto hint = did_you_mean(level.name(), known);
      problems.add(field_path(at, "name"),
                   fmt::format("the definition {} has no level \"{}\"",
                               definition.metadata().name(), level.name()),
                   hint.empty() ? fmt::format("its levels: {}", fmt::join(known, ", ")) : hint);
    }
    check_unique(seen, level.name(), problems, field_path(at, "name"));
    check_limits(level.limits(), problems, field_path(at, "limits"));
  }
  if (allowed_levels(definition, profile).empty())
    problems.add("spec.levels", "leaves no level that is allowed");
}

// Values that the profile gives against the schema and against what the definition fixes.
void check_values(const v1::ServiceDefinition& definition, const v1::ServiceProfile& profile,
                  Problems& problems) {
  Problems ignored;
  const auto schema = Schema::parse(definition.spec().parameters(), ignored, "");
  schema.check(to_json(profile.spec().parameters()), problems, "spec.parameters", false);
  for (int i = 0; i < profile.spec().levels_size(); ++i) {
    const auto& level = profile.spec().levels(i);
    const auto at =
        field_path(field_path("spec.levels", static_cast<std::size_t>(i)), "parameters");
    const auto given = to_json(level.parameters());
    schema.check(given, problems, at, false);
    for (const auto& fixed : definition.spec().levels()) {
      if (fixed.name() != level.name()) continue;
      const auto values = to_json(fixed.parameters());
      for (const auto& [name, value] : given.items())
        if (values.contains(name) && values[name] != value)
          problems.add(
              field_path(at, name),
              fmt::format("the definition fixes it at {} for this level", values[name].dump()));
    }
  }
  if (problems.any()) return;
  Problems incomplete;
  for (const auto& level : allowed_levels(definition, profile))
    schema.check(effective_parameters(definition, profile, level.name()), incomplete,
                 "spec.parameters", true);
  std::set<std::string> said;
  for (const auto& p : incomplete.details())
    if (said.insert(p.field + p.message).second) problems.add(p.field, p.message, p.hint);
}

// Where the profile gave the parameter.
std::string where_given(const v1::ServiceProfile& profile, const std::string& level,
                        const std::string& name) {
  for (int i = 0; i < profile.spec().levels_size(); ++i)
    if (profile.spec().levels(i).name() == level &&
        profile.spec().levels(i).parameters().fields().contains(name))
      return field_path("spec.levels", static_cast<std::size_t>(i)) + ".parameters." + name;
  return "spec.parameters." + name;
}

}  // namespace

void check_plan(const v1::ServiceDefinition& definition, const v1::ServiceProfile& profile,
                const StepKinds& kinds, Problems& problems) {
  Problems own;
  check_levels(definition, profile, own);
  check_values(definition, profile, own);
  const auto* kind = kinds.find(mode_of(definition.spec()));
  std::set<std::string> said;  // levels mostly say the same
  if (!own.any() && kind)
    for (const auto& level : allowed_levels(definition, profile)) {
      Problems of_level;
      kind->plan(definition.spec(), effective_parameters(definition, profile, level.name()),
                 of_level);
      for (const auto& p : of_level.details()) {
        const bool given = p.field.starts_with("parameters.");
        auto field =
            given ? where_given(profile, level.name(), p.field.substr(11)) : "spec.definition";
        auto message = given ? p.message : fmt::format("{}: {}", p.field, p.message);
        if (said.insert(field + message).second)
          own.add(std::move(field), std::move(message), p.hint);
      }
    }
  for (const auto& p : own.details()) problems.add(p.field, p.message, p.hint);
}

void validate(const v1::ServiceProfile& profile, const ValidateContext& context,
              Problems& problems) {
  const auto& spec = profile.spec();
  const auto& name = profile.metadata().name();
  const auto* before = context.before<v1::ServiceProfile>();
  const v1::Availability none;
  const auto& was = before ? before->spec().availability() : none;
  ScopeCheck(context.snapshot, spec.availability().allow(), was.allow(), problems,
             "spec.availability.allow")
      .run();
  ScopeCheck(context.snapshot, spec.availability().except(), was.except(), problems,
             "spec.availability.except")
      .run();
  // As with availability: a group that is gone since only grants nothing any more.
  v1::Scope approvers, approved_by;
  *approvers.mutable_groups() = spec.approval().groups();
  if (before) *approved_by.mutable_groups() = before->spec().approval().groups();
  ScopeCheck(context.snapshot, approvers, approved_by, problems, "spec.approval").run();
  if (!check_exists<v1::ServiceDefinition>(context.snapshot, "", spec.definition(), problems,
                                           "spec.definition"))
    return;
  const auto definition = context.snapshot.find<v1::ServiceDefinition>(spec.definition());
  if (definition->spec().draft()) {
    context.refuse(Code::kFailedPrecondition,
                   fmt::format("the definition {} is still a draft", spec.definition()),
                   "submit it first");
    return;
  }
  check_plan(*definition, profile, *context.admit.step_kinds, problems);

  const auto mode = mode_of(definition->spec());
  if (spec.published() && !context.admit.step_kinds->find(mode))
    context.refuse(
        Code::kUnimplemented,
        fmt::format(
            "the profile {} cannot be published: this build cannot carry out services of mode {}",
            name, mode),
        fmt::format("it can: {}", fmt::join(context.admit.step_kinds->names(), ", ")));
  if (!before) return;
  const auto levels = allowed_levels(*definition, profile);
  for (const auto& key : context.snapshot.enablements_of_profile(name)) {
    const auto enablement = context.snapshot.find<v1::Enablement>(key.tenant, key.name);
    if (!spec.published())
      context.refuse(
          Code::kFailedPrecondition,
          fmt::format("the profile {} is enabled ({}): it cannot be withdrawn", name, key.text()),
          "disable it everywhere first");
    else if (std::ranges::find(levels, enablement->spec().level(), &v1::Level::name) ==
             levels.end())
      context.refuse(Code::kFailedPrecondition,
                     fmt::format("level {} of profile {} is enabled ({}): it cannot be withdrawn",
                                 enablement->spec().level(), name, key.text()));
  }
}

}  // namespace penstock
