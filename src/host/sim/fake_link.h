// The server's end of a host's stream as a test holds it: it sees what the host said and says what
// it likes. Outlives the agent; a FakeLink is one agent's handle on it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/runtime.h"
#include "host/host_link.h"

namespace penstock::host {

struct FakeServerEnd {
  bool reachable = true;
  bool answers_heartbeats = true;
  Duration delay{100'000};  // each way
  int opens = 0;
  std::vector<v1::HostMessage> heard;  // since the test cleared it
  // Called for each message of the host; may call say().
  std::function<void(const v1::HostMessage&)> on_message;
  // Sends to the agent that is connected; dropped when there is none.
  void say(const v1::ServerMessage& message) {
    if (speak) speak(message);
  }
  // Breaks the stream.
  void hang_up() {
    if (break_off) break_off();
  }
  std::function<void(const v1::ServerMessage&)> speak;
  std::function<void()> break_off;
};

class FakeLink final : public HostLink {
 public:
  FakeLink(Runtime& runtime, FakeServerEnd& server) : runtime_(runtime), server_(server) {}
  ~FakeLink() override { forget(); }

  void open(Events events) override {
    ++server_.opens;
    const auto stream = ++stream_;
    runtime_.after(server_.delay, [this, stream, events = std::move(events)] {
      if (stream != stream_) return;
      if (!server_.reachable)
        return events.closed({Code::kUnavailable, "connection refused", {}, {}});
      events_ = events;
      server_.speak = [this, stream](const v1::ServerMessage& message) {
        runtime_.after(server_.delay, [this, stream, message] {
          if (stream == stream_) events_.received(message);
        });
      };
      server_.break_off = [this] {
        runtime_.post([this] {
          forget();
          events_.closed({Code::kUnavailable, "the stream broke", {}, {}});
        });
      };
      events_.opened();
    });
  }
  void send(const v1::HostMessage& message) override {
    runtime_.after(server_.delay, [this, message, stream = stream_] {
      if (stream != stream_ || !server_.reachable) return;
      server_.heard.push_back(message);
      if (message.has_heartbeat() && server_.answers_heartbeats) {
        v1::ServerMessage beat;
        beat.mutable_heartbeat();
        server_.say(beat);
      }
      if (server_.on_message) server_.on_message(message);
    });
  }
  void close() override { forget(); }

 private:
  void forget() {
    ++stream_;
    server_.speak = nullptr;
    server_.break_off = nullptr;
  }
  Runtime& runtime_;
  FakeServerEnd& server_;
  Events events_;
  int stream_ = 0;
};

}  // namespace penstock::host
