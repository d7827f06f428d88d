#include "host/policy_table.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "abi/policy.h"
#include "compile/policy/build.h"
#include "host/switch/switch_abi.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

template <typename T>
bool read_at(ByteView bytes, std::size_t offset, T& out) {
  if (bytes.size() < offset + sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + offset, sizeof(T));
  return true;
}

// Above this, ports of a tenant count together: 262,144 counters would do for 30 ports with 4,096
// rules each.
constexpr std::uint32_t kOwnCountsMost = 512;

std::size_t text_of(v1::ResolvedRule rule) {
  rule.clear_index();  // its place in the list is not its text
  return std::hash<std::string>{}(rule.SerializeAsString());
}

std::vector<std::size_t> texts(const v1::ResolvedFilter& filter, ps_direction direction,
                               const std::vector<std::uint32_t>& index) {
  const bool out = direction == PS_OUT;
  std::map<std::uint32_t, std::size_t> by_index;
  for (const auto& rule : filter.rules()) by_index[rule.index()] = text_of(rule);
  std::vector<std::size_t> all{
      static_cast<std::size_t>(out ? filter.default_out() : filter.default_in())};
  for (const auto one : index) all.push_back(by_index[one]);
  return all;
}

std::uint32_t lines_of_list(std::size_t steps) {
  const auto bytes = sizeof(ps_step_list) + steps * sizeof(ps_step);
  return static_cast<std::uint32_t>((bytes + Arena::kLineBytes - 1) / Arena::kLineBytes);
}

}  // namespace

PolicyTable::PolicyTable(Arena& arena, RuleCounts& counts, const Tunables& tunables)
    : arena_(arena), counts_(counts), tunables_(tunables) {}

Status PolicyTable::put(const v1::PolicyIntent& intent) {
  auto content = intent.filter().SerializeAsString();
  const auto known = policies_.find(intent.id());
  if (known != policies_.end() && known->second.content == content) return {};

  auto rules = PENSTOCK_TRY(policy_rules(intent.filter()));
  Policy made;
  made.groups = std::move(rules.groups);
  made.content = std::move(content);
  const auto what =
      fmt::format("policy {} ({}, level {})", intent.id(), intent.profile(), intent.level());
  for (const auto direction : {PS_OUT, PS_IN}) {
    auto& directed = rules.direction[direction];
    const auto put_image = [&]() -> Result<std::uint32_t> {
      const auto image = PENSTOCK_TRY(policy::build_policy(
          directed.set, {.max_rows = static_cast<std::size_t>(tunables_.rules_per_step_max)}));
      made.bytes += image.bytes().size();
      return arena_.hold(image.bytes(), what);
    };
    auto line = put_image();
    if (!line) {
      if (direction == PS_IN) arena_.release(made.image[PS_OUT]);
      return std::unexpected(std::move(line).error());
    }
    made.image[direction] = *line;
    made.text[direction] = texts(intent.filter(), direction, directed.index);
    made.index[direction] = std::move(directed.index);
  }
  if (known != policies_.end()) {
    made.image_before = known->second.image;
    made.text_before = std::move(known->second.text);
  }
  remove(intent.id());
  policies_[intent.id()] = std::move(made);
  return {};
}

void PolicyTable::remove(std::uint64_t id) {
  const auto found = policies_.find(id);
  if (found == policies_.end()) return;
  for (const auto line : found->second.image) arena_.release(line);
  policies_.erase(found);
}

const PolicyTable::Policy* PolicyTable::find(std::uint64_t id) const {
  const auto found = policies_.find(id);
  return found == policies_.end() ? nullptr : &found->second;
}

std::uint32_t PolicyTable::hold_counts(const v1::PortIntent& port, ps_direction direction,
                                       const Policy& policy, std::uint64_t id,
                                       const HeldStep& wanted, const HeldSteps& now) {
  const auto key = std::tuple(port.tenant(), id, wanted.image);
  const bool shares = wanted.count > kOwnCountsMost;
  const auto before = std::ranges::find(now.steps, wanted.number, &HeldStep::number);
  const bool counted = before != now.steps.end() && before->counts != 0;
  if (counted && before->image == wanted.image) {
    counts_.hold_again(before->counts);
    if (shares) shared_[key] = before->counts;
    return before->counts;
  }
  if (shares)
    if (const auto found = shared_.find(key); found != shared_.end()) {
      if (counts_.is_held(found->second)) {
        counts_.hold_again(found->second);
        return found->second;
      }
      shared_.erase(found);
    }
  const auto first = counts_.take(wanted.count);
  if (shares && first != 0) {
    std::erase_if(shared_, [&](const auto& one) { return !counts_.is_held(one.second); });
    shared_[key] = first;
  }
  if (!counted || before->image != policy.image_before[direction]) return first;
  std::map<std::size_t, std::int64_t> was;
  const auto& old = policy.text_before[direction];
  for (std::size_t i = 1; i < old.size(); ++i) was[old[i]] = static_cast<std::int64_t>(i);
  const auto& text = policy.text[direction];
  std::vector<std::int64_t> source(text.size(), -1);
  if (!old.empty() && old[0] == text[0]) source[0] = 0;
  for (std::size_t i = 1; i < text.size(); ++i)
    if (const auto found = was.find(text[i]); found != was.end()) source[i] = found->second;
  // Counts that cannot be carried over begin anew.
  (void)counts_.carry_over(first, before->counts, before->count, source);
  return first;
}

