#include "compile/plans.h"

#include "model/availability.h"
#include "model/json.h"

namespace penstock {

namespace {

v1::StepLimits limits_of(const v1::Limits& limits) {
  v1::StepLimits out;
  out.set_rate_bits_per_second(limits.rate_bits_per_second());
  out.set_connections(limits.connections());
  out.set_connections_per_second(limits.connections_per_second());
  return out;
}

}  // namespace

const LevelPlan* ProfilePlan::level(std::string_view name) const {
  for (const auto& l : levels)
    if (l.level == name) return &l;
  return nullptr;
}

const StepPlan* ProfilePlan::find(std::string_view name) const {
  const auto* found = level(name);
  return found ? found->plan.get() : nullptr;
}

std::shared_ptr<const ProfilePlan> PlanCache::published(
    const Snapshot& snapshot, const std::shared_ptr<const v1::ServiceProfile>& profile) {
  if (!profile || !profile->spec().published()) return nullptr;
  auto definition = snapshot.find<v1::ServiceDefinition>(profile->spec().definition());
  if (!definition) return nullptr;
  const Key key{profile.get(), definition.get()};
  if (const auto it = plans_.find(key); it != plans_.end()) return it->second;

  const auto mode = mode_of(definition->spec());
  const auto* kind = kinds_.find(mode);
  if (!kind) return nullptr;
  auto plan = std::make_shared<ProfilePlan>();
  plan->profile = profile;
  plan->definition = definition;
  plan->kind = mode;
  for (const auto& level : allowed_levels(*definition, *profile)) {
    Problems problems;
    plan->levels.push_back(
        {level.name(),
         kind->plan(definition->spec(), effective_parameters(*definition, *profile, level.name()),
                    problems),
         limits_of(level.limits())});
  }
  // Old versions go when there are as many of them as there are profiles.
  if (plans_.size() > 2 * snapshot.count(kind_of<v1::ServiceProfile>()) + 16) plans_.clear();
  plans_[key] = plan;
  return plan;
}

std::shared_ptr<const ProfilePlan> PlanCache::published(const Snapshot& snapshot,
                                                        std::string_view profile) {
  return published(snapshot, snapshot.find<v1::ServiceProfile>(profile));
}

}  // namespace penstock
