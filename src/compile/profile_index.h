// Published profiles that can be compiled, by name and by the selectors their rules name. Immutable
// like snapshots: an edit gives a new index that shares all but what changed, so that one profile
// of ten thousand costs no more than one of ten.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/persistent_map.h"
#include "compile/plans.h"

namespace penstock {

using PlanPtr = std::shared_ptr<const ProfilePlan>;

class ProfileIndex {
 public:
  ProfileIndex() = default;
  ProfileIndex(const Snapshot&, PlanCache&);
  [[nodiscard]] ProfileIndex with(const Snapshot& after, PlanCache&, std::span<const Edit>) const;

  PlanPtr find(std::string_view profile) const;  // nullptr: not published, or cannot be compiled
  // Those with rules that name this selector, sorted by name.
  std::vector<PlanPtr> naming(std::string_view selector_text) const;
  // nullptr: no profile names such a selector.
  const v1::LabelSelector* selector(std::string_view text) const;

 private:
  using Plans = PersistentMap<std::string, PlanPtr>;
  void enter(const PlanPtr&, bool present);

  Plans by_name_;
  Plans by_selector_;  // text, profile
};

}  // namespace penstock