Status PolicyTable::hold_steps(const v1::PortIntent& port, ps_direction direction,
                               const HeldSteps& now, HeldSteps& out) {
  out = {};
  const auto& intents = port.steps();
  if (intents.empty()) return {};
  std::vector<const v1::StepIntent*> ordered;
  for (const auto& intent : intents) ordered.push_back(&intent);
  if (direction == PS_IN) std::ranges::reverse(ordered);
  for (const auto* intent : ordered) {
    if (intent->kind() != "filter")
      return fail(Code::kUnimplemented,
                  fmt::format("{}: this host knows no step of kind \"{}\"", intent->enablement(),
                              intent->kind()),
                  "upgrade the host");
    if (!find(intent->policy()))
      return fail(Code::kUnavailable,
                  fmt::format("{}: policy {} ({}, level {}) is not in place", intent->enablement(),
                              intent->policy(), intent->profile(), intent->level()));
  }
  std::vector<ps_step> steps;
  HeldSteps held;
  for (const auto* intent : ordered) {
    const auto& policy = *find(intent->policy());
    HeldStep one;
    one.number = switch_number(intent->policy());
    one.image = policy.image[direction];
    one.count = static_cast<std::uint32_t>(policy.text[direction].size());
    one.counts = hold_counts(port, direction, policy, intent->policy(), one, now);
    arena_.hold_again(one.image);
    held.steps.push_back(one);
    ps_step step{};
    step.line = one.image;
    step.profile = one.number;
    step.kind = PS_STEP_FILTER;
    step.flags = intent->observe() ? PS_STEP_OBSERVE : 0;
    step.counts = one.counts;
    steps.push_back(step);
  }
  const auto required = static_cast<std::uint16_t>((1u << steps.size()) - 1);
  const auto line = [&]() -> Result<std::uint32_t> {
    const auto bytes = PENSTOCK_TRY(step_list(steps, required));
    return arena_.hold(bytes, "a step list");
  }();
  if (!line) {
    release(held);
    return std::unexpected(line.error());
  }
  held.line = *line;
  out = std::move(held);
  return {};
}

void PolicyTable::release(const HeldSteps& held) {
  if (held.line != 0) arena_.release(held.line);
  for (const auto& step : held.steps) {
    arena_.release(step.image);
    counts_.release(step.counts);
  }
}

Status PolicyTable::adopt(std::uint32_t line, HeldSteps& out) {
  out = {};
  const auto damaged = [&](std::string_view what) {
    return fail(Code::kInternal,
                fmt::format("the step list at line {} is damaged: {}", line, what));
  };
  if (line == 0) return {};
  ps_step_list header{};
  if (!read_at(arena_.bytes(line, 1), 0, header) || header.magic != PS_STEP_LIST_MAGIC)
    return damaged("no step list there");
  if (header.count > PS_STEPS_MAX) return damaged("too many steps");
  const auto lines = lines_of_list(header.count);
  const auto list = arena_.bytes(line, lines);
  std::vector<HeldStep> steps;
  std::vector<std::uint32_t> image_lines;
  for (std::size_t i = 0; i < header.count; ++i) {
    ps_step step{};
    ps_policy_header image{};
    if (!read_at(list, sizeof(header) + i * sizeof(step), step))
      return damaged("it ends outside the arena");
    if (!read_at(arena_.bytes(step.line, 1), 0, image) || image.magic != PS_POLICY_MAGIC ||
        image.version != PS_POLICY_VERSION)
      return damaged("a step names no policy");
    image_lines.push_back(image.lines);
    steps.push_back({step.profile, step.line, step.counts, image.rules + 1});
  }
  if (!arena_.adopt(line, lines)) return damaged("it overlaps another");
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (!arena_.adopt(steps[i].image, image_lines[i])) return damaged("a policy overlaps another");
  arena_.hold_again(line);
  out.line = line;
  for (auto& step : steps) {
    arena_.hold_again(step.image);
    // Counts that make no sense are worth nothing; the next list has others.
    if (!counts_.adopt(step.counts, step.count)) step.counts = 0;
    out.steps.push_back(step);
  }
  return {};
}

}  // namespace penstock::host
