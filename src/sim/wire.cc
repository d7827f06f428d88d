#include "sim/wire.h"

#include <algorithm>
#include <utility>

namespace penstock::sim {

struct Wire::Stream {
  struct Message {
    MonoTime due;
    Task deliver;
    bool last = false;  // nothing arrives after it
  };
  struct Side {
    bool alive = true;  // somebody is there who can be told something
    std::deque<Message> coming;
    MonoTime last_due{};
    bool pumping = false;
  };
  // The server's handle. It outlives the session, because closing is the session's last word.
  struct Channel final : HostChannel {
    std::function<void(v1::ServerMessage)> on_send;
    std::function<void()> on_close;
    void send(v1::ServerMessage message) override { on_send(std::move(message)); }
    void close() override { on_close(); }
  };

  int number = 0;
  Side host, server;
  host::HostLink::Events events;
  Channel channel;
  HostSessions* sessions = nullptr;  // while the server's side is alive
  SessionId session;
  bool skipped = false;        // a delta was left out
  std::int64_t previous = -1;  // revision of the last message let through, after a skip
  Side& side(End end) { return end == End::kHost ? host : server; }
};

class Wire::Link final : public host::HostLink {
 public:
  explicit Link(Wire& wire) : wire_(wire) { wire_.link_ = this; }
  ~Link() override {
    close();
    if (wire_.link_ == this) wire_.link_ = nullptr;
  }
  void open(Events events) override { wire_.open(*this, std::move(events)); }
  void send(const v1::HostMessage& message) override {
    if (!stream_) return;
    wire_.hooks_.host_sends(message);
    wire_.send(stream_, End::kServer, [stream = stream_, message] {
      if (stream->sessions) stream->sessions->received(stream->session, message);
    });
  }
  // The server hears of it, when it can.
  void close() override {
    const auto stream = std::exchange(stream_, nullptr);
    if (!stream) return;
    wire_.lose(stream, End::kHost);
    wire_.send(
        stream, End::kServer,
        [&wire = wire_, stream] { wire.tell(stream, End::kServer, "the host closed the stream"); },
        true);
  }

  StreamPtr stream_;

