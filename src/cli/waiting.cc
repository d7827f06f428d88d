#include "cli/waiting.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/console.h"
#include "cli/format.h"

namespace penstock::cli {
namespace {

std::string missing_hosts(const Json& rollout) {
  std::string text = fmt::format("applied on {} of {}", number_at(at(rollout, "applied")),
                                 counted(number_at(at(rollout, "hosts")), "host"));
  for (const auto& host : at(rollout, "waiting")) {
    const auto message = text_at(at(host, "message"));
    text += fmt::format("; {} {}{}", text_at(at(host, "host")), text_at(at(host, "state")),
                        message.empty() ? "" : ": " + message);
  }
  return text;
}

// A reconciler retries for ever, so only the server's own word makes a failure final.
bool given_up(const Json& ready) {
  return at(ready, "status") == "FALSE" &&
         std::ranges::find(kTerminalReasons, text_at(at(ready, "reason"))) !=
             kTerminalReasons.end();
}

std::string condition_text(const Json& condition, std::string_view type) {
  if (!condition.is_object()) return fmt::format("no condition {} yet", type);
  std::string text = fmt::format("{} is {}", type, text_at(at(condition, "status")));
  if (const auto reason = text_at(at(condition, "reason")); !reason.empty())
    text += fmt::format(" ({})", reason);
  if (const auto message = text_at(at(condition, "message")); !message.empty())
    text += ": " + message;
  return text;
}

Reached judge_applied(const Json& object) {
  const Json& rollout = at(object, "status", "rollout");
  const Json& ready = condition_of(object, "Ready");
  // On no host because it is not on at all.
  if (const auto reason = text_at(at(ready, "reason"));
      reason == "AwaitingApproval" || reason == "Refused")
    return {given_up(ready) ? Reached::State::kNever : Reached::State::kNotYet,
            condition_text(ready, "Ready")};
  if (!rollout.is_object()) {
    if (at(ready, "status") == "TRUE") return {Reached::State::kYes, "applied"};
    return {Reached::State::kNotYet, "no host has reported yet"};
  }
  if (at(rollout, "waiting").empty() &&
      number_at(at(rollout, "applied")) >= number_at(at(rollout, "hosts"))) {
    return {Reached::State::kYes,
            fmt::format("applied on {} of {}", number_at(at(rollout, "hosts")),
                        counted(number_at(at(rollout, "hosts")), "host"))};
  }
  if (given_up(ready)) return {Reached::State::kNever, missing_hosts(rollout)};
  return {Reached::State::kNotYet, missing_hosts(rollout)};
}

}  // namespace

Result<Goal> parse_goal(std::string_view text) {
  if (text == "ready") return Goal{};
  if (text == "applied") return Goal{.what = Goal::What::kApplied};
  if (text == "deleted") return Goal{.what = Goal::What::kDeleted};
  constexpr std::string_view kCondition = "condition=";
  if (text.starts_with(kCondition) && text.size() > kCondition.size()) {
    text.remove_prefix(kCondition.size());
    Goal goal{.type = std::string(text.substr(0, text.find('=')))};
    if (const auto equals = text.find('='); equals != std::string_view::npos) {
      goal.state = std::string(text.substr(equals + 1));
      std::ranges::transform(goal.state, goal.state.begin(),
                             [](unsigned char c) { return std::toupper(c); });
    }
    if (!goal.type.empty() &&
        (goal.state == "TRUE" || goal.state == "FALSE" || goal.state == "UNKNOWN"))
      return goal;
  }
  return fail(Code::kInvalidArgument, fmt::format("--for={}: nothing to wait for", text),
              "write ready, applied, deleted or condition=TYPE[=TRUE|FALSE|UNKNOWN]");
}

Reached judge(const Goal& goal, const Json* object, bool seen) {
  if (!object) {
    if (goal.what == Goal::What::kDeleted) return {Reached::State::kYes, "deleted"};
    if (seen) return {Reached::State::kNever, "it was deleted"};
    return {Reached::State::kNotYet, "it is not there"};
  }
  if (goal.what == Goal::What::kDeleted) return {Reached::State::kNotYet, "it is still there"};
  if (goal.what == Goal::What::kApplied) return judge_applied(*object);
  const Json& condition = condition_of(*object, goal.type);
  const std::string text = condition_text(condition, goal.type);
  if (at(condition, "status") == goal.state) {
    return {Reached::State::kYes, goal.type == "Ready" && goal.state == "TRUE" ? "ready" : text};
  }
  if (goal.state == "TRUE" && given_up(condition)) return {Reached::State::kNever, text};
  return {Reached::State::kNotYet, text};
}

}  // namespace penstock::cli
