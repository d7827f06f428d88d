#include "host/flow_log.h"

#include <algorithm>
#include <chrono>

#include "abi/policy.h"
#include "net/switch_number.h"

namespace penstock::host {

FlowLog::~FlowLog() {
  if (timer_) runtime_.cancel(*timer_);
}

void FlowLog::seen(const ps_event& event) {
  waiting_.push_back(named(event));
  while (waiting_.size() > static_cast<std::size_t>(runtime_.tunables().flow_log_queue_max)) {
    waiting_.pop_front();
    ++lost_;
  }
  send_soon();
}

v1::LoggedFlow FlowLog::named(const ps_event& event) const {
  v1::LoggedFlow flow;
  // The switch has only CLOCK_MONOTONIC, which is the real runtime's.
  flow.set_time_ns((runtime_.wall().since_epoch - runtime_.now().since_start +
                    Duration(static_cast<std::int64_t>(event.time_ns)))
                       .count());
  flow.set_port_id(event.port_id);
  flow.set_out(event.direction == PS_OUT);
  flow.set_outcome(static_cast<v1::LoggedFlow::Outcome>(event.outcome));
  if (const auto* port = intent_.port(event.port_id))
    for (const auto& step : port->steps())
      if (switch_number(step.policy()) == event.profile) {
        const auto* policy = policies_.find(step.policy());
        const auto* intent = intent_.policy(step.policy());
        const bool known = policy && intent;
        name_rule(step, known ? policy->index[event.direction & 1] : std::vector<std::uint32_t>{},
                  known ? intent->filter() : v1::ResolvedFilter{}, event.rule, flow);
      }
  const auto bytes = event.family == 6 ? 16u : 4u;
  flow.set_source(event.source, bytes);
  flow.set_destination(event.destination, bytes);
  flow.set_protocol(event.protocol);
  if (event.protocol == (event.family == 6 ? 58 : 1)) {
    flow.set_icmp_type(event.source_port >> 8);
    flow.set_icmp_code(event.source_port & 0xff);
  } else {
    flow.set_source_port(event.source_port);
    flow.set_destination_port(event.destination_port);
  }
  if (event.protocol == 6) flow.set_tcp_flags(event.tcp_flags);
  flow.set_length(event.length);
  return flow;
}

void name_rule(const v1::StepIntent& step, const std::vector<std::uint32_t>& index,
               const v1::ResolvedFilter& filter, std::uint32_t number, v1::LoggedFlow& flow) {
  flow.set_profile(step.profile());
  flow.set_level(step.level());
  flow.set_enablement(step.enablement());
  if (number >= index.size()) return;
  flow.set_rule_number(static_cast<int>(index[number]) + 1);
  const auto rule = std::ranges::lower_bound(filter.rules(), index[number], {},
                                             [](const auto& one) { return one.index(); });
  if (rule != filter.rules().end() && rule->index() == index[number]) flow.set_rule(rule->name());
}

void FlowLog::send_soon() {
  if (timer_) return;
  timer_ =
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().flow_log_gather_ms), [this] {
        timer_.reset();
        send();
      });
}

void FlowLog::send() {
  if (!session_.connected()) return send_soon();
  v1::FlowLog log;
  for (auto& flow : waiting_) *log.add_flows() = std::move(flow);
  log.set_lost(std::exchange(lost_, 0));
  waiting_.clear();
  session_.send(std::move(log));
}

}  // namespace penstock::host
