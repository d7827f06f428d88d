#include "base/ensure.h"
#include "penstock/v1/host.grpc.pb.h"
#include "server/grpc/calls.h"

namespace penstock::grpc_adapter {
namespace {

template <typename Message>
grpc::ByteBuffer bytes_of(const Message& message) {
  grpc::ByteBuffer out;
  bool own = false;
  // Fails for messages of 2 GiB only.
  ensure(grpc::SerializationTraits<Message>::Serialize(message, &out, &own).ok(),
         "a message of ours can be serialized");
  return out;
}

// One host's stream, as bytes: the whole intent of a host comes serialized. Alive until gRPC is
// done with it and the strand has let go.
class HostStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
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
  void send(v1::ServerMessage message) override { push({bytes_of(message), {}}); }
  void send_serialized(std::string bytes, Task written) override {
    const grpc::Slice slice(bytes);
    push({grpc::ByteBuffer(&slice, 1), std::move(written)});
  }
  void close() override {
    closing_ = true;
    if (outbox_.empty()) finish();
  }

  // --- gRPC's threads
  void OnReadDone(bool ok) override {
    v1::HostMessage message;
    const bool readable =
        ok && grpc::SerializationTraits<v1::HostMessage>::Deserialize(&incoming_, &message).ok();
    post([this, readable, message = std::move(message)] {
      if (finished_) return;
      if (!readable) return finish();
      shared_.sessions.received(id_, message);
      incoming_.Clear();
      if (!finished_) StartRead(&incoming_);
    });
  }
  void OnWriteDone(bool ok) override {
    post([this, ok] {
      auto written = outbox_.front().written ? std::move(outbox_.front().written) : Task();
      const auto* next = outbox_.next();
      if (finished_) return;
      if (!ok || (!next && closing_)) return finish();
      if (next) StartWrite(&next->bytes);
      if (written) written();
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
  struct Outgoing {
    grpc::ByteBuffer bytes;
    Task written;  // empty: nobody asks
  };
  void push(Outgoing message) {
    if (finished_ || closing_) return;
    if (const auto* now = outbox_.push(std::move(message))) StartWrite(&now->bytes);
  }
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
  grpc::ByteBuffer incoming_;  // gRPC's between StartRead and OnReadDone
  Outbox<Outgoing> outbox_;
  bool closing_ = false, finished_ = false;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* host_stream(
    Shared& shared, grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<HostStream>(shared, context);
  stream->begin();
  return stream.get();
}

}  // namespace penstock::grpc_adapter
