#include "host/flow_judge.h"

#include <algorithm>
#include <cstring>

#include "compile/policy/build.h"
#include "host/arena.h"
#include "lib/classify.h"
#include "lib/flow_state.h"

namespace penstock::host {
namespace {

constexpr std::array kDirections{PS_OUT, PS_IN};

bool equal(const std::vector<ps_line>& a, const std::vector<ps_line>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(ps_line)) == 0);
}

}  // namespace

Result<std::shared_ptr<const JudgingPolicy>> JudgingPolicy::compile(const v1::PolicyIntent& intent,
                                                                    const Tunables& tunables) {
  auto rules = PENSTOCK_TRY(policy_rules(intent.filter()));
  auto out = std::make_shared<JudgingPolicy>();
  out->intent = intent;
  out->groups = std::move(rules.groups);
  for (const auto direction : kDirections) {
    auto& directed = rules.direction[direction];
    auto image = PENSTOCK_TRY(policy::build_policy(
        directed.set, {.max_rows = static_cast<std::size_t>(tunables.rules_per_step_max)}));
    out->image[direction] = std::move(image.lines);
    out->index[direction] = std::move(directed.index);
  }
  return out;
}

Result<std::shared_ptr<const JudgingPolicy>> JudgingPolicy::copy(const PolicyTable::Policy& held,
                                                                 const v1::PolicyIntent& intent,
                                                                 Kernel& kernel) {
  auto out = std::make_shared<JudgingPolicy>();
  out->intent = intent;
  out->groups = held.groups;
  out->index = held.index;
  for (const auto direction : kDirections) {
    const auto start = held.image[direction] * Arena::kLineBytes;
    ps_policy_header header{};
    std::memcpy(&header, PENSTOCK_TRY(kernel.arena(start, sizeof(header))).data(), sizeof(header));
    const auto bytes =
        PENSTOCK_TRY(kernel.arena(start, std::size_t{header.lines} * Arena::kLineBytes));
    out->image[direction].resize(header.lines);
    std::memcpy(static_cast<void*>(out->image[direction].data()), bytes.data(), bytes.size());
  }
  return out;
}

bool same_decisions(const JudgingSteps& a, const JudgingSteps& b, ps_direction direction) {
  return std::ranges::equal(a, b, [&](const JudgingStep& x, const JudgingStep& y) {
    return x.intent.policy() == y.intent.policy() && x.intent.observe() == y.intent.observe() &&
           (x.policy == y.policy || equal(x.policy->image[direction], y.policy->image[direction]));
  });
}

Result<FlowVerdict> judge(const JudgingSteps& steps, const ps_flow_key& key, const ps_flow& flow,
                          const GroupsOf& groups_of) {
  const auto direction = flow.initiator & 1 ? PS_IN : PS_OUT;
  ps_packet_view view;
  ps_flow_view(&key, direction, flow.tcp_flags, flow.icmp_type, flow.icmp_code, &view);
  if (std::ranges::any_of(steps, [](const auto& step) { return !step.policy->groups.empty(); })) {
    const auto source = PENSTOCK_TRY(groups_of(view.src, view.family));
    const auto destination = PENSTOCK_TRY(groups_of(view.dst, view.family));
    std::ranges::copy(source.group, view.src_groups);
    std::ranges::copy(destination.group, view.dst_groups);
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[direction == PS_OUT ? i : steps.size() - 1 - i];
    const auto& image = step.policy->image[direction];
    const ps_arena_view arena{image.data(), static_cast<std::uint32_t>(image.size())};
    ps_match match{};
    ps_classify(&arena, 0, &view, &match);
    if (match.error) return fail(Code::kInternal, "an image that the classifier cannot read");
    if (match.action == PS_ACTION_ALLOW || step.intent.observe()) continue;
    return FlowVerdict{&step, match.rule, match.action == PS_ACTION_REJECT};
  }
  return FlowVerdict{};
}

}  // namespace penstock::host
