// Keeps a stream to the server: hello, heartbeats, reconnects with back-off and jitter. What
// messages mean for the host is the agent's business.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/runtime.h"
#include "host/host_link.h"

namespace penstock::host {

class Session {
 public:
  struct Hooks {
    std::function<v1::Hello()> hello;  // what the host is and holds, now
    std::function<v1::Heartbeat()> heartbeat;
    std::function<void(const v1::ServerMessage&)> received;  // all but heartbeats
  };

  // The link must outlive it.
  Session(Runtime&, Log&, HostLink&, Hooks);
  ~Session();
  Session(const Session&) = delete;

  void start();
  // Says hello again on the open stream: the server answers with what the host lacks.
  void say_hello();
  void send(v1::Ack);
  void send(v1::FlowLog);
  void send(const v1::TraceReport&);
  void send(const v1::ProbeReport&);
  void send(const v1::PreviewReport&);
  void send(const v1::CountersReport&);
  void send(v1::MoveReport);
  void send(v1::FlowBatch);

  // The server has spoken on the stream that is open.
  bool connected() const { return open_ && heard_; }
  // Why there is no connection; empty while there is one.
  const std::string& last_error() const { return last_error_; }

 private:
  void connect();
  void on_opened();
  void on_received(const v1::ServerMessage&);
  void on_closed(const std::string& why);
  void tick();

  Runtime& runtime_;
  Log& log_;
  HostLink& link_;
  Hooks hooks_;
  bool open_ = false;
  bool heard_ = false;  // on this stream
  int failures_ = 0;    // in a row
  MonoTime last_heard_;
  std::string last_error_;
  std::optional<TimerId> tick_timer_, connect_timer_;
};

}  // namespace penstock::host
