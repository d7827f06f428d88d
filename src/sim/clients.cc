#include "sim/clients.h"

#include <algorithm>
#include <utility>

namespace penstock::sim {
namespace {

constexpr int kMostAttempts = 12;

// What a write asked for: without status and what the server adds for readers.
std::string essence(const Message& object) {
  std::unique_ptr<Message> copy(object.New());
  copy->CopyFrom(object);
  if (const auto* status = copy->GetDescriptor()->FindFieldByName("status"))
    copy->GetReflection()->ClearField(copy.get(), status);
  mutable_metadata_of(*copy).clear_resource_version();
  return serialize(*copy);
}

}  // namespace

Clients::Clients(SimClock& clock, Trace& trace, Verdict& verdict, History& history,
                 ServerNode& server, Hooks hooks)
    : clock_(clock),
      trace_(trace),
      verdict_(verdict),
      history_(history),
      server_(server),
      hooks_(std::move(hooks)) {}

Duration Clients::delay() {
  return Duration(static_cast<std::int64_t>(20'000 + clock_.random().below(2'000'000)));
}

void Clients::begin(Operation operation, std::function<void(const Result<Answer>&)> result) {
  const auto number = operation.number;
  trace_.add("op {}: {} wants: {}", number, operation.user, operation.what);
  under_way_.emplace(number, Call{std::move(operation), std::move(result), 0});
  attempt(number);
}

std::string Clients::first_under_way() const {
  return under_way_.empty() ? "" : under_way_.begin()->second.operation.what;
}

void Clients::again(int number, Duration delay) {
  clock_.at(clock_.now() + delay, [this, number, attempt_was = under_way_.at(number).attempts] {
    const auto found = under_way_.find(number);
    if (found != under_way_.end() && found->second.attempts == attempt_was) attempt(number);
  });
}

void Clients::attempt(int number) {
  auto& call = under_way_.at(number);
  if (++call.attempts > kMostAttempts)
    return end(number, fail(Code::kUnavailable, "gave up; the outcome is not known"));
  const auto& options = call.operation.options;
  again(number,
        std::chrono::seconds(2 + (options.wait_applied() ? options.deadline().seconds() : 0)));
  if (clock_.random().chance(loss)) return;
  clock_.at(clock_.now() + delay(), [this, number] {
    const auto found = under_way_.find(number);
    auto* server = server_.serving();
    if (found == under_way_.end() || !server) return;
    const auto& operation = found->second.operation;
    operation.send(server->api(), secrets[operation.user], operation.options,
                   [this, number, operation](Result<Answer> answer) {
                     judge(operation, answer);
                     if (clock_.random().chance(loss)) return;
                     clock_.at(clock_.now() + delay(),
                               [this, number, answer] { answered(number, answer); });
                   });
  });
}

void Clients::answered(int number, Result<Answer> answer) {
  const auto found = under_way_.find(number);
  if (found == under_way_.end()) return;
  if (!answer && retryable(answer.error().code)) {
    trace_.add("op {}: to be tried again: {}", number, answer.error().message);
    return again(number, std::chrono::milliseconds(300));
  }
  end(number, answer);
}

void Clients::end(int number, const Result<Answer>& answer) {
  auto call = std::move(under_way_.at(number));
  under_way_.erase(number);
  if (answer)
    ++succeeded;
  else
    ++(retryable(answer.error().code) ? gave_up : refused);
  trace_.add("op {}: {}", number,
             answer ? fmt::format("{} at revision {}",
                                  v1::WriteOutcome::Change_Name(answer->outcome.change()),
                                  answer->outcome.revision())
                    : answer.error().message);
  if (call.result) call.result(answer);
}

// At the moment at which the server answers.
void Clients::judge(const Operation& operation, const Result<Answer>& answer) {
  history_.catch_up();
  if (!answer) {
    if (answer.error().code == Code::kInternal)
      verdict_.broken(
          "no request ends in an internal error",
          fmt::format("op {} ({}): {}", operation.number, operation.what, answer.error().text()));
    return;
  }
  if (operation.forbidden)
    verdict_.broken(
        "nobody changes what is not theirs",
        fmt::format("op {}: {} could: {}", operation.number, operation.user, operation.what));
  const auto& outcome = answer->outcome;
  if (outcome.revision() > history_.revision())
    return verdict_.broken(
        "what is acknowledged is in the store",
        fmt::format("op {} ({}): revision {}, but the store is at {}", operation.number,
                    operation.what, outcome.revision(), history_.revision()));
  const bool changed = outcome.change() != v1::WriteOutcome::UNCHANGED &&
                       outcome.change() != v1::WriteOutcome::CHANGE_UNSPECIFIED;
  const auto& paper = server_.audit_paper.records;
  if (changed && std::none_of(paper.rbegin(), paper.rend(), [&](const auto& record) {
        return record->revision() == outcome.revision();
      }))
    return verdict_.broken("what is answered is in the audit log",
                           fmt::format("op {} ({}): revision {}", operation.number, operation.what,
                                       outcome.revision()));
  if (const auto* rollout = outcome.has_rollout() ? &outcome.rollout() : nullptr;
      changed && rollout && !outcome.deadline_passed() && rollout->applied() == rollout->hosts() &&
      operation.options.wait_applied() && hooks_.applied)
    hooks_.applied(operation, outcome.revision());

  // A replay across a restart, of something that is gone by now, has no object to show.
  const bool deleted = outcome.change() == v1::WriteOutcome::DELETED;
  if (!answer->key.kind || answer->key.name.empty() || !changed || (!deleted && !answer->object))
    return;
  const auto* event = history_.event(outcome.revision(), answer->key.store_key());
  if (!event || event->value.has_value() == deleted)
    return verdict_.broken(
        "what is acknowledged is in the store",
        fmt::format("op {} ({}): revision {} does not {} {}", operation.number, operation.what,
                    outcome.revision(), deleted ? "delete" : "put", answer->key.describe()));
  auto& known = acknowledged_[answer->key];
  if (known.revision >= outcome.revision()) return;
  known = {outcome.revision(), deleted ? "" : essence(*answer->object), deleted};
}

void Clients::check_nothing_lost() const {
  for (const auto& [key, known] : acknowledged_) {
    const auto found = server_.disk.state().find(key.store_key());
    const auto revision =
        found == server_.disk.state().end() ? 0 : found->second.mod_revision.value;
    if (revision > known.revision) continue;  // somebody changed it later
    if (revision == known.revision) {
      const auto object = key.kind->make();
      object->ParseFromString(found->second.value);
      // Secrets are shown once and stored as their digest.
      if (key.kind->name == "Token" || essence(*object) == known.spec) continue;
      const auto answered = key.kind->make();
      answered->ParseFromString(known.spec);
      verdict_.broken("nothing acknowledged is lost",
                      fmt::format("{} is not what revision {} was answered to be\n  is:       "
                                  "{}\n  answered: {}",
                                  key.describe(), known.revision, object->ShortDebugString(),
                                  answered->ShortDebugString()));
      continue;
    }
    bool deleted_later = known.deleted;
    for (auto entry = server_.disk.log().upper_bound(Revision{known.revision});
         !deleted_later && entry != server_.disk.log().end(); ++entry)
      for (const auto& event : entry->second.events)
        deleted_later = deleted_later || (event.key == key.store_key() && !event.value);
    if (!deleted_later)
      verdict_.broken("nothing acknowledged is lost",
                      fmt::format("{} of revision {}", key.describe(), known.revision));
  }
}

}  // namespace penstock::sim
