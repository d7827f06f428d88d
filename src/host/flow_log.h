// What rules with `log` decided, on its way from the switch to the server: named, gathered,
// bounded.
#pragma once

#include <deque>
#include <optional>

#include "abi/events.h"
#include "base/runtime.h"
#include "host/intent.h"
#include "host/policy_table.h"
#include "host/session.h"

namespace penstock::host {

// Says which rule it was that decided: `number` is the switch's, `index` tells its place in the
// profile's list.
void name_rule(const v1::StepIntent&, const std::vector<std::uint32_t>& index,
               const v1::ResolvedFilter&, std::uint32_t number, v1::LoggedFlow&);

class FlowLog {
 public:
  // All of them must outlive it.
  FlowLog(Runtime& runtime, const Intent& intent, const PolicyTable& policies, Session& session)
      : runtime_(runtime), intent_(intent), policies_(policies), session_(session) {}
  ~FlowLog();

  // A record of the switch. Kept until the server can have it, the newest flow_log_queue_max.
  void seen(const ps_event&);

  std::size_t waiting() const { return waiting_.size(); }
  std::int64_t lost() const { return lost_; }  // since the last message

 private:
  v1::LoggedFlow named(const ps_event&) const;
  void send_soon();
  void send();

  Runtime& runtime_;
  const Intent& intent_;
  const PolicyTable& policies_;
  Session& session_;
  std::deque<v1::LoggedFlow> waiting_;
  std::int64_t lost_ = 0;
  std::optional<TimerId> timer_;
};

}  // namespace penstock::host
