#include "server/api.h"

#include <algorithm>

#include "base/digest.h"
#include "server/failure.h"
#include "server/handlers/catalog.h"
#include "server/handlers/definitions.h"
#include "server/handlers/patch.h"
#include "server/handlers/resources.h"
#include "server/handlers/system.h"

namespace penstock {

struct Api::Answered {
  Identity who;
  std::vector<std::shared_ptr<Write>> writes;
  std::vector<Result<ItemOutcome>> outcomes;
  v1::WriteOutcome outcome;  // of the whole: revision, rollout, warnings
};

template <typename Response>
struct Api::Call {
  v1::WriteOptions options;
  std::string request_id;  // with the user's name in front; empty: none
  std::string stored_id;
  bool atomic = false;
  std::vector<Item> items;
  std::function<Result<Response>(Answered&)> compose;
  Done<Response> done;
  Answered answered;

  void end(Replays& replays, Result<Response> response) {
    if (!request_id.empty())
      replays.answered(request_id, response ? Replays::Answer(response->SerializeAsString())
                                            : Replays::Answer(std::unexpected(response.error())));
    done(std::move(response));
  }
};

Api::Api(ApiParts parts) : parts_(parts) {}

Result<Identity> Api::caller(const std::string& secret) const {
  if (!parts_.engine.serving() && parts_.engine.head().revision() == 0)
    return fail(Code::kUnavailable, "the server is starting");
  auto who = identify(parts_.engine.head(), secret, parts_.runtime.wall());
  if (who && who->kind == Identity::Kind::kHost)
    return fail(Code::kPermissionDenied, "a host's token is good for its session only");
  return who;
}

ReadContext Api::reading(const Identity& who) const {
  return {parts_.engine.head(), who, parts_.status, parts_.journal, parts_.runtime.tunables()};
}

// --- reads

void Api::get(std::string secret, const v1::GetRequest& request, Done<v1::Object> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  done(get_object(reading(*who), request));
}

void Api::list(std::string secret, const v1::ListRequest& request, Done<v1::ListResponse> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  done(list_objects(reading(*who), pages_, parts_.runtime.wall(), request));
}

Result<std::uint64_t> Api::watch(std::string secret, const v1::WatchRequest& request,
                                 Watches::Sink sink, Watches::Ended ended) {
  PENSTOCK_TRY(caller(secret));
  return parts_.watches.watch(std::move(secret), request, std::move(sink), std::move(ended));
}

void Api::list_entries(std::string secret, const v1::ListCatalogRequest& request,
                       Done<v1::ListCatalogResponse> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  done(list_catalog(reading(*who), request));
}

void Api::explain(std::string secret, const v1::ExplainRequest& request,
                  Done<v1::ExplainResponse> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  done(explain_object(reading(*who), parts_.sessions, parts_.compiler, request));
}

void Api::status(std::string secret, const v1::StatusRequest&, Done<v1::StatusResponse> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  auto response = server_status(reading(*who), parts_.sessions);
  response.set_version(version);
  response.set_incarnation(parts_.engine.position().incarnation());
  response.set_epoch(parts_.engine.epoch());
  response.set_listening(listening);
  done(std::move(response));
}

void Api::trace(std::string secret, const v1::TraceRequest& request, Done<v1::Trace> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  parts_.traces.trace(*who, request, std::move(done));
}

void Api::who_am_i(std::string secret, const v1::WhoAmIRequest&, Done<v1::WhoAmIResponse> done) {
  const auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  v1::WhoAmIResponse response;
  response.set_user(who->name);
  for (const auto& role : who->roles) *response.add_roles() = role;
  for (const auto& group : who->groups) response.add_groups(group);
  done(std::move(response));
}

// --- writes

template <typename Request, typename Response>
void Api::write(const std::string& secret, std::shared_ptr<const Request> request,
                std::vector<Item> items, bool atomic,
                std::function<Result<Response>(Answered&)> compose, Done<Response> done) {
  auto who = caller(secret);
  if (!who) return done(std::unexpected(who.error()));
  auto call = std::make_shared<Call<Response>>();
  call->options = request->options();
  call->atomic = atomic;
  call->items = std::move(items);
  call->compose = std::move(compose);
  call->done = std::move(done);
  call->answered.who = std::move(*who);
  for (std::size_t i = 0; i < call->items.size(); ++i)
    call->answered.writes.push_back(std::make_shared<Write>());
  if (call->options.dry_run()) return dry_run(std::move(call));

  const auto& id = call->options.request_id();
  if (id.size() > 128)
    return call->done(fail_field("options.request_id", "a request id has at most 128 characters"));
  if (!id.empty()) {
    const auto full = call->answered.who.name + "/" + id;
    // What the same id must mean again: the kind of call and its whole content.
    const auto fingerprint = digest(request->GetTypeName() + "\n" + serialize(*request)).text();
    const auto turn = replays_.begin(full, fingerprint, [call](const Replays::Answer& answer) {
      if (!answer) return call->done(std::unexpected(answer.error()));
      Response response;
      response.ParseFromString(*answer);
      call->done(std::move(response));
    });
    if (turn == Replays::Turn::kRepeated) return;
    if (turn == Replays::Turn::kMisused)
      return call->done(fail_field("options.request_id",
                                   fmt::format("\"{}\" was the id of another request", id),
                                   "use a new id for a new request"));
    call->request_id = full;
    // With what it asked for: after a restart another request of the same id is another one.
    call->stored_id = full + "/" + fingerprint;
  }

  Engine::Request engine_request;
  engine_request.request_id = call->stored_id;
  engine_request.atomic = atomic;
  for (std::size_t i = 0; i < call->items.size(); ++i)
    engine_request.items.push_back([this, call, i](const Snapshot& snapshot) -> Result<Planned> {
      const PlanContext context{snapshot, call->answered.who, parts_.runtime, parts_.step_kinds,
                                parts_.compiler};
      return call->items[i](context, *call->answered.writes[i]);
    });
  engine_request.done = [this, call](std::vector<Result<ItemOutcome>> outcomes) {
    finish(call, std::move(outcomes));
  };
  parts_.engine.submit(std::move(engine_request));
}

template <typename Response>
void Api::dry_run(std::shared_ptr<Call<Response>> call) {
  // On a working copy, so that later items see earlier ones as they would.
  auto working = parts_.engine.head();
  auto& answered = call->answered;
  answered.outcome.set_revision(working.revision());
  for (std::size_t i = 0; i < call->items.size(); ++i) {
    const PlanContext context{working, answered.who, parts_.runtime, parts_.step_kinds,
                              parts_.compiler};
    auto& write = *answered.writes[i];
    const auto planned = call->items[i](context, write);
    write.secret.clear();
    if (!planned) {
      answered.outcomes.push_back(std::unexpected(planned.error()));
      continue;
    }
    working = working.with(planned->edits, working.revision() + 1);
    answered.outcomes.push_back(ItemOutcome{.revision = parts_.engine.head().revision()});
    for (const auto& warning : write.warnings) answered.outcome.add_warnings(warning);
  }
  call->done(call->compose(answered));
}

template <typename Response>
void Api::finish(std::shared_ptr<Call<Response>> call, std::vector<Result<ItemOutcome>> outcomes) {
  auto& answered = call->answered;
  answered.outcomes = std::move(outcomes);
  std::int64_t revision = 0;
  for (std::size_t i = 0; i < answered.outcomes.size(); ++i) {
    const auto& outcome = answered.outcomes[i];
    auto& write = *answered.writes[i];
    if (outcome && outcome->replayed) {
      // Committed before this server started; the object as it is now is the nearest thing to the
      // first answer.
      write.object = write.key.kind ? parts_.engine.head().find(write.key) : nullptr;
      write.secret.clear();
    }
    record(answered.who, write, outcome);
    if (!outcome) continue;
    revision = std::max(revision, outcome->revision);
    for (const auto& warning : write.warnings) answered.outcome.add_warnings(warning);
  }
  answered.outcome.set_revision(revision);
  const bool any = std::ranges::any_of(answered.outcomes,
                                       [](const auto& outcome) { return outcome.has_value(); });
  if (!call->options.wait_applied() || !any) return call->end(replays_, call->compose(answered));

  const auto deadline = deadline_of(call->options);
  parts_.waits.wait(targets_of(answered), revision, deadline, [this, call](WaitResult result) {
    call->answered.outcome.set_deadline_passed(result.deadline_passed);
    *call->answered.outcome.mutable_rollout() = std::move(result.rollout);
    call->end(replays_, call->compose(call->answered));
  });
}

Duration Api::deadline_of(const v1::WriteOptions& options) const {
  using std::chrono::nanoseconds;
  if (!options.has_deadline())
    return std::chrono::milliseconds(parts_.runtime.tunables().api_wait_default_ms);
  return std::clamp(nanoseconds(std::chrono::seconds(
                        std::clamp<std::int64_t>(options.deadline().seconds(), 0, 3600))) +
                        nanoseconds(options.deadline().nanos()),
                    nanoseconds(0), nanoseconds(std::chrono::hours(1)));
}

Targets Api::targets_of(const Answered& answered) const {
  Targets targets;
  auto add = [&](const Targets& more) {
    for (const auto& [host, items] : more) {
      auto& all = targets[host];
      all.insert(all.end(), items.begin(), items.end());
    }
  };
  std::int64_t done_to = 0;
  for (std::size_t i = 0; i < answered.outcomes.size(); ++i) {
    const auto& outcome = answered.outcomes[i];
    if (!outcome) continue;
    if (!outcome->committed || outcome->replayed) {
      const auto& write = *answered.writes[i];
      if (write.key.kind && parts_.engine.head().find(write.key))
        add(parts_.status.targets(parts_.engine.head(), write.key));
      continue;
    }
    // Items of one request share transactions: each is counted once.
    for (auto revision = std::max(outcome->first_revision, done_to + 1);
         revision <= outcome->revision; ++revision)
      if (const auto* touched = parts_.sessions.touched(revision)) add(*touched);
    done_to = std::max(done_to, outcome->revision);
  }
  for (auto& [host, items] : targets) {
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
  }
  return targets;
}

v1::Object Api::object_of(const Answered& answered, const Write& write) const {
  v1::Object object;
  if (!write.object) return object;
  object = shown(reading(answered.who), write.key, *write.object);
  if (!write.secret.empty() && write.change == v1::WriteOutcome::CREATED)
    object.mutable_token()->mutable_status()->set_secret(write.secret);
  return object;
}

void Api::record(const Identity& who, const Write& write, const Result<ItemOutcome>& outcome) {
  if (!write.key.kind) return;
  if (!outcome) {
    const auto code = outcome.error().code;
    const bool hidden = code == Code::kNotFound && parts_.engine.head().find(write.key);
    if (code == Code::kPermissionDenied || hidden)
      parts_.journal.event(
          v1::Event::WARNING, "Denied", write.key,
          fmt::format("{} tried to change it: {}", who.text(), outcome.error().message), who.text(),
          parts_.engine.head().revision());
    return;
  }
  if (!outcome->committed || outcome->replayed) return;
  const auto created = write.change == v1::WriteOutcome::CREATED;
  const auto deleted = write.change == v1::WriteOutcome::DELETED;
  parts_.journal.event(v1::Event::NORMAL,
                       created   ? "Created"
                       : deleted ? "Deleted"
                                 : "Changed",
                       write.key,
                       fmt::format("{} by {}",
                                   created   ? "created"
                                   : deleted ? "deleted"
                                             : "changed",
                                   who.text()),
                       who.text(), outcome->revision);
}

namespace {

// Change and revision of one item, on top of what the request as a whole came to.
v1::WriteOutcome outcome_of(const v1::WriteOutcome& whole, const Write& write,
                            const ItemOutcome& outcome) {
  auto one = whole;
  one.set_change(write.change);
  one.set_revision(outcome.revision);
  return one;
}

}  // namespace

template <typename Request, typename Plan>
void Api::write_one(const std::string& secret, Request request, Plan plan,
                    Done<v1::PutResponse> done) {
  auto shared = std::make_shared<const Request>(std::move(request));
  std::vector<Item> items{[shared, plan](const PlanContext& context, Write& write) {
    return plan(context, *shared, write);
  }};
  write<Request, v1::PutResponse>(
      secret, shared, std::move(items), false,
      [this](Answered& answered) -> Result<v1::PutResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::PutResponse response;
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        *response.mutable_object() = object_of(answered, *answered.writes[0]);
        return response;
      },
      std::move(done));
}

