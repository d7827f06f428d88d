#include "server/grpc/grpc_server.h"

#include <thread>

#include "penstock/v1/api.grpc.pb.h"
#include "penstock/v1/host.grpc.pb.h"
#include "server/grpc/calls.h"

namespace penstock {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using grpc_adapter::Shared;

namespace {

// A method of the API as a unary call.
#define PENSTOCK_UNARY(Method, Request, Response, member)                                        \
  ServerUnaryReactor* Method(CallbackServerContext* context, const v1::Request* request,         \
                             v1::Response* response) override {                                  \
    return grpc_adapter::unary(shared_, context, response,                                       \
                               [this, request](Caller from, auto done) {                         \
                                 shared_.api.member(std::move(from), *request, std::move(done)); \
                               });                                                               \
  }

class Resources final : public v1::Resources::CallbackService {
 public:
  explicit Resources(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(Get, GetRequest, Object, get)
  PENSTOCK_UNARY(List, ListRequest, ListResponse, list)
  PENSTOCK_UNARY(Put, PutRequest, PutResponse, put)
  PENSTOCK_UNARY(Patch, PatchRequest, PutResponse, patch)
  PENSTOCK_UNARY(Delete, DeleteRequest, DeleteResponse, erase)
  PENSTOCK_UNARY(Batch, BatchRequest, BatchResponse, batch)
  grpc::ServerWriteReactor<v1::WatchEvent>* Watch(CallbackServerContext* context,
                                                  const v1::WatchRequest* request) override {
    return grpc_adapter::watch_stream(shared_, context, *request);
  }

 private:
  Shared& shared_;
};

class Catalog final : public v1::Catalog::CallbackService {
 public:
  explicit Catalog(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(ListEntries, ListCatalogRequest, ListCatalogResponse, list_entries)
  PENSTOCK_UNARY(Enable, EnableRequest, EnableResponse, enable)
  PENSTOCK_UNARY(Disable, DisableRequest, DisableResponse, disable)
  PENSTOCK_UNARY(Decide, DecideRequest, PutResponse, decide)

 private:
  Shared& shared_;
};

class Machines final : public v1::Machines::CallbackService {
 public:
  explicit Machines(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(Move, MoveRequest, MoveResponse, move)

 private:
  Shared& shared_;
};

class Definitions final : public v1::Definitions::CallbackService {
 public:
  explicit Definitions(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(AddToDraft, AddToDraftRequest, PutResponse, add_to_draft)
  PENSTOCK_UNARY(Submit, SubmitDefinitionRequest, PutResponse, submit)

 private:
  Shared& shared_;
};

class TracesService final : public v1::Traces::CallbackService {
 public:
  explicit TracesService(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(Trace, TraceRequest, Trace, trace)

 private:
  Shared& shared_;
};

class System final : public v1::System::CallbackService {
 public:
  explicit System(Shared& shared) : shared_(shared) {}
  PENSTOCK_UNARY(Explain, ExplainRequest, ExplainResponse, explain)
  PENSTOCK_UNARY(Status, StatusRequest, StatusResponse, status)
  PENSTOCK_UNARY(Check, CheckRequest, CheckResponse, check)
  PENSTOCK_UNARY(Counters, CountersRequest, CountersResponse, counters)
  PENSTOCK_UNARY(WhoAmI, WhoAmIRequest, WhoAmIResponse, who_am_i)

 private:
  Shared& shared_;
};

class HostSession final
    : public v1::HostSession::WithRawCallbackMethod_Connect<v1::HostSession::Service> {
 public:
  explicit HostSession(Shared& shared) : shared_(shared) {}
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      CallbackServerContext* context) override {
    return grpc_adapter::host_stream(shared_, context);
  }

 private:
  Shared& shared_;
};

}  // namespace

struct GrpcServer::Impl {
  Impl(Runtime& runtime, Log& log, Api& api, HostSessions& sessions)
      : shared{runtime, log, api, sessions, {}} {}

  Shared shared;
  Resources resources{shared};
  Catalog catalog{shared};
  Machines machines{shared};
  Definitions definitions{shared};
  TracesService traces{shared};
  System system{shared};
  HostSession host_session{shared};
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

GrpcServer::GrpcServer(Runtime& runtime, Log& log, Api& api, HostSessions& sessions)
    : impl_(std::make_shared<Impl>(runtime, log, api, sessions)) {}
GrpcServer::~GrpcServer() = default;

Status GrpcServer::listen(const std::string& address, std::uint16_t port) {
  auto& impl = *impl_;
  const bool v6 = address.find(':') != std::string::npos;
  const auto where =
      v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(where, grpc::InsecureServerCredentials(), &impl.port);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(impl.shared.runtime.tunables().api_request_max_bytes));
  // A second server on the same port must fail, not share its connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&impl.resources);
  builder.RegisterService(&impl.catalog);
  builder.RegisterService(&impl.machines);
  builder.RegisterService(&impl.definitions);
  builder.RegisterService(&impl.traces);
  builder.RegisterService(&impl.system);
  builder.RegisterService(&impl.host_session);
  impl.server = builder.BuildAndStart();
  if (!impl.server || impl.port == 0)
    return fail(Code::kUnavailable,
                fmt::format("listen for gRPC on {}: the address cannot be bound", where),
                "is another server running there?");
  return {};
}

std::uint16_t GrpcServer::port() const {
  return static_cast<std::uint16_t>(impl_->port);
}

void GrpcServer::stop(Task done) {
  auto& shared = impl_->shared;
  if (!impl_->server) return shared.runtime.post(std::move(done));
  shared.open.end_all({Code::kUnavailable, "the server is stopping", {}, "try again"});
  // Shutdown blocks until every stream is done, and streams need the strand for that: so it has its
  // own thread.
  std::thread([impl = impl_, done = std::move(done)]() mutable {
    impl->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    impl->server->Wait();
    impl->shared.runtime.post_from_any_thread(std::move(done));
  }).detach();
}

}  // namespace penstock