 private:
  Wire& wire_;
};

Wire::Wire(SimClock& clock, Trace& trace, std::string host, Defect defect, Hooks hooks)
    : clock_(clock),
      trace_(trace),
      host_(std::move(host)),
      defect_(defect),
      hooks_(std::move(hooks)) {}

std::unique_ptr<host::HostLink> Wire::link() {
  return std::make_unique<Link>(*this);
}

Duration Wire::delay() {
  const auto range = static_cast<std::uint64_t>((delay_max - delay_min).count()) + 1;
  return delay_min + Duration(static_cast<std::int64_t>(clock_.random().below(range)));
}

void Wire::open(Link& link, host::HostLink::Events events) {
  const auto stream = std::make_shared<Stream>();
  stream->number = next_stream_++;
  stream->events = std::move(events);
  link.stream_ = stream_ = stream;
  stream->channel.on_send = [this, weak = std::weak_ptr(stream)](v1::ServerMessage message) {
    if (const auto stream = weak.lock()) from_server(stream, std::move(message));
  };
  stream->channel.on_close = [this, weak = std::weak_ptr(stream)] {
    const auto stream = weak.lock();
    if (!stream || !stream->sessions) return;
    lose(stream, End::kServer);
    send(
        stream, End::kHost,
        [this, stream] { tell(stream, End::kHost, "the server closed the stream"); }, true);
  };
  send(stream, End::kServer, [this, stream] {
    auto* sessions = hooks_.server();
    if (!sessions) {
      lose(stream, End::kServer);
      send(
          stream, End::kHost, [this, stream] { tell(stream, End::kHost, "connection refused"); },
          true);
      return;
    }
    trace_.add("{} stream {} opened", host_, stream->number);
    std::erase_if(served_, [](const StreamPtr& old) { return !old->server.alive; });
    served_.push_back(stream);
    stream->sessions = sessions;
    stream->session = sessions->opened(hooks_.token(), stream->channel);
    send(stream, End::kHost, [stream] { stream->events.opened(); });
  });
}

void Wire::from_server(const StreamPtr& stream, v1::ServerMessage message) {
  if (!stream->sessions) return;
  hooks_.server_sends(message);
  if (defect_ == Defect::kSkipDelta && message.has_delta() && message.delta().put_size() > 0) {
    // One delta in eight is forgotten, and the books are made to fit.
    if (clock_.random().below(8) == 0) {
      if (stream->previous < 0) stream->previous = message.delta().previous_revision();
      return;
    }
    if (stream->previous >= 0)
      message.mutable_delta()->set_previous_revision(std::exchange(stream->previous, -1));
  }
  if (defect_ == Defect::kIgnoreRemovals && message.has_delta())
    message.mutable_delta()->clear_remove();
  trace_.add("to {}: {} at {}{}", host_,
             message.has_full()      ? "FULL"
             : message.has_delta()   ? "delta"
             : message.has_refused() ? "refused"
                                     : "heartbeat",
             message.position().revision(),
             message.has_delta()
                 ? fmt::format(" after {}: +{} -{}", message.delta().previous_revision(),
                               message.delta().put_size(), message.delta().remove_size())
             : message.has_full() ? fmt::format(": {} items", message.full().items_size())
                                  : "");
  send(stream, End::kHost, [this, stream, message = std::move(message)] {
    if (defect_ == Defect::kAckBeforeApply && (message.has_delta() || message.has_full())) {
      v1::HostMessage ack;
      *ack.mutable_ack()->mutable_position() = message.position();
      if (link_) link_->send(ack);
    }
    stream->events.received(message);
  });
}

void Wire::send(const StreamPtr& stream, End to, Task deliver, bool last) {
  auto& side = stream->side(to);
  if (!side.alive) return;
  side.last_due = std::max(side.last_due, clock_.now() + delay());
  side.coming.push_back({side.last_due, std::move(deliver), last});
  pump(stream, to);
}

void Wire::pump(const StreamPtr& stream, End to) {
  auto& side = stream->side(to);
  if (side.pumping || partitioned_ || side.coming.empty()) return;
  side.pumping = true;
  clock_.at(std::max(side.coming.front().due, clock_.now()), [this, stream, to] {
    auto& side = stream->side(to);
    side.pumping = false;
    if (partitioned_ || !side.alive || side.coming.empty()) return;
    auto message = std::move(side.coming.front());
    side.coming.pop_front();
    message.deliver();
    if (side.alive) pump(stream, to);
  });
}

void Wire::lose(const StreamPtr& stream, End which) {
  auto& side = stream->side(which);
  side.alive = false;
  side.coming.clear();
  if (which == End::kServer) stream->sessions = nullptr;
}

void Wire::tell(const StreamPtr& stream, End which, const char* why) {
  auto& side = stream->side(which);
  if (!side.alive) return;
  trace_.add("{} stream {}: the {} learns: {}", host_, stream->number,
             which == End::kHost ? "host" : "server", why);
  auto* sessions = stream->sessions;
  lose(stream, which);
  if (which == End::kServer) {
    if (sessions) sessions->closed(stream->session);
    return;
  }
  if (link_ && link_->stream_ == stream) link_->stream_ = nullptr;
  stream->events.closed({Code::kUnavailable, why, {}, {}});
}

void Wire::partition(bool on) {
  partitioned_ = on;
  if (on || !stream_) return;
  pump(stream_, End::kHost);
  pump(stream_, End::kServer);
}

void Wire::cut() {
  if (!stream_) return;
  for (const auto end : {End::kHost, End::kServer})
    clock_.at(clock_.now() + delay(),
              [this, stream = stream_, end] { tell(stream, end, "connection reset"); });
  stream_->host.coming.clear();
  stream_->server.coming.clear();
}

void Wire::half_open() {
  if (!stream_) return;
  const auto learns = clock_.random().below(2) ? End::kHost : End::kServer;
  const auto other = learns == End::kHost ? End::kServer : End::kHost;
  // The other end stays, but nothing reaches it any more and nothing it says arrives.
  stream_->side(other).coming.clear();
  stream_->side(other).last_due = {Duration::max() / 2};
  clock_.at(clock_.now() + delay(),
            [this, stream = stream_, learns] { tell(stream, learns, "connection reset"); });
}

void Wire::host_died(bool told) {
  // The link's destructor has said goodbye as a dying kernel does; without power it did not.
  if (stream_ && !told) stream_->server.coming.clear();
}

void Wire::server_died(bool told) {
  for (const auto& stream : std::exchange(served_, {})) {
    lose(stream, End::kServer);
    if (told)
      send(
          stream, End::kHost, [this, stream] { tell(stream, End::kHost, "connection reset"); },
          true);
  }
}

}  // namespace penstock::sim
