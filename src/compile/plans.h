// Plans of profiles: definition and profile put together, parsed once. A memo keyed by the very
// messages.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/snapshot.h"
#include "model/step_kind.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

struct LevelPlan {
  std::string level;
  std::shared_ptr<const StepPlan>
      plan;               // nullptr: it cannot be planned; admission refuses such profiles
  v1::StepLimits limits;  // for each NIC it is on
};
struct ProfilePlan {
  std::shared_ptr<const v1::ServiceProfile> profile;
  std::shared_ptr<const v1::ServiceDefinition> definition;
  std::string kind;  // "filter"
  std::vector<LevelPlan> levels;

  const StepPlan* find(std::string_view level) const;
  const LevelPlan* level(std::string_view name) const;
};

class PlanCache {
 public:
  explicit PlanCache(const StepKinds& kinds) : kinds_(kinds) {}
  // nullptr: not published, no definition, or a mode without a step kind in this build.
  std::shared_ptr<const ProfilePlan> published(const Snapshot&,
                                               const std::shared_ptr<const v1::ServiceProfile>&);
  std::shared_ptr<const ProfilePlan> published(const Snapshot& snapshot, std::string_view profile);

 private:
  using Key = std::pair<const void*, const void*>;
  const StepKinds& kinds_;
  std::map<Key, std::shared_ptr<const ProfilePlan>>
      plans_;  // the plan keeps both messages alive, so keys are sure
};

}  // namespace penstock
