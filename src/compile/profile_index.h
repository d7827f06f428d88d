// Published profiles that can be compiled, by everything the compiler looks them up by. Immutable
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
  // Those whose availability does not leave the tenant out by its name alone, sorted by name.
  std::vector<PlanPtr> for_tenant(std::string_view tenant) const;
  // Those with rules that name this selector, sorted by name.
  std::vector<PlanPtr> naming(std::string_view selector_text) const;
  // nullptr: no profile names such a selector.
  const v1::LabelSelector* selector(std::string_view text) const;

 private:
  using Plans = PersistentMap<std::string, PlanPtr>;
  void enter(const PlanPtr&, bool present);
  static std::vector<PlanPtr> below(const Plans&, const std::string& prefix);

  Plans by_name_;
  Plans by_tenant_;    // tenant, profile; tenant "": those that name no tenants
  Plans by_selector_;  // text, profile
};

}  // namespace penstock