void Api::put(std::string secret, v1::PutRequest request, Done<v1::PutResponse> done) {
  write_one(
      secret, std::move(request),
      [](const PlanContext& context, const v1::PutRequest& put, Write& write) -> Result<Planned> {
        const auto* object = unwrap(put.object());
        if (!object) return fail_field("object", "an object is needed");
        return plan_put(context, *object, put.must_be_new(), write);
      },
      std::move(done));
}

void Api::patch(std::string secret, v1::PatchRequest request, Done<v1::PutResponse> done) {
  write_one(secret, std::move(request), plan_patch, std::move(done));
}

void Api::erase(std::string secret, v1::DeleteRequest request, Done<v1::DeleteResponse> done) {
  auto shared = std::make_shared<const v1::DeleteRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_delete(context, *shared, write);
  }};
  write<v1::DeleteRequest, v1::DeleteResponse>(
      secret, shared, std::move(items), false,
      [](Answered& answered) -> Result<v1::DeleteResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::DeleteResponse response;
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        for (const auto& key : answered.writes[0]->deleted)
          *response.add_deleted() = key.reference();
        return response;
      },
      std::move(done));
}

void Api::batch(std::string secret, v1::BatchRequest request, Done<v1::BatchResponse> done) {
  const auto most = parts_.runtime.tunables().api_batch_max_items;
  if (request.items_size() > most)
    return done(
        fail_field("items", fmt::format("a batch has at most {} items", most), "send several"));
  auto shared = std::make_shared<const v1::BatchRequest>(std::move(request));
  std::vector<Item> items;
  for (int i = 0; i < shared->items_size(); ++i)
    items.push_back([shared, i](const PlanContext& context, Write& write) {
      return plan_batch_item(context, shared->items(i), write);
    });
  write<v1::BatchRequest, v1::BatchResponse>(
      secret, shared, std::move(items), shared->atomic(),
      [this](Answered& answered) -> Result<v1::BatchResponse> {
        v1::BatchResponse response;
        for (std::size_t i = 0; i < answered.outcomes.size(); ++i) {
          auto& item = *response.add_items();
          if (!answered.outcomes[i]) {
            *item.mutable_error() = failure_of(answered.outcomes[i].error());
            continue;
          }
          const auto& write = *answered.writes[i];
          item.mutable_outcome()->set_change(write.change);
          item.mutable_outcome()->set_revision(answered.outcomes[i]->revision);
          for (const auto& warning : write.warnings) item.mutable_outcome()->add_warnings(warning);
          *item.mutable_object() = object_of(answered, write);
        }
        answered.outcome.clear_warnings();
        *response.mutable_outcome() = answered.outcome;
        return response;
      },
      std::move(done));
}

