// Keeps the numbers by which the switch knows selectors apart (model/ids.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "compile/plans.h"

namespace penstock {

class SelectorNumbers {
 public:
  explicit SelectorNumbers(PlanCache& plans) : plans_(plans) {}

  // kInvalidArgument: a selector of the profile (or of a profile of the definition) that is edited
  // has the number of another selector of a published profile. An edit costs what its own profiles
  // have; only when a number has been met before are all profiles looked at.
  Status check(const Snapshot& after, const ObjectKey& edited);

 private:
  PlanCache& plans_;
  // Every selector that has been looked at since it was last filled: more than there are, never
  // fewer.
  std::map<std::uint32_t, std::set<std::string>> seen_;
  std::size_t noted_ = 0, noted_when_filled_ = 0;
  bool filled_ = false;

  bool note(const ProfilePlan&);
  void fill(const Snapshot&);
};

}  // namespace penstock
