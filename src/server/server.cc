#include "server/server.h"

#include "server/secret.h"

namespace penstock {

struct Server::Parts {
  Parts(Runtime& r, Log& l, Store& store, AuditLog& audit_log)
      : runtime(r),
        log(l),
        step_kinds(standard_step_kinds()),
        compiler(step_kinds),
        journal(runtime),
        audit(runtime, log, journal, audit_log),
        engine(runtime, log, store),
        sessions(runtime, log, engine, compiler, journal),
        status(sessions, compiler),
        waits(runtime, sessions),
        watches(runtime, engine, status, journal),
        traces(runtime, engine, sessions),
        checks(runtime, engine, sessions, compiler, audit),
        previews(runtime, compiler, sessions),
        counters(runtime, engine, sessions, compiler),
        moves(runtime, log, engine, compiler, sessions, journal),
        api({runtime, log, engine, compiler, sessions, status, waits, watches, journal, audit,
             traces, checks, previews, counters, moves, step_kinds}) {}

  Runtime& runtime;
  Log& log;
  StepKinds step_kinds;
  Compiler compiler;
  Journal journal;
  Audit audit;
  Engine engine;
  HostSessions sessions;
  StatusBook status;
  Waits waits;
  Watches watches;
  Traces traces;
  Checks checks;
  Previews previews;
  Counters counters;
  Moves moves;
  Api api;
};

Server::Server(Runtime& runtime, Log& log, Store& store, AuditLog& audit_log)
    : parts_(std::make_unique<Parts>(runtime, log, store, audit_log)) {
  auto& parts = *parts_;
  // Hosts first: an enable command is on its way before anything is told to anyone else.
  parts.engine.on_published = [&parts](const Publication& publication) {
    parts.sessions.published(publication);
    parts.watches.published(publication);
    parts.moves.published(publication);
  };
  parts.engine.on_settled = [&parts] {
    parts.sessions.settled();
    parts.watches.settled();
  };
  parts.sessions.on_refused = [&parts](const std::string& host, const std::string& client,
                                       const Error& error) {
    parts.audit.login_refused("host:" + host, ObjectKey::of<v1::Host>("", host).reference(), client,
                              error);
  };
  parts.sessions.on_trace = [&parts](const std::string& host, const v1::TraceReport& report) {
    parts.traces.reported(host, report);
  };
  parts.sessions.on_probe = [&parts](const std::string& host, const v1::ProbeReport& report) {
    parts.checks.reported(host, report);
  };
  parts.sessions.on_preview = [&parts](const std::string& host, const v1::PreviewReport& report) {
    parts.previews.reported(host, report);
  };
  parts.sessions.on_counters = [&parts](const std::string& host, const v1::CountersReport& report) {
    parts.counters.reported(host, report);
  };
  parts.sessions.on_move = [&parts](const std::string& host, const v1::MoveReport& report) {
    parts.moves.reported(host, report);
  };
  parts.sessions.on_flows = [&parts](const std::string& host, const v1::FlowBatch& batch) {
    parts.moves.flows(host, batch);
  };
  parts.sessions.on_progress = [&parts](const std::string& host,
                                        const std::vector<std::string>* items) {
    parts.waits.progress(host);
    parts.watches.progress(host, items);
    parts.moves.progress(host);
  };
}
Server::~Server() = default;

Api& Server::api() {
  return parts_->api;
}
HostSessions& Server::sessions() {
  return parts_->sessions;
}
Engine& Server::engine() {
  return parts_->engine;
}

void Server::start(FirstSecret first_secret, std::move_only_function<void(Status)> done) {
  if (auto status = parts_->audit.start(); !status) return done(std::move(status));
  parts_->engine.start([this, first_secret = std::move(first_secret),
                        done = std::move(done)](Status status) mutable {
    if (!status) return done(std::move(status));
    parts_->moves.start();
    const auto& head = parts_->engine.head();
    parts_->log.info("inventory of revision {} loaded, epoch {}", head.revision(),
                     parts_->engine.epoch());
    if (head.count(kind_of<v1::User>()) > 0) return done({});
    first_start(std::move(first_secret), std::move(done));
  });
}

void Server::first_start(FirstSecret first_secret, std::move_only_function<void(Status)> done) {
  // The secret is handed out before it is valid: a crash in between leaves a secret that opens
  // nothing, and the next start makes another.
  const auto secret = new_secret(parts_->runtime);
  if (auto status = first_secret(secret); !status) return done(std::move(status));
  auto user = std::make_shared<v1::User>();
  user->mutable_metadata()->set_name("admin");
  user->mutable_spec()->set_display_name("First administrator");
  user->mutable_spec()->add_roles()->set_role(v1::ADMINISTRATOR);
  auto token = std::make_shared<v1::Token>();
  token->mutable_metadata()->set_name("admin-first");
  token->mutable_spec()->set_user("admin");

  Engine::Request request;
  request.atomic = true;
  auto planner = [this](MessagePtr object, std::string hash) {
    return [this, object = std::move(object),
            hash = std::move(hash)](const Snapshot& snapshot) -> Result<Planned> {
      Identity nobody;
      nobody.name = "admin";
      nobody.roles.emplace_back().set_role(v1::ADMINISTRATOR);
      const PlanContext context{snapshot, nobody, parts_->runtime, parts_->step_kinds,
                                parts_->compiler};
      auto admission = PENSTOCK_TRY(admit(snapshot, *object, context.admit_context()));
      if (!hash.empty())
        for (auto& edit : admission.edits) {
          if (edit.object != admission.object) continue;
          auto token = std::make_shared<v1::Token>(static_cast<const v1::Token&>(*edit.object));
          token->mutable_spec()->set_sha256(hash);
          edit = Edit::put(token);
        }
      return Planned{std::move(admission.edits), false};
    };
  };
  request.items.push_back(planner(user, ""));
  request.items.push_back(planner(token, secret_hash(secret)));
  request.done = [done = std::move(done)](std::vector<Result<ItemOutcome>> outcomes) mutable {
    for (auto& outcome : outcomes)
      if (!outcome)
        return done(std::unexpected(Error(outcome.error()).in("make the first administrator")));
    done({});
  };
  parts_->engine.submit(std::move(request));
}

}  // namespace penstock