void Api::enable(std::string secret, v1::EnableRequest request, Done<v1::EnableResponse> done) {
  auto shared = std::make_shared<const v1::EnableRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_enable(context, *shared, write);
  }};
  write<v1::EnableRequest, v1::EnableResponse>(
      secret, shared, std::move(items), false,
      [this](Answered& answered) -> Result<v1::EnableResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::EnableResponse response;
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        *response.mutable_enablement() = object_of(answered, *answered.writes[0]).enablement();
        for (const auto& condition : response.enablement().status().conditions())
          if (condition.type() == "Overridden")
            response.mutable_outcome()->add_warnings(condition.message());
        return response;
      },
      std::move(done));
}

void Api::disable(std::string secret, v1::DisableRequest request, Done<v1::DisableResponse> done) {
  auto shared = std::make_shared<const v1::DisableRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_disable(context, *shared, write);
  }};
  write<v1::DisableRequest, v1::DisableResponse>(
      secret, shared, std::move(items), false,
      [](Answered& answered) -> Result<v1::DisableResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::DisableResponse response;
        answered.outcome.clear_warnings();
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        for (const auto& warning : answered.writes[0]->warnings) response.add_warnings(warning);
        return response;
      },
      std::move(done));
}

void Api::move(std::string secret, v1::MoveRequest request, Done<v1::MoveResponse> done) {
  const bool wait = request.options().wait_applied() && !request.options().dry_run();
  const auto deadline = deadline_of(request.options());
  // The end of the move is waited for, not that hosts hold its beginning.
  request.mutable_options()->clear_wait_applied();
  const auto key = ObjectKey::of<v1::VirtualMachine>(request.tenant(), request.name());
  auto shared = std::make_shared<const v1::MoveRequest>(std::move(request));
  std::vector<Item> items{[this, shared](const PlanContext& context, Write& write) {
    return parts_.moves.plan(context, *shared, write);
  }};
  write<v1::MoveRequest, v1::MoveResponse>(
      secret, shared, std::move(items), false,
      [this](Answered& answered) -> Result<v1::MoveResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::MoveResponse response;
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        *response.mutable_vm() = object_of(answered, *answered.writes[0]).virtual_machine();
        return response;
      },
      [this, secret, key, wait, deadline,
       done = std::move(done)](Result<v1::MoveResponse> begun) mutable {
        if (!begun || !wait) return done(std::move(begun));
        parts_.moves.wait(
            key, deadline,
            [this, secret, key, response = std::move(*begun),
             done = std::move(done)](std::optional<Moves::Outcome> outcome) mutable {
              const auto who = caller(secret);
              if (!who) return done(std::unexpected(who.error()));
              if (const auto vm = parts_.engine.head().find(key))
                *response.mutable_vm() = shown(reading(*who), key, *vm).virtual_machine();
              if (!outcome) {
                response.mutable_outcome()->set_deadline_passed(true);
              } else if (!outcome->moved) {
                response.mutable_outcome()->add_warnings("taken back: " + outcome->why);
              } else {
                response.set_flows(outcome->flows);
                response.set_pause_us(
                    std::chrono::duration_cast<std::chrono::microseconds>(outcome->pause).count());
              }
              done(std::move(response));
            });
      });
}

void Api::add_to_draft(std::string secret, v1::AddToDraftRequest request,
                       Done<v1::PutResponse> done) {
  write_one(secret, std::move(request), plan_add_to_draft, std::move(done));
}

void Api::submit(std::string secret, v1::SubmitDefinitionRequest request,
                 Done<v1::PutResponse> done) {
  write_one(secret, std::move(request), plan_submit, std::move(done));
}

}  // namespace penstock
