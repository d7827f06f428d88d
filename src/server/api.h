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
#include "server/handlers/context.h"
#include "server/moves.h"
#include "server/pages.h"
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
  Traces& traces;
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

  // Resources
  void get(std::string secret, const v1::GetRequest&, Done<v1::Object>);
  void list(std::string secret, const v1::ListRequest&, Done<v1::ListResponse>);
  Result<std::uint64_t> watch(std::string secret, const v1::WatchRequest&, Watches::Sink,
                              Watches::Ended);
  void cancel_watch(std::uint64_t id) { parts_.watches.cancel(id); }
  void put(std::string secret, v1::PutRequest, Done<v1::PutResponse>);
  void patch(std::string secret, v1::PatchRequest, Done<v1::PutResponse>);
  void erase(std::string secret, v1::DeleteRequest, Done<v1::DeleteResponse>);
  void batch(std::string secret, v1::BatchRequest, Done<v1::BatchResponse>);
  // Catalog
  void list_entries(std::string secret, const v1::ListCatalogRequest&,
                    Done<v1::ListCatalogResponse>);
  void enable(std::string secret, v1::EnableRequest, Done<v1::EnableResponse>);
  void disable(std::string secret, v1::DisableRequest, Done<v1::DisableResponse>);
  // Machines
  void move(std::string secret, v1::MoveRequest, Done<v1::MoveResponse>);
  // Definitions
  void add_to_draft(std::string secret, v1::AddToDraftRequest, Done<v1::PutResponse>);
  void submit(std::string secret, v1::SubmitDefinitionRequest, Done<v1::PutResponse>);
  // System
  void explain(std::string secret, const v1::ExplainRequest&, Done<v1::ExplainResponse>);
  void status(std::string secret, const v1::StatusRequest&, Done<v1::StatusResponse>);
  // A packet's way; answers when it is known or the deadline has passed.
  void trace(std::string secret, const v1::TraceRequest&, Done<v1::Trace>);
  void who_am_i(std::string secret, const v1::WhoAmIRequest&, Done<v1::WhoAmIResponse>);

 private:
  using Item = std::function<Result<Planned>(const PlanContext&, Write&)>;
  struct Answered;  // writes, how they ended, and the caller
  template <typename Response>
  struct Call;

  Result<Identity> caller(const std::string& secret) const;
  ReadContext reading(const Identity& who) const;

  // Plans and commits the items, waits when asked, then lets `compose` make the answer.
  template <typename Request, typename Response>
  void write(const std::string& secret, std::shared_ptr<const Request> request,
             std::vector<Item> items, bool atomic,
             std::function<Result<Response>(Answered&)> compose, Done<Response> done);
  // One item, answered with its object; `plan` is a plan_... of the handlers.
  template <typename Request, typename Plan>
  void write_one(const std::string& secret, Request, Plan plan, Done<v1::PutResponse> done);
  template <typename Response>
  void finish(std::shared_ptr<Call<Response>> call, std::vector<Result<ItemOutcome>> outcomes);
  template <typename Response>
  void dry_run(std::shared_ptr<Call<Response>> call);
  Targets targets_of(const Answered&) const;
  v1::Object object_of(const Answered&, const Write&) const;
  Duration deadline_of(const v1::WriteOptions&) const;
  void record(const Identity& who, const Write&, const Result<ItemOutcome>&);

  ApiParts parts_;
  Pages pages_;
  Replays replays_;
};

}  // namespace penstock
