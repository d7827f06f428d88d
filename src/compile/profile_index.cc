#include "compile/profile_index.h"

#include <algorithm>
#include <set>

namespace penstock {
namespace {

constexpr char kSeparator = '\x1f';  // in no name and no selector

std::string prefix_of(std::string_view part) {
  return std::string(part) + kSeparator;
}

std::vector<std::string> tenants_named(const v1::ServiceProfile& profile) {
  const auto& availability = profile.spec().availability();
  const auto& tenants = availability.allow().tenants();
  if (availability.everyone() || tenants.empty()) return {""};
  return {tenants.begin(), tenants.end()};
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
  for (const auto& tenant : tenants_named(*plan->profile))
    set(by_tenant_, prefix_of(tenant) + name);
  for (const auto& level : plan->levels)
    if (level.plan)
      for (const auto& [text, selector] : level.plan->groups())
        set(by_selector_, prefix_of(text) + name);
}

PlanPtr ProfileIndex::find(std::string_view profile) const {
  const auto* found = by_name_.find(profile);
  return found ? *found : nullptr;
}

std::vector<PlanPtr> ProfileIndex::below(const Plans& plans, const std::string& prefix) {
  std::vector<PlanPtr> out;
  plans.each_from(prefix, [&](const std::string& key, const PlanPtr& plan) {
    if (!key.starts_with(prefix)) return false;
    out.push_back(plan);
    return true;
  });
  return out;
}

std::vector<PlanPtr> ProfileIndex::for_tenant(std::string_view tenant) const {
  auto out = below(by_tenant_, prefix_of(""));
  const auto open = static_cast<std::ptrdiff_t>(out.size());
  if (auto own = below(by_tenant_, prefix_of(tenant)); !tenant.empty())
    out.insert(out.end(), own.begin(), own.end());
  std::inplace_merge(out.begin(), out.begin() + open, out.end(), [](const auto& a, const auto& b) {
    return a->profile->metadata().name() < b->profile->metadata().name();
  });
  return out;
}

std::vector<PlanPtr> ProfileIndex::naming(std::string_view selector_text) const {
  return below(by_selector_, prefix_of(selector_text));
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
