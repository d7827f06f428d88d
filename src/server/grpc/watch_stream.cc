#include "server/grpc/calls.h"

namespace penstock::grpc_adapter {
namespace {

class WatchStream final : public grpc::ServerWriteReactor<v1::WatchEvent>,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(Shared& shared, grpc::CallbackServerContext* context, v1::WatchRequest request)
      : shared_(shared), context_(context), request_(std::move(request)) {}

  void begin() {
    self_ = shared_from_this();
    post([this] { start(); });
  }

  // --- gRPC's threads
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
      if (watch_) shared_.api.cancel_watch(*watch_);
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

  void start() {
    if (finished_) return;
    open_ = shared_.open.add([this](const Error& error) { close(error); });
    const auto most = static_cast<std::size_t>(shared_.runtime.tunables().watch_queue_max);
    const auto watch = shared_.api.watch(
        caller_of(*context_), request_,
        [this, most](const v1::WatchEvent& event) {
          // The first objects come within the call and do not count as lag.
          if (finished_ || closing_ || (started_ && outbox_.size() >= most)) return false;
          if (const auto* now = outbox_.push(event)) StartWrite(now);
          return true;
        },
        [this](const Error& error) { close(error); });
    started_ = true;
    if (!watch) return close(watch.error());
    watch_ = *watch;
  }
  void close(const Error& error) {
    if (closing_ || finished_) return;
    closing_ = true;
    last_ = status_of(*context_, error);
    if (outbox_.empty()) finish();
  }
  void finish() {
    if (!std::exchange(finished_, true)) Finish(last_);
  }

  Shared& shared_;
  grpc::CallbackServerContext* context_;
  v1::WatchRequest request_;
  std::shared_ptr<WatchStream> self_;
  // Of the strand:
  std::optional<std::uint64_t> watch_;
  std::uint64_t open_ = 0;
  Outbox<v1::WatchEvent> outbox_;
  grpc::Status last_ = grpc::Status::CANCELLED;
  bool started_ = false, closing_ = false, finished_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchEvent>* watch_stream(Shared& shared,
                                                       grpc::CallbackServerContext* context,
                                                       const v1::WatchRequest& request) {
  auto stream = std::make_shared<WatchStream>(shared, context, request);
  stream->begin();
  return stream.get();
}

}  // namespace penstock::grpc_adapter
