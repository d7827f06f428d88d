#include "compile/profile_index.h"

#include <algorithm>
#include <set>

namespace penstock {
namespace {

constexpr char kSeparator = '\x1f';  // in no name and no selector

std::string prefix_of(std::string_view part) {
  return std::string(part) + kSeparator;
}

}  // namespace

ProfileIndex::ProfileIndex(const Snapshot& snapshot, PlanCache& plans) {
  snapshot.each(
      kind_of<v1::ServiceProfile>(), [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
        enter(plans.published(snapshot, std::static_pointer_cast<const v1::ServiceProfile>(object)),
              true);
        return true;
      });
}

ProfileIndex ProfileIndex::with(const Snapshot& after, PlanCache& plans,
                                std::span<const Edit> edits) const {
  std::set<std::string> names;
  for (const auto& edit : edits) {
    if (edit.key.kind == &kind_of<v1::ServiceProfile>()) names.insert(edit.key.name);
    if (edit.key.kind == &kind_of<v1::ServiceDefinition>())
      for (auto& name : after.profiles_of_definition(edit.key.name)) names.insert(std::move(name));
  }
  ProfileIndex out = *this;
  for (const auto& name : names) {
    out.enter(out.find(name), false);
    out.enter(plans.published(after, name), true);
  }
  return out;
}

void ProfileIndex::enter(const PlanPtr& plan, bool present) {
  if (!plan) return;
  const auto set = [&](Plans& plans, std::string key) {
    plans = present ? plans.set(std::move(key), plan) : plans.erase(key);
  };
  const auto& name = plan->profile->metadata().name();
  set(by_name_, name);
  for (const auto& level : plan->levels)
    if (level.plan)
      for (const auto& [text, selector] : level.plan->groups())
        set(by_selector_, prefix_of(text) + name);
}

PlanPtr ProfileIndex::find(std::string_view profile) const {
  const auto* found = by_name_.find(profile);
  return found ? *found : nullptr;
}

std::vector<PlanPtr> ProfileIndex::naming(std::string_view selector_text) const {
  const auto prefix = prefix_of(selector_text);
  std::vector<PlanPtr> out;
  by_selector_.each_from(prefix, [&](const std::string& key, const PlanPtr& plan) {
    if (!key.starts_with(prefix)) return false;
    out.push_back(plan);
    return true;
  });
  return out;
}

const v1::LabelSelector* ProfileIndex::selector(std::string_view text) const {
  for (const auto& plan : naming(text))
    for (const auto& level : plan->levels) {
      if (!level.plan) continue;
      const auto found = level.plan->groups().find(std::string(text));
      if (found != level.plan->groups().end()) return &found->second;
    }
  return nullptr;
}

}  // namespace penstock
