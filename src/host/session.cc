#include "host/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace penstock::host {

Session::Session(Runtime& runtime, Log& log, HostLink& link, Hooks hooks)
    : runtime_(runtime), log_(log), link_(link), hooks_(std::move(hooks)) {}

Session::~Session() {
  if (tick_timer_) runtime_.cancel(*tick_timer_);
  if (connect_timer_) runtime_.cancel(*connect_timer_);
  link_.close();
}

void Session::start() {
  connect();
}

void Session::connect() {
  connect_timer_.reset();
  last_heard_ = runtime_.now();
  link_.open({.opened = [this] { on_opened(); },
              .received = [this](const v1::ServerMessage& message) { on_received(message); },
              .closed = [this](Error error) { on_closed(error.message); }});
  if (!tick_timer_) tick();
}

void Session::on_opened() {
  open_ = true;
  heard_ = false;
  last_heard_ = runtime_.now();
  say_hello();
}

void Session::say_hello() {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_hello() = hooks_.hello();
  link_.send(message);
}

void Session::send(v1::Ack ack) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_ack() = std::move(ack);
  link_.send(message);
}

void Session::send(v1::FlowLog log) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_flow_log() = std::move(log);
  link_.send(message);
}

void Session::send(const v1::TraceReport& report) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_trace() = report;
  link_.send(message);
}

void Session::send(const v1::ProbeReport& report) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_probe() = report;
  link_.send(message);
}

void Session::send(const v1::PreviewReport& report) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_preview() = report;
  link_.send(message);
}

void Session::send(const v1::CountersReport& report) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_counters() = report;
  link_.send(message);
}

void Session::send(v1::MoveReport report) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_move() = std::move(report);
  link_.send(message);
}

void Session::send(v1::FlowBatch batch) {
  if (!open_) return;
  v1::HostMessage message;
  *message.mutable_flows() = std::move(batch);
  link_.send(message);
}

void Session::on_received(const v1::ServerMessage& message) {
  last_heard_ = runtime_.now();
  if (message.has_refused()) {
    link_.close();
    return on_closed("the server refused this host: " + message.refused().message());
  }
  if (!last_error_.empty()) log_.info("connected to the server");
  last_error_.clear();
  failures_ = 0;
  heard_ = true;
  if (message.has_heartbeat()) return;
  hooks_.received(message);
}

void Session::on_closed(const std::string& why) {
  open_ = false;
  if (why != last_error_)
    log_.warning("no connection to the server: {}; this host goes on with what it has", why);
  last_error_ = why;
  const auto& tunables = runtime_.tunables();
  const Duration limit = std::chrono::milliseconds(tunables.session_reconnect_max_ms);
  Duration delay = std::chrono::milliseconds(tunables.session_reconnect_min_ms);
  for (int i = 0; i < failures_ && delay < limit; ++i) delay *= 2;
  delay = std::min(delay, limit);
  // Half of it is dice: a thousand hosts that lost one server must not come back in one moment.
  const auto half = std::max<std::int64_t>(1, delay.count() / 2);
  delay = Duration(half +
                   static_cast<std::int64_t>(runtime_.random() % static_cast<std::uint64_t>(half)));
  ++failures_;
  if (!connect_timer_) connect_timer_ = runtime_.after(delay, [this] { connect(); });
}

void Session::tick() {
  const auto& tunables = runtime_.tunables();
  tick_timer_ = runtime_.after(std::chrono::milliseconds(tunables.session_heartbeat_ms), [this] {
    tick_timer_.reset();
    tick();
    if (connect_timer_) return;  // between two tries
    const auto& tunables = runtime_.tunables();
    if (runtime_.now() - last_heard_ > std::chrono::milliseconds(tunables.session_lost_ms)) {
      link_.close();
      return on_closed(open_ ? "nothing was heard of the server" : "the server does not answer");
    }
    if (!open_) return;
    v1::HostMessage message;
    *message.mutable_heartbeat() = hooks_.heartbeat();
    link_.send(message);
  });
}

}  // namespace penstock::host
