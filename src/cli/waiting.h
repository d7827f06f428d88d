// What `wait` waits for, judged on one state of the object.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::cli {

struct Goal {
  enum class What { kCondition, kApplied, kDeleted };
  What what = What::kCondition;
  std::string type = "Ready";  // of kCondition
  std::string state = "TRUE";
};
// "ready", "applied", "deleted", "condition=Ready", "condition=Ready=FALSE".
Result<Goal> parse_goal(std::string_view);

struct Reached {
  enum class State {
    kYes,
    kNotYet,
    kNever,  // going on is hopeless: deleted under the wait, or every host that has not applied it
             // gave up
  };
  State state = State::kNotYet;
  std::string
      text;  // "ready", or what is missing: hosts by name, the condition's reason and message
};
// `object`: null when it is not there; `seen`: it was there before.
Reached judge(const Goal&, const Json* object, bool seen);

// Reasons of a condition that time alone will not change: every host that has not applied the
// object gave up, nobody asked for it, or it was refused. What waits for approval may be granted
// any moment.
inline constexpr std::array<std::string_view, 3> kTerminalReasons{"Failed", "NotPublished",
                                                                  "Refused"};

}  // namespace penstock::cli
