// The parts every gRPC call of ours shares.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "base/log.h"
#include "base/runtime.h"
#include "server/api.h"
#include "server/failure.h"
#include "server/identity.h"
#include "server/sessions.h"

namespace penstock::grpc_adapter {

// What is open, so that it can be ended when the server stops. Touched on the strand only.
class OpenCalls {
 public:
  using End = std::move_only_function<void(const Error&)>;
  std::uint64_t add(End end) {
    ends_.emplace(++last_, std::move(end));
    return last_;
  }
  void remove(std::uint64_t id) { ends_.erase(id); }
  void end_all(const Error& error) {
    for (auto ends = std::exchange(ends_, {}); auto& [id, end] : ends) end(error);
  }

 private:
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, End> ends_;
};

struct Shared {
  Runtime& runtime;
  Log& log;
  Api& api;
  HostSessions& sessions;
  OpenCalls open;
};

inline std::string secret_of(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("authorization");
  if (found == context.client_metadata().end()) return {};
  return std::string(bearer({found->second.data(), found->second.size()}));
}

// "ipv4:192.0.2.1:4711" -> "192.0.2.1", "ipv6:[::1]:4711" (or %5B...) -> "::1".
inline std::string client_of(const grpc::CallbackServerContext& context) {
  auto peer = context.peer();
  for (const auto& [from, to] : {std::pair{"%5B", "["}, std::pair{"%5D", "]"}})
    if (const auto at = peer.find(from); at != peer.npos) peer.replace(at, 3, to);
  const auto scheme = peer.find(':'), port = peer.rfind(':');
  if (scheme == peer.npos || scheme == port) return peer;
  peer = peer.substr(scheme + 1, port - scheme - 1);
  if (peer.starts_with('[') && peer.ends_with(']')) peer = peer.substr(1, peer.size() - 2);
  return peer;
}
inline Caller caller_of(const grpc::CallbackServerContext& context) {
  return Caller(secret_of(context), client_of(context));
}

// The status for the error; the details go into the trailer.
inline grpc::Status status_of(grpc::CallbackServerContext& context, const Error& error) {
  context.AddTrailingMetadata("penstock-failure-bin", failure_of(error).SerializeAsString());
  return {static_cast<grpc::StatusCode>(grpc_status(error.code)), error.message};
}

// One answer to one request. `start(caller, done)` runs on the strand.
template <typename Response, typename Start>
grpc::ServerUnaryReactor* unary(Shared& shared, grpc::CallbackServerContext* context,
                                Response* response, Start start) {
  auto* reactor = context->DefaultReactor();
  shared.runtime.post_from_any_thread(
      [&shared, context, response, reactor, start = std::move(start)]() mutable {
        // Whoever comes first answers: the handler, or the end of the server.
        auto finished = std::make_shared<bool>(false);
        const auto id = shared.open.add([context, reactor, finished](const Error& error) {
          if (!std::exchange(*finished, true)) reactor->Finish(status_of(*context, error));
        });
        start(caller_of(*context),
              [&shared, context, response, reactor, finished, id](Result<Response> result) {
                if (std::exchange(*finished, true)) return;
                shared.open.remove(id);
                if (!result) return reactor->Finish(status_of(*context, result.error()));
                *response = std::move(*result);
                reactor->Finish(grpc::Status::OK);
              });
      });
  return reactor;
}

// Messages on their way out of a stream; gRPC takes one at a time. All of a stream's state lives on
// the strand: gRPC's threads only post what happened, so nothing is ever started on a stream that
// has been finished.
template <typename Message>
class Outbox {
 public:
  // The message to write now, or nullptr: one is being written already.
  const Message* push(Message message) {
    queue_.push_back(std::move(message));
    return queue_.size() == 1 ? &queue_.front() : nullptr;
  }
  // After a write: the next, or nullptr.
  const Message* next() {
    queue_.pop_front();
    return queue_.empty() ? nullptr : &queue_.front();
  }
  Message& front() { return queue_.front(); }
  std::size_t size() const { return queue_.size(); }
  bool empty() const { return queue_.empty(); }

 private:
  std::deque<Message> queue_;
};

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* host_stream(
    Shared&, grpc::CallbackServerContext*);
grpc::ServerWriteReactor<v1::WatchEvent>* watch_stream(Shared&, grpc::CallbackServerContext*,
                                                       const v1::WatchRequest&);

}  // namespace penstock::grpc_adapter
