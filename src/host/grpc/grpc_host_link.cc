#include "host/grpc/grpc_host_link.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "penstock/v1/host.grpc.pb.h"

namespace penstock::host {

struct GrpcHostLink::Shared {
  Runtime& runtime;
  std::string server, token;
  std::unique_ptr<v1::HostSession::Stub> stub;
  std::mutex mutex;
  std::condition_variable gone;
  int streams = 0;  // that gRPC still knows
};

namespace {

Error error_of(const grpc::Status& status, const std::string& server) {
  if (status.ok()) return {Code::kUnavailable, "the server ended the stream", {}, {}};
  auto code = Code::kUnavailable;
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) code = Code::kUnauthenticated;
  if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) code = Code::kPermissionDenied;
  return {code, server + ": " + status.error_message(), {}, {}};
}

}  // namespace

// One stream. Alive until gRPC is done with it and the strand has let go. Unless said, members are
// the strand's.
class GrpcHostLink::Stream final
    : public grpc::ClientBidiReactor<v1::HostMessage, v1::ServerMessage>,
      public std::enable_shared_from_this<Stream> {
 public:
  Stream(std::shared_ptr<Shared> shared, Events events)
      : shared_(std::move(shared)), events_(std::move(events)) {}

  void begin() {
    {
      const std::lock_guard lock(shared_->mutex);
      ++shared_->streams;
    }
    self_ = shared_from_this();
    context_.AddMetadata("authorization", "Bearer " + shared_->token);
    shared_->stub->async()->Connect(&context_, this);
    AddHold();  // writes start outside of gRPC's reactions
    held_ = true;
    StartRead(&incoming_);
    StartCall();
    post([this] {
      if (!closed_) events_.opened();
    });
  }

  void send(const v1::HostMessage& message) {
    if (!held_) return;
    outbox_.push_back(message);
    if (outbox_.size() == 1) StartWrite(&outbox_.front());
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    context_.TryCancel();
    let_go();
  }

  // --- gRPC's threads
  void OnReadDone(bool ok) override {
    post([this, ok] {
      if (!ok) return let_go();
      if (!closed_) events_.received(incoming_);
      if (!held_) return;
      incoming_.Clear();
      StartRead(&incoming_);
    });
  }
  void OnWriteDone(bool ok) override {
    post([this, ok] {
      outbox_.pop_front();
      if (!ok || !held_) return;
      if (!outbox_.empty()) StartWrite(&outbox_.front());
    });
  }
  void OnDone(const grpc::Status& status) override {
    post([this, status] {
      if (!std::exchange(closed_, true)) events_.closed(error_of(status, shared_->server));
    });
    const auto shared = shared_;
    const auto self = std::move(self_);
    const std::lock_guard lock(shared->mutex);
    --shared->streams;
    shared->gone.notify_all();
  }

 private:
  template <typename F>
  void post(F task) {
    shared_->runtime.post_from_any_thread(
        [self = shared_from_this(), task = std::move(task)]() mutable { task(); });
  }
  void let_go() {
    if (std::exchange(held_, false)) RemoveHold();
  }

  std::shared_ptr<Shared> shared_;
  Events events_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;        // set before the call starts, dropped in OnDone
  v1::ServerMessage incoming_;          // gRPC's between StartRead and OnReadDone
  std::deque<v1::HostMessage> outbox_;  // the first is gRPC's while a write is under way
  bool held_ = false, closed_ = false;
};

GrpcHostLink::GrpcHostLink(Runtime& runtime, std::string server, std::string token)
    : shared_(new Shared{runtime, std::move(server), std::move(token), {}, {}, {}, 0}) {
  const auto& tunables = runtime.tunables();
  grpc::ChannelArguments arguments;
  // The session decides when to try again; gRPC's own pauses (up to two minutes) would only add to
  // that.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   static_cast<int>(tunables.session_reconnect_min_ms));
  // Despite its name this one limits the connecting itself. A server that has just started and is
  // met by all hosts at once must not be left by them again before it could answer.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(tunables.session_lost_ms));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(tunables.session_reconnect_min_ms));
  arguments.SetMaxReceiveMessageSize(-1);  // FULL of a large host
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  shared_->stub = v1::HostSession::NewStub(
      grpc::CreateCustomChannel(shared_->server, grpc::InsecureChannelCredentials(), arguments));
}

GrpcHostLink::~GrpcHostLink() {
  close();
  std::unique_lock lock(shared_->mutex);
  shared_->gone.wait(lock, [this] { return shared_->streams == 0; });
}

void GrpcHostLink::open(Events events) {
  close();
  stream_ = std::make_shared<Stream>(shared_, std::move(events));
  stream_->begin();
}

void GrpcHostLink::send(const v1::HostMessage& message) {
  if (stream_) stream_->send(message);
}

void GrpcHostLink::close() {
  if (const auto stream = std::exchange(stream_, nullptr)) stream->close();
}

}  // namespace penstock::host
