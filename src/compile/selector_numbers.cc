#include "compile/selector_numbers.h"

#include <fmt/format.h>

#include "model/ids.h"

namespace penstock {
namespace {

constexpr std::size_t kStaleMost = 4096;

struct Named {
  std::string text, profile;
};

template <typename F>  // f(const ProfilePlan&)
void each_published(const Snapshot& snapshot, PlanCache& plans, F&& f) {
  snapshot.each(kind_of<v1::ServiceProfile>(),
                [&](const ObjectKey&, const MessagePtr& object, std::int64_t) {
                  if (const auto plan = plans.published(
                          snapshot, std::static_pointer_cast<const v1::ServiceProfile>(object)))
                    f(*plan);
                  return true;
                });
}

template <typename F>  // f(const std::string& text)
void each_selector(const ProfilePlan& plan, F&& f) {
  for (const auto& level : plan.levels)
    if (level.plan)
      for (const auto& [text, selector] : level.plan->groups()) f(text);
}

std::string shown(const std::string& text) {
  return text.empty() ? "all VMs" : text;
}

}  // namespace

// True: one of its selectors has a number that another text had.
bool SelectorNumbers::note(const ProfilePlan& plan) {
  bool met = false;
  each_selector(plan, [&](const std::string& text) {
    auto& texts = seen_[selector_number(text)];
    noted_ += texts.insert(text).second ? 1 : 0;
    met |= texts.size() > 1;
  });
  return met;
}

void SelectorNumbers::fill(const Snapshot& snapshot) {
  seen_.clear();
  noted_ = 0;
  each_published(snapshot, plans_, [&](const ProfilePlan& plan) { note(plan); });
  noted_when_filled_ = noted_;
  filled_ = true;
}

Status SelectorNumbers::check(const Snapshot& after, const ObjectKey& edited) {
  std::vector<std::string> profiles{edited.name};
  if (edited.kind == &kind_of<v1::ServiceDefinition>())
    profiles = after.profiles_of_definition(edited.name);
  if (!filled_ || noted_ > 2 * noted_when_filled_ + kStaleMost) fill(after);
  std::map<std::uint32_t, Named> own;
  bool met = false;
  for (const auto& name : profiles) {
    const auto plan = plans_.published(after, name);
    if (!plan) continue;
    met |= note(*plan);
    each_selector(*plan, [&](const std::string& text) {
      own.try_emplace(selector_number(text), Named{text, name});
    });
  }
  if (!met) return {};
  Status status;
  each_published(after, plans_, [&](const ProfilePlan& plan) {
    each_selector(plan, [&](const std::string& text) {
      const auto found = own.find(selector_number(text));
      if (!status || found == own.end() || found->second.text == text) return;
      const auto& mine = found->second;
      status =
          fail(Code::kInvalidArgument,
               fmt::format("{}: selector \"{}\" of profile {} has the same number in the switch as "
                           "\"{}\" of profile {}",
                           edited.describe(), shown(mine.text), mine.profile, shown(text),
                           plan.profile->metadata().name()),
               "write one of them differently, for example with a requirement that holds anyway: "
               "\"role=web,role\" instead of \"role=web\"");
    });
  });
  return status;
}

}  // namespace penstock
