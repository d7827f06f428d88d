#include "server/api.h"

#include <algorithm>

#include "base/digest.h"
#include "server/audit_intent.h"
#include "server/failure.h"
#include "server/handlers/approval.h"
#include "server/handlers/catalog.h"
#include "server/handlers/definitions.h"
#include "server/handlers/patch.h"
#include "server/handlers/resources.h"
#include "server/handlers/system.h"
#include "server/metrics.h"

namespace penstock {

struct Api::Answered {
  Identity who;
  std::vector<std::shared_ptr<Write>> writes;
  std::vector<Result<ItemOutcome>> outcomes;
  v1::WriteOutcome outcome;  // of the whole: revision, rollout, warnings
  std::shared_ptr<const Message> request;
  std::string client;
  // What the audit log was told already.
  std::vector<Result<ItemOutcome>> foreseen;
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

namespace {

// Of a caller whose token is good for nobody.
constexpr std::string_view kNobody = "anonymous";

bool same(const Result<ItemOutcome>& a, const Result<ItemOutcome>& b) {
  if (!a || !b) return !a && !b && a.error() == b.error();
  return a->revision == b->revision && a->committed == b->committed && a->replayed == b->replayed;
}

const v1::WriteOptions* options_of(const Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("options");
  if (!field || field->message_type() != v1::WriteOptions::descriptor()) return nullptr;
  return &static_cast<const v1::WriteOptions&>(request.GetReflection()->GetMessage(request, field));
}

}  // namespace

Api::Api(ApiParts parts) : parts_(parts) {}

Result<Identity> Api::caller(const Caller& from) {
  if (!parts_.engine.serving() && parts_.engine.head().revision() == 0)
    return fail(Code::kUnavailable, "the server is starting");
  auto who = identify(parts_.engine.head(), from.secret, parts_.runtime.wall());
  const auto name = who ? who->text() : std::string(kNobody);
  if (who && who->kind == Identity::Kind::kHost)
    who = fail(Code::kPermissionDenied, "a host's token is good for its session only");
  if (!who) parts_.audit.login_refused(name, {}, from.client, who.error());
  return who;
}

std::string Api::user_of(const Caller& from) const {
  const auto who = identify(parts_.engine.head(), from.secret, parts_.runtime.wall());
  return who ? who->text() : "";
}

ReadContext Api::reading(const Identity& who) const {
  return {parts_.engine.head(), who, parts_.status, parts_.journal, parts_.runtime.tunables(),
          parts_.runtime.wall()};
}

// --- reads

void Api::get(Caller from, const v1::GetRequest& request, Done<v1::Object> done) {
  done = counted("Get", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  done(get_object(reading(*who), request));
}

void Api::list(Caller from, const v1::ListRequest& request, Done<v1::ListResponse> done) {
  done = counted("List", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  done(list_objects(reading(*who), pages_, parts_.runtime.wall(), request));
}

Result<std::uint64_t> Api::watch(Caller from, const v1::WatchRequest& request, Watches::Sink sink,
                                 Watches::Ended ended) {
  PENSTOCK_TRY(caller(from));
  return parts_.watches.watch(std::move(from.secret), request, std::move(sink), std::move(ended));
}

void Api::list_entries(Caller from, const v1::ListCatalogRequest& request,
                       Done<v1::ListCatalogResponse> done) {
  done = counted("ListEntries", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  done(list_catalog(reading(*who), pages_, parts_.runtime.wall(), request));
}

void Api::explain(Caller from, const v1::ExplainRequest& request, Done<v1::ExplainResponse> done) {
  done = counted("Explain", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  done(explain_object(reading(*who), parts_.sessions, parts_.compiler, request));
}

void Api::status(Caller from, const v1::StatusRequest&, Done<v1::StatusResponse> done) {
  done = counted("Status", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  auto response = server_status(reading(*who), parts_.sessions);
  response.set_version(version);
  response.set_incarnation(parts_.engine.position().incarnation());
  response.set_epoch(parts_.engine.epoch());
  response.set_listening(listening);
  done(std::move(response));
}

void Api::trace(Caller from, const v1::TraceRequest& request, Done<v1::Trace> done) {
  done = counted("Trace", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  parts_.traces.trace(*who, request, std::move(done));
}

void Api::check(Caller from, const v1::CheckRequest& request, Done<v1::CheckResponse> done) {
  done = counted("Check", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  parts_.checks.check(*who, request, std::move(done));
}

void Api::answered(std::string_view method, std::string_view code) {
  ++answers_[{std::string(method), std::string(code)}];
}

Result<std::string> Api::metrics(const Caller& from) {
  const auto who = PENSTOCK_TRY(caller(from));
  if (!who.administrator())
    return fail(Code::kPermissionDenied, "metrics are for administrators",
                "see your roles: penstock auth whoami");
  return metrics();
}

std::string Api::metrics() const {
  return server_metrics({parts_.engine, parts_.sessions, parts_.watches, parts_.audit, version,
                         answers_, resident_bytes ? resident_bytes() : 0});
}

void Api::counters(Caller from, const v1::CountersRequest& request,
                   Done<v1::CountersResponse> done) {
  done = counted("Counters", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  parts_.counters.ask(*who, request, std::move(done));
}

void Api::who_am_i(Caller from, const v1::WhoAmIRequest&, Done<v1::WhoAmIResponse> done) {
  done = counted("WhoAmI", std::move(done));
  const auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  v1::WhoAmIResponse response;
  response.set_user(who->name);
  for (const auto& role : who->roles) *response.add_roles() = role;
  for (const auto& group : who->groups) response.add_groups(group);
  done(std::move(response));
}

// --- writes

template <typename Request, typename Response>
void Api::write(const Caller& from, std::shared_ptr<const Request> request, std::vector<Item> items,
                bool atomic, std::function<Result<Response>(Answered&)> compose,
                Done<Response> done) {
  auto who = caller(from);
  if (!who) return done(std::unexpected(who.error()));
  auto call = std::make_shared<Call<Response>>();
  call->options = request->options();
  call->atomic = atomic;
  call->items = std::move(items);
  call->compose = std::move(compose);
  call->done = std::move(done);
  call->answered.who = std::move(*who);
  call->answered.request = request;
  call->answered.client = from.client;
  const auto refuse = [&](Error error) {
    audit(call->answered, std::unexpected(error), 0);
    parts_.audit.when_written([call, error = std::move(error)](Status) mutable {
      call->done(std::unexpected(std::move(error)));
    });
  };
  for (std::size_t i = 0; i < call->items.size(); ++i)
    call->answered.writes.push_back(std::make_shared<Write>());
  if (call->options.dry_run()) return dry_run(std::move(call));
  if (auto good = parts_.audit.accepts(); !good) return call->done(std::unexpected(good.error()));

  const auto& id = call->options.request_id();
  if (id.size() > 128)
    return refuse(
        fail_field("options.request_id", "a request id has at most 128 characters").error());
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
      return refuse(fail_field("options.request_id",
                               fmt::format("\"{}\" was the id of another request", id),
                               "use a new id for a new request")
                        .error());
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
      auto& write = *call->answered.writes[i];
      auto planned = call->items[i](context, write);
      write.before = write.change == v1::WriteOutcome::UPDATED ? snapshot.find(write.key) : nullptr;
      return planned;
    });
  engine_request.foreseen = [this, call](const std::vector<Result<ItemOutcome>>& outcomes) {
    auto& answered = call->answered;
    if (!answered.foreseen.empty()) return;
    answered.foreseen = outcomes;
    for (std::size_t i = 0; i < outcomes.size(); ++i) audit(answered, outcomes[i], i);
  };
  engine_request.done = [this, call](std::vector<Result<ItemOutcome>> outcomes) {
    finish(call, std::move(outcomes));
  };
  parts_.engine.submit(std::move(engine_request));
}

template <typename Response>
void Api::dry_run(std::shared_ptr<Call<Response>> call) {
  // On a working copy, so that later items see earlier ones as they would.
  const auto head = parts_.engine.head();
  auto working = head;
  std::vector<Edit> edits;
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
    edits.insert(edits.end(), planned->edits.begin(), planned->edits.end());
    answered.outcomes.push_back(ItemOutcome{.revision = parts_.engine.head().revision()});
    for (const auto& warning : write.warnings) answered.outcome.add_warnings(warning);
  }
  for (std::size_t i = 0; i < answered.outcomes.size(); ++i)
    audit(answered, answered.outcomes[i], i);
  const auto answer = [this, call] {
    parts_.audit.when_written([call](Status) { call->done(call->compose(call->answered)); });
  };
  const bool all_planned = std::ranges::all_of(
      answered.outcomes, [](const auto& outcome) { return outcome.has_value(); });
  if (!all_planned) return answer();
  parts_.previews.preview(answered.who, head, working, edits, [call, answer](v1::Effect effect) {
    *call->answered.outcome.mutable_effect() = std::move(effect);
    answer();
  });
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
    const bool told = i < answered.foreseen.size() && same(answered.foreseen[i], outcome);
    if (!told) audit(answered, outcome, i);
    if (!outcome) continue;
    revision = std::max(revision, outcome->revision);
    for (const auto& warning : write.warnings) answered.outcome.add_warnings(warning);
  }
  answered.outcome.set_revision(revision);
  const bool any = std::ranges::any_of(answered.outcomes,
                                       [](const auto& outcome) { return outcome.has_value(); });
  // Answered when it is in the audit log and, where that was asked for, applied: side by side.
  const bool wait = call->options.wait_applied() && any;
  auto part_done = [this, call, parts = std::make_shared<int>(wait ? 2 : 1)] {
    if (--*parts == 0) call->end(replays_, call->compose(call->answered));
  };
  parts_.audit.when_written([call, part_done](const Status& status) {
    if (!status)
      call->answered.outcome.add_warnings("done, but not in the audit log yet: " +
                                          status.error().message);
    part_done();
  });
  if (!wait) return;

  const auto deadline = deadline_of(call->options);
  parts_.waits.wait(targets_of(answered), revision, deadline, [call, part_done](WaitResult result) {
    call->answered.outcome.set_deadline_passed(result.deadline_passed);
    *call->answered.outcome.mutable_rollout() = std::move(result.rollout);
    part_done();
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
  if (!write.news.empty())
    parts_.journal.event(
        write.news_reason == "ApprovalRefused" ? v1::Event::WARNING : v1::Event::NORMAL,
        write.news_reason, write.key, write.news, who.text(), outcome->revision);
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

void Api::audit(const Answered& answered, const Result<ItemOutcome>& outcome, std::size_t item) {
  static constexpr std::string_view kCreate = "create", kUpdate = "update";
  auto record = intent_of(*answered.request, item);
  const auto& write = *answered.writes.at(item);
  record.set_user(answered.who.text());
  record.set_client(answered.client);
  const auto& head = parts_.engine.head();
  if (write.key.kind && !write.key.name.empty()) *record.mutable_object() = write.key.reference();
  if (record.action() == "put") {
    const bool there = outcome ? write.change != v1::WriteOutcome::CREATED
                               : write.key.kind && head.find(write.key);
    record.set_action(std::string(there ? kUpdate : kCreate));
  }
  if (const auto* options = options_of(*answered.request)) {
    record.set_request_id(options->request_id());
    record.set_dry_run(options->dry_run());
  }
  if (!outcome) {
    set_error(record, outcome.error());
    // To those who may not see it, it does not exist.
    if (outcome.error().code == Code::kNotFound && write.key.kind && head.find(write.key))
      record.set_outcome(v1::AuditRecord::DENIED);
    return parts_.audit.add(std::move(record));
  }
  record.set_outcome(v1::AuditRecord::ALLOWED);
  if (outcome->committed) record.set_revision(outcome->revision);
  if (write.change == v1::WriteOutcome::UNCHANGED) record.set_message("nothing to do");
  if (write.before && write.object) set_changed(record, *write.before, *write.object);
  parts_.audit.add(record);
  for (const auto& gone : write.deleted) {
    if (gone == write.key) continue;
    auto with = record;
    *with.mutable_object() = gone.reference();
    with.set_action("delete");
    with.set_message("with " + write.key.describe());
    parts_.audit.add(std::move(with));
  }
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
void Api::write_one(const Caller& from, Request request, Plan plan, Done<v1::PutResponse> done) {
  auto shared = std::make_shared<const Request>(std::move(request));
  std::vector<Item> items{[shared, plan](const PlanContext& context, Write& write) {
    return plan(context, *shared, write);
  }};
  write<Request, v1::PutResponse>(
      from, shared, std::move(items), false,
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

void Api::put(Caller from, v1::PutRequest request, Done<v1::PutResponse> done) {
  done = counted("Put", std::move(done));
  write_one(
      from, std::move(request),
      [](const PlanContext& context, const v1::PutRequest& put, Write& write) -> Result<Planned> {
        const auto* object = unwrap(put.object());
        if (!object) return fail_field("object", "an object is needed");
        return plan_put(context, *object, put.must_be_new(), write);
      },
      std::move(done));
}

void Api::patch(Caller from, v1::PatchRequest request, Done<v1::PutResponse> done) {
  done = counted("Patch", std::move(done));
  write_one(from, std::move(request), plan_patch, std::move(done));
}

void Api::erase(Caller from, v1::DeleteRequest request, Done<v1::DeleteResponse> done) {
  done = counted("Delete", std::move(done));
  auto shared = std::make_shared<const v1::DeleteRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_delete(context, *shared, write);
  }};
  write<v1::DeleteRequest, v1::DeleteResponse>(
      from, shared, std::move(items), false,
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

void Api::batch(Caller from, v1::BatchRequest request, Done<v1::BatchResponse> done) {
  done = counted("Batch", std::move(done));
  const auto most = parts_.runtime.tunables().api_batch_max_items;
  auto shared = std::make_shared<const v1::BatchRequest>(std::move(request));
  if (shared->items_size() > most) {
    const auto who = caller(from);
    if (!who) return done(std::unexpected(who.error()));
    const auto error =
        fail_field("items", fmt::format("a batch has at most {} items", most), "send several")
            .error();
    auto record = intent_of(*shared, shared->items_size());
    record.set_user(who->text());
    record.set_client(from.client);
    set_error(record, error);
    parts_.audit.add(std::move(record));
    return parts_.audit.when_written(
        [done = std::move(done), error](const Status&) mutable { done(std::unexpected(error)); });
  }
  std::vector<Item> items;
  for (int i = 0; i < shared->items_size(); ++i)
    items.push_back([shared, i](const PlanContext& context, Write& write) {
      return plan_batch_item(context, shared->items(i), write);
    });
  write<v1::BatchRequest, v1::BatchResponse>(
      from, shared, std::move(items), shared->atomic(),
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

void Api::enable(Caller from, v1::EnableRequest request, Done<v1::EnableResponse> done) {
  done = counted("Enable", std::move(done));
  auto shared = std::make_shared<const v1::EnableRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_enable(context, *shared, write);
  }};
  write<v1::EnableRequest, v1::EnableResponse>(
      from, shared, std::move(items), false,
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

void Api::disable(Caller from, v1::DisableRequest request, Done<v1::DisableResponse> done) {
  done = counted("Disable", std::move(done));
  auto shared = std::make_shared<const v1::DisableRequest>(std::move(request));
  std::vector<Item> items{[shared](const PlanContext& context, Write& write) {
    return plan_disable(context, *shared, write);
  }};
  write<v1::DisableRequest, v1::DisableResponse>(
      from, shared, std::move(items), false,
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

void Api::move(Caller from, v1::MoveRequest request, Done<v1::MoveResponse> done) {
  done = counted("Move", std::move(done));
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
      from, shared, std::move(items), false,
      [this](Answered& answered) -> Result<v1::MoveResponse> {
        if (!answered.outcomes[0]) return std::unexpected(answered.outcomes[0].error());
        v1::MoveResponse response;
        *response.mutable_outcome() =
            outcome_of(answered.outcome, *answered.writes[0], *answered.outcomes[0]);
        *response.mutable_vm() = object_of(answered, *answered.writes[0]).virtual_machine();
        return response;
      },
      [this, from, key, wait, deadline,
       done = std::move(done)](Result<v1::MoveResponse> begun) mutable {
        if (!begun || !wait) return done(std::move(begun));
        parts_.moves.wait(
            key, deadline,
            [this, from, key, response = std::move(*begun),
             done = std::move(done)](std::optional<Moves::Outcome> outcome) mutable {
              const auto who = caller(from);
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

void Api::decide(Caller from, v1::DecideRequest request, Done<v1::PutResponse> done) {
  done = counted("Decide", std::move(done));
  write_one(from, std::move(request), plan_decide, std::move(done));
}

void Api::add_to_draft(Caller from, v1::AddToDraftRequest request, Done<v1::PutResponse> done) {
  done = counted("AddToDraft", std::move(done));
  write_one(from, std::move(request), plan_add_to_draft, std::move(done));
}

void Api::submit(Caller from, v1::SubmitDefinitionRequest request, Done<v1::PutResponse> done) {
  done = counted("Submit", std::move(done));
  write_one(from, std::move(request), plan_submit, std::move(done));
}

}  // namespace penstock
