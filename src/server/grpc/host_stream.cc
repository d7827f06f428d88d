#include "server/grpc/calls.h"

namespace penstock::grpc_adapter {
namespace {

// One host's stream. Alive until gRPC is done with it and the strand has let go.
class HostStream final : public grpc::ServerBidiReactor<v1::HostMessage, v1::ServerMessage>,
                         public HostChannel,
                         public std::enable_shared_from_this<HostStream> {
 public:
  HostStream(Shared& shared, grpc::CallbackServerContext* context)
      : shared_(shared), context_(context) {}

  void begin() {
    self_ = shared_from_this();
    post([this] {
      if (finished_) return;
      id_ = shared_.sessions.opened(secret_of(*context_), *this, client_of(*context_));
      open_ = shared_.open.add([this](const Error&) { finish(); });
      StartRead(&incoming_);
    });
  }

  // --- HostChannel
  void send(v1::ServerMessage message) override {
    if (finished_ || closing_) return;
    if (const auto* now = outbox_.push(std::move(message))) StartWrite(now);
  }
  void close() override {
    closing_ = true;
    if (outbox_.empty()) finish();
  }

  // --- gRPC's threads
  void OnReadDone(bool ok) override {
    post([this, ok] {
      if (finished_) return;
      if (!ok) return finish();
      shared_.sessions.received(id_, incoming_);
      if (finished_) return;
      incoming_.Clear();
      StartRead(&incoming_);
    });
  }
  void OnWriteDone(bool ok) override {
    post([this, ok] {
      const auto* next = outbox_.next();
      if (finished_) return;
      if (!ok || (!next && closing_)) return finish();
      if (next) StartWrite(next);
    });
  }
  void OnCancel() override {
    post([this] { finish(); });
  }
  void OnDone() override {
    post([this] {
      shared_.sessions.closed(id_);
      shared_.open.remove(open_);
      self_.reset();
    });
  }

 private:
  template <typename F>
  void post(F task) {
    shared_.runtime.post_from_any_thread(
        [self = shared_from_this(), task = std::move(task)] { task(); });
  }
  void finish() {
    if (!std::exchange(finished_, true)) Finish(grpc::Status::OK);
  }

  Shared& shared_;
  grpc::CallbackServerContext* context_;
  std::shared_ptr<HostStream> self_;
  // Of the strand:
  SessionId id_;
  std::uint64_t open_ = 0;
  v1::HostMessage incoming_;  // gRPC's between StartRead and OnReadDone
  Outbox<v1::ServerMessage> outbox_;
  bool closing_ = false, finished_ = false;
};

}  // namespace

grpc::ServerBidiReactor<v1::HostMessage, v1::ServerMessage>* host_stream(
    Shared& shared, grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<HostStream>(shared, context);
  stream->begin();
  return stream.get();
}

}  // namespace penstock::grpc_adapter
