// The whole API as asynchronous calls on the strand: token and request in, answer out. gRPC, HTTP
// and the simulation call exactly this; it adds nothing but what every call needs: who is it, is it
// done once, wait until applied.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "penstock/v1/api.pb.h"
#include "server/audit.h"
#include "server/checks.h"
#include "server/counters.h"
#include "server/handlers/context.h"
#include "server/moves.h"
#include "server/pages.h"
#include "server/previews.h"
#include "server/replays.h"
#include "server/traces.h"
#include "server/waits.h"
#include "server/watches.h"

namespace penstock {

struct ApiParts {
  Runtime& runtime;
  Log& log;
  Engine& engine;
  Compiler& compiler;
  HostSessions& sessions;
  const StatusBook& status;
  Waits& waits;
  Watches& watches;
  Journal& journal;
  Audit& audit;
  Traces& traces;
  Checks& checks;
  Previews& previews;
  Counters& counters;
  Moves& moves;
  const StepKinds& step_kinds;
};

class Api {
 public:
  template <typename T>
  using Done = std::move_only_function<void(Result<T>)>;

  explicit Api(ApiParts);

  // What Status says about the server itself.
  std::string version = "0.1.0";
  std::string listening;
  // What the process knows of itself.
  std::function<std::int64_t()> resident_bytes;
  void disk_space_by(std::function<Result<DiskSpace>()> ask) {
    parts_.checks.disk_space = std::move(ask);
  }

  // Whose token it is; empty: nobody's. Nothing is noted.
  std::string user_of(const Caller&) const;
  // An answer was given: counted by method and code ("ok", or of the error).
  void answered(std::string_view method, std::string_view code);

  // Resources
  void get(Caller, const v1::GetRequest&, Done<v1::Object>);
  void list(Caller, const v1::ListRequest&, Done<v1::ListResponse>);
  Result<std::uint64_t> watch(Caller, const v1::WatchRequest&, Watches::Sink, Watches::Ended);
  void cancel_watch(std::uint64_t id) { parts_.watches.cancel(id); }
  void put(Caller, v1::PutRequest, Done<v1::PutResponse>);
  void patch(Caller, v1::PatchRequest, Done<v1::PutResponse>);
  void erase(Caller, v1::DeleteRequest, Done<v1::DeleteResponse>);
  void batch(Caller, v1::BatchRequest, Done<v1::BatchResponse>);
  // Catalog
  void list_entries(Caller, const v1::ListCatalogRequest&, Done<v1::ListCatalogResponse>);
  void enable(Caller, v1::EnableRequest, Done<v1::EnableResponse>);
  void disable(Caller, v1::DisableRequest, Done<v1::DisableResponse>);
  void decide(Caller, v1::DecideRequest, Done<v1::PutResponse>);
  // Machines
  void move(Caller, v1::MoveRequest, Done<v1::MoveResponse>);
  // Definitions
  void add_to_draft(Caller, v1::AddToDraftRequest, Done<v1::PutResponse>);
  void submit(Caller, v1::SubmitDefinitionRequest, Done<v1::PutResponse>);
  // System
  void explain(Caller, const v1::ExplainRequest&, Done<v1::ExplainResponse>);
  void status(Caller, const v1::StatusRequest&, Done<v1::StatusResponse>);
  // Answers when the hosts have, or at probe_deadline_ms.
  void check(Caller, const v1::CheckRequest&, Done<v1::CheckResponse>);
  // For administrators: what the server counts, as Prometheus reads it.
  Result<std::string> metrics(const Caller&);
  // The same for a listener of its own, where whoever reaches it may read.
  std::string metrics() const;
  // A packet's way; answers when it is known or the deadline has passed.
  void trace(Caller, const v1::TraceRequest&, Done<v1::Trace>);
  // Of a profile's rules, or a VM's NICs and services; answers when the hosts have, or the deadline
  // has passed.
  void counters(Caller, const v1::CountersRequest&, Done<v1::CountersResponse>);
  void who_am_i(Caller, const v1::WhoAmIRequest&, Done<v1::WhoAmIResponse>);

 private:
  using Item = std::function<Result<Planned>(const PlanContext&, Write&)>;
  struct Answered;  // writes, how they ended, and the caller
  template <typename Response>
  struct Call;

  Result<Identity> caller(const Caller&);
  // `done`, which also counts.
  template <typename T>
  Done<T> counted(std::string_view method, Done<T> done) {
    return [this, method, done = std::move(done)](Result<T> result) mutable {
      answered(method, result ? "ok" : name(result.error().code));
      done(std::move(result));
    };
  }
  ReadContext reading(const Identity& who) const;

  // Plans and commits the items, waits when asked, then lets `compose` make the answer.
  template <typename Request, typename Response>
  void write(const Caller&, std::shared_ptr<const Request> request, std::vector<Item> items,
             bool atomic, std::function<Result<Response>(Answered&)> compose, Done<Response> done);
  // One item, answered with its object; `plan` is a plan_... of the handlers.
  template <typename Request, typename Plan>
  void write_one(const Caller&, Request, Plan plan, Done<v1::PutResponse> done);
  template <typename Response>
  void finish(std::shared_ptr<Call<Response>> call, std::vector<Result<ItemOutcome>> outcomes);
  template <typename Response>
  void dry_run(std::shared_ptr<Call<Response>> call);
  Targets targets_of(const Answered&) const;
  v1::Object object_of(const Answered&, const Write&) const;
  Duration deadline_of(const v1::WriteOptions&) const;
  void record(const Identity& who, const Write&, const Result<ItemOutcome>&);
  // Every item of the call as an audit record; of a deletion what went with it, too.
  void audit(const Answered&, const Result<ItemOutcome>&, std::size_t item);

  ApiParts parts_;
  Pages pages_;
  Replays replays_;
  std::map<std::pair<std::string, std::string>, std::int64_t, std::less<>> answers_;
};

}  // namespace penstock
