// Waiting until hosts have applied something: `?wait=applied`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/runtime.h"
#include "server/status.h"

namespace penstock {

struct WaitResult {
  bool deadline_passed = false;
  bool failed = false;  // every host has either applied it or given up until something changes
  v1::Rollout rollout;
};

// A wait ends when all hosts have applied the items, when those that have not will not try again by
// themselves, or at the deadline; whatever comes first. An ack looks only at waits that it can end.
class Waits {
 public:
  Waits(Runtime& runtime, const HostSessions& sessions) : runtime_(runtime), sessions_(sessions) {}

  // `done` runs in a later turn or in that of the ack; never within this call.
  void wait(Targets, std::int64_t revision, Duration deadline,
            std::move_only_function<void(WaitResult)> done);
  // Something happened on this host.
  void progress(const std::string& host);

  std::size_t waiting() const { return waits_.size(); }

 private:
  struct Wait {
    Targets targets, open;  // all; those not settled yet
    std::int64_t revision = 0;
    bool failed = false;
    TimerId timer{};
    std::move_only_function<void(WaitResult)> done;
  };
  // True when the host has nothing more to come for this wait; otherwise it is queued at its host.
  bool settle(std::uint64_t id, Wait&, const std::string& host);
  void finish(std::uint64_t id, bool deadline_passed);

  Runtime& runtime_;
  const HostSessions& sessions_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, Wait> waits_;
  // By host: revision that must be acknowledged before a look is worth it -> wait.
  std::map<std::string, std::multimap<std::int64_t, std::uint64_t>> by_host_;
};

}  // namespace penstock
