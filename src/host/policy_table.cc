#include "host/policy_table.h"

#include <cstring>

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

std::uint32_t lines_of_list(std::size_t steps) {
  const auto bytes = sizeof(ps_step_list) + steps * sizeof(ps_step);
  return static_cast<std::uint32_t>((bytes + Arena::kLineBytes - 1) / Arena::kLineBytes);
}

}  // namespace

PolicyTable::PolicyTable(Arena& arena, const Tunables& tunables)
    : arena_(arena), tunables_(tunables) {}

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
    made.index[direction] = std::move(directed.index);
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

Status PolicyTable::hold_steps(const google::protobuf::RepeatedPtrField<v1::StepIntent>& intents,
                               ps_direction direction, HeldSteps& out) {
  out = {};
  if (intents.empty()) return {};
  std::vector<ps_step> steps;
  HeldSteps held;
  for (int i = 0; i < intents.size(); ++i) {
    const auto& intent = intents[direction == PS_OUT ? i : intents.size() - 1 - i];
    if (intent.kind() != "filter")
      return fail(Code::kUnimplemented,
                  fmt::format("{}: this host knows no step of kind \"{}\"", intent.enablement(),
                              intent.kind()),
                  "upgrade the host");
    const auto* policy = find(intent.policy());
    if (!policy)
      return fail(Code::kUnavailable,
                  fmt::format("{}: policy {} ({}, level {}) is not in place", intent.enablement(),
                              intent.policy(), intent.profile(), intent.level()));
    ps_step step{};
    step.line = policy->image[direction];
    step.profile = switch_number(intent.policy());
    step.kind = PS_STEP_FILTER;
    step.flags = intent.observe() ? PS_STEP_OBSERVE : 0;
    steps.push_back(step);
    held.images.push_back(step.line);
  }
  const auto required = static_cast<std::uint16_t>((1u << steps.size()) - 1);
  const auto bytes = PENSTOCK_TRY(step_list(steps, required));
  held.line = PENSTOCK_TRY(arena_.hold(bytes, "a step list"));
  for (const auto line : held.images) arena_.hold_again(line);
  out = std::move(held);
  return {};
}

void PolicyTable::release(const HeldSteps& held) {
  if (held.line == 0) return;
  arena_.release(held.line);
  for (const auto line : held.images) arena_.release(line);
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
  std::vector<std::pair<std::uint32_t, std::uint32_t>> images;
  for (std::size_t i = 0; i < header.count; ++i) {
    ps_step step{};
    ps_policy_header image{};
    if (!read_at(list, sizeof(header) + i * sizeof(step), step))
      return damaged("it ends outside the arena");
    if (!read_at(arena_.bytes(step.line, 1), 0, image) || image.magic != PS_POLICY_MAGIC ||
        image.version != PS_POLICY_VERSION)
      return damaged("a step names no policy");
    images.emplace_back(step.line, image.lines);
  }
  if (!arena_.adopt(line, lines)) return damaged("it overlaps another");
  for (const auto& [first, count] : images)
    if (!arena_.adopt(first, count)) return damaged("a policy overlaps another");
  arena_.hold_again(line);
  out.line = line;
  for (const auto& [first, count] : images) {
    arena_.hold_again(first);
    out.images.push_back(first);
  }
  return {};
}

}  // namespace penstock::host
