// One session a host: the host says hello, is brought to the present (FULL, or nothing when it
// holds what it should), then gets what changes, and acknowledges. Message-level: streams, tokens'
// transport and threads are the adapter's.
//
// Deltas are sent as soon as they are known, up to `session_in_flight_max` unacknowledged ones;
// beyond that, changes gather into one delta. That gives one change the least latency and a burst
// the fewest messages. An ack costs O(1): every changed item is noted once when it is sent and
// struck out once when it is acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/runtime.h"
#include "base/strong.h"
#include "compile/intent.h"
#include "server/engine.h"
#include "server/identity.h"
#include "server/journal.h"

namespace penstock {

// The server's end of one stream. Called on the strand. send() queues and never fails: a stream
// that is gone says so by HostSessions::closed().
class HostChannel {
 public:
  virtual ~HostChannel() = default;
  virtual void send(v1::ServerMessage) = 0;
  // A serialized v1.ServerMessage, made without building the message: the whole intent of a host is
  // large. `written` runs on the strand once it does not take memory here any more; not at all when
  // the stream goes first.
  virtual void send_serialized(std::string bytes, Task written);
  virtual void close() = 0;  // after what was sent; closed() follows or not, both are fine
};

using SessionId = Strong<struct SessionIdTag, std::uint64_t>;

enum class ItemState { kApplied, kPending, kFailed, kUnreachable };

class HostSessions {
 public:
  // What is known of a host that has been heard of since the server started.
  struct View {
    bool connected = false;
    // While the host is refused because it holds a later state than the store has: that, in words.
    std::string ahead;
    bool in_step = false;  // has acknowledged something in this session: what it holds is known
    v1::Hello hello;
    WallTime since{};  // connected, or lost
    std::int64_t applied_revision = 0;
    std::string digest;  // of what it holds, by its last ack
    std::int64_t apply_us = 0;
    std::map<std::string, std::int64_t> drops;
    std::int64_t flows = 0;  // entries of its flow table, by its last heartbeat
    // Between its last two heartbeats, without those that stood still.
    std::map<std::string, double> drops_per_s;
    MonoTime heartbeat{};
    std::map<std::string, v1::NotReady, std::less<>> not_ready;  // by item key
  };

  HostSessions(Runtime&, Log&, Engine&, Compiler&, Journal&);
  ~HostSessions();

  // --- the adapter. `secret`: the bearer token. The channel must stay until close() was called or
  // closed() returned.
  SessionId opened(std::string secret, HostChannel&, std::string client = {});
  void received(SessionId, const v1::HostMessage&);
  void closed(SessionId);

  // --- the engine
  void published(const Publication&);
  void settled();
  // Items that the transaction of this revision changed, by host. Known until the next batch;
  // nullptr: not known.
  const std::map<std::string, std::vector<std::string>>* touched(std::int64_t revision) const;

  // The host holds what it should at this revision: nothing is on its way to it.
  bool in_step(std::string_view host) const;

  // --- traces. False: the host has no session.
  bool order(std::string_view host, const v1::TraceOrder&);
  std::function<void(const std::string& host, const v1::TraceReport&)> on_trace;
  // --- counters, as traces
  bool order(std::string_view host, const v1::CountersOrder&);
  std::function<void(const std::string& host, const v1::CountersReport&)> on_counters;

  // --- probes of the underlay, previews. The position is put in; false: the host has no session.
  bool order(std::string_view host, v1::ServerMessage);
  std::function<void(const std::string& host, const v1::ProbeReport&)> on_probe;
  std::function<void(const std::string& host, const v1::PreviewReport&)> on_preview;

  // A session that was refused; `host`: the name it came under, `client`: the address.
  std::function<void(const std::string& host, const std::string& client, const Error&)> on_refused;
  // --- moves. False: the host has no session.
  bool order(std::string_view host, const v1::MoveOrder&);
  bool order(std::string_view host, const v1::FlowBatch&);
  std::function<void(const std::string& host, const v1::MoveReport&)> on_move;
  std::function<void(const std::string& host, const v1::FlowBatch&)> on_flows;

  // --- status
  const View* view(std::string_view host) const;  // nullptr: never heard of
  ItemState state(std::string_view host, std::string_view item) const;
  // Revision that the host must have acknowledged for all of these to be settled there.
  std::int64_t needs_revision(std::string_view host, std::span<const std::string> items) const;

  // Something about these items of the host may be different now (an ack); nullptr: about any of
  // them (a session begun or lost).
  std::function<void(const std::string& host, const std::vector<std::string>* items)> on_progress;

 private:
  struct Host;
  struct Session;

  void hello(Session&, const v1::Hello&);
  void ack(Session&, const v1::Ack&);
  void heartbeat(View&, const v1::Heartbeat&) const;
  void flow_log(Session&, const v1::FlowLog&);
  void want_full(Host&, bool new_incarnation);
  void next_full();
  void send_full(Host&);
  void full_over(Host&);
  void flush(Host&);
  void note(Host&, const std::string& key, std::int64_t revision);
  void detach(Session&, std::string_view why);
  void refuse(Session&, const Error&);
  void refuse_ahead(Session&, Host&, const v1::Position& holds);
  void watch_over(SessionId);
  void audit(Host&);
  void audit_own_account();

  Runtime& runtime_;
  Log& log_;
  Engine& engine_;
  Compiler& compiler_;
  Journal& journal_;
  std::uint64_t next_session_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::map<std::string, std::unique_ptr<Host>, std::less<>> hosts_;
  std::deque<std::string> want_full_;  // hosts that wait to be sent their whole intent
  int sending_full_ = 0;
  std::string accounted_;  // the last host looked at by audit_own_account()
  MonoTime accounted_at_{};
  std::map<std::int64_t, std::map<std::string, std::vector<std::string>>> touched_;
  bool batch_over_ = true;
};

}  // namespace penstock
