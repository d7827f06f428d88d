#include "host/counters.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "host/switch/switch_abi.h"
#include "net/switch_number.h"

namespace penstock::host {

struct Counters::Question {
  struct Range {
    std::uint64_t policy = 0;
    ps_direction direction{};
    std::uint32_t image = 0;
  };
  std::uint64_t id = 0;
  CountsWanted wanted;
  std::vector<Range> ranges;  // what wanted.rules are
  bool uncounted = false;     // some step that was asked for counts nothing
};

Counters::Counters(Runtime& runtime, Kernel& kernel, const Intent& intent,
                   const Reconciler& reconciler, Send send)
    : runtime_(runtime),
      kernel_(kernel),
      intent_(intent),
      reconciler_(reconciler),
      send_(std::move(send)),
      self_(std::make_shared<Counters*>(this)) {}

void Counters::take(const v1::CountersOrder& order) {
  Question question;
  question.id = order.id();
  std::map<std::uint32_t, std::uint64_t> numbers;
  for (const auto id : order.policies()) numbers[switch_number(id)] = id;
  const auto& ports = reconciler_.ports();
  std::vector<PortId> counting;
  for (const auto id : order.ports()) {
    const PortId port(id);
    const auto slot = ports.table().slot_of(port);
    if (!slot) continue;
    question.wanted.ports.push_back({port, *slot});
    counting.push_back(port);
  }
  if (order.ports().empty()) counting = ports.table().ports();
  std::set<std::uint32_t> seen;
  for (const auto port : counting) {
    const auto* held = ports.steps(port);
    for (const auto direction : {PS_OUT, PS_IN}) {
      if (!held) continue;
      for (const auto& step : (*held)[direction].steps) {
        const auto policy = numbers.find(step.number);
        if (policy == numbers.end()) continue;
        if (step.counts == 0) question.uncounted = true;
        if (step.counts == 0 || !seen.insert(step.counts).second) continue;
        question.wanted.rules.push_back({step.counts, step.count});
        question.ranges.push_back({policy->second, direction, step.image});
      }
    }
  }
  auto wanted = question.wanted;
  kernel_.count(std::move(wanted), [this, question = std::move(question),
                                    still_there = std::weak_ptr(self_)](Result<Counts> counts) {
    if (still_there.expired()) return;
    if (counts) return answer(question, *counts);
    v1::CountersReport report;
    report.set_id(question.id);
    report.set_code(std::string(name(counts.error().code)));
    report.set_message(counts.error().text());
    send_(report);
  });
}

void Counters::answer(const Question& question, const Counts& counts) {
  v1::CountersReport report;
  report.set_id(question.id);
  // The numbers are good as far as they go; the code says that there are more.
  if (question.uncounted) {
    report.set_code(std::string(name(Code::kResourceExhausted)));
    report.set_message("not all rules are counted: the host's tunable rule_counters is too low");
  }
  name_rules(question, counts, report);
  for (std::size_t i = 0; i < counts.ports.size(); ++i) {
    const auto& port = counts.ports[i];
    auto& out = *report.add_ports();
    out.set_port_id(question.wanted.ports[i].port.value);
    out.set_packets_out(static_cast<std::int64_t>(port.packets[PS_OUT]));
    out.set_packets_in(static_cast<std::int64_t>(port.packets[PS_IN]));
    out.set_bytes_out(static_cast<std::int64_t>(port.bytes[PS_OUT]));
    out.set_bytes_in(static_cast<std::int64_t>(port.bytes[PS_IN]));
    out.set_flows(static_cast<std::int64_t>(port.flows));
    for (const auto& [reason, packets] : port.drops)
      if (packets != 0 && reason < drop_reasons().size())
        (*out.mutable_drops())[std::string(drop_reasons()[reason].name)] =
            static_cast<std::int64_t>(packets);
  }
  send_(report);
}

void Counters::name_rules(const Question& question, const Counts& counts,
                          v1::CountersReport& report) const {
  // The switch has only CLOCK_MONOTONIC, which is the real runtime's.
  const auto boot = runtime_.wall().since_epoch - runtime_.now().since_start;
  std::map<std::pair<std::uint64_t, std::uint32_t>, v1::RuleCount> sums;
  for (std::size_t i = 0; i < counts.rules.size(); ++i) {
    const auto& range = question.ranges[i];
    const auto* policy = reconciler_.policies().find(range.policy);
    // The policy has changed while its counts were read, or the port still has an older one.
    if (!policy || policy->image[range.direction] != range.image) continue;
    const auto& index = policy->index[range.direction];
    for (std::size_t rule = 0; rule < counts.rules[i].size() && rule <= index.size(); ++rule) {
      const auto& count = counts.rules[i][rule];
      const auto number = rule == 0 ? 0 : index[rule - 1] + 1;
      auto& sum = sums[{range.policy, number}];
      sum.set_policy(range.policy);
      sum.set_rule_number(number);
      sum.set_flows(sum.flows() + static_cast<std::int64_t>(count.flows));
      sum.set_packets(sum.packets() + static_cast<std::int64_t>(count.packets));
      sum.set_bytes(sum.bytes() + static_cast<std::int64_t>(count.bytes));
      sum.set_would_deny(sum.would_deny() + static_cast<std::int64_t>(count.would_deny));
      if (count.last_ns != 0)
        sum.set_last_ns(std::max<std::int64_t>(
            sum.last_ns(), (boot + Duration(static_cast<std::int64_t>(count.last_ns))).count()));
    }
  }
  for (auto& [key, sum] : sums) *report.add_rules() = std::move(sum);
}

}  // namespace penstock::host
