#include "host/agent.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "host/switch/switch_abi.h"

namespace penstock::host {

Agent::Agent(Runtime& runtime, Log& log, Kernel& kernel, Instances::Drivers drivers, Files& files,
             HostLink& link, AgentOptions options)
    : runtime_(runtime), log_(log), kernel_(kernel), files_(files), options_(std::move(options)) {
  reconciler_ = std::make_unique<Reconciler>(runtime, log, kernel, std::move(drivers), intent_);
  reconciler_->on_progress([this](bool) { acknowledge(); });
  session_ = std::make_unique<Session>(
      runtime, log, link,
      Session::Hooks{.hello =
                         [this] {
                           in_step_ = false;
                           return hello();
                         },
                     .heartbeat = [this] { return heartbeat(); },
                     .received = [this](const v1::ServerMessage& message) { received(message); }});
  flow_log_ = std::make_unique<FlowLog>(runtime, intent_, reconciler_->policies(), *session_);
  tracer_ =
      std::make_unique<Tracer>(runtime, kernel, intent_, *reconciler_,
                               [this](const v1::TraceReport& report) { session_->send(report); });
  preview_ = std::make_unique<Preview>(
      runtime, kernel, intent_, *reconciler_,
      [this](const v1::PreviewReport& report) { session_->send(report); });
  counters_ = std::make_unique<Counters>(
      runtime, kernel, intent_, *reconciler_,
      [this](const v1::CountersReport& report) { session_->send(report); });
  mover_ = std::make_unique<Mover>(
      runtime, log, kernel, intent_, *reconciler_,
      Mover::Answers{[this](v1::MoveReport report) { session_->send(std::move(report)); },
                     [this](v1::FlowBatch batch) { session_->send(std::move(batch)); }});
}

Agent::~Agent() {
  if (persist_timer_) runtime_.cancel(*persist_timer_);
}

Status Agent::start() {
  PENSTOCK_CHECK(reconciler_->start());
  auto file = files_.read(options_.state_dir + "/intent");
  if (!file) log_.warning("the kept intent cannot be read: {}", file.error().message);
  if (file && *file) {
    auto intent = Intent::parse(**file);
    if (intent)
      intent_ = std::move(*intent);
    else
      log_.warning("{}: asking the server for everything", intent.error().message);
  }
  if (reconciler_->kernel_is_newer_than(intent_.position())) {
    holding_ = true;
    log_.warning(
        "the switch holds something newer than the kept intent ({}): left as it is until the "
        "server speaks",
        intent_.position().text());
  } else if (!intent_.position().incarnation.empty()) {
    log_.info("going on with {}: {} items", intent_.position().text(), intent_.items().size());
    carry_out({});
  }
  session_->start();
  return {};
}

v1::Hello Agent::hello() const {
  v1::Hello out;
  out.set_host(options_.name);
  *out.mutable_position() = message_of(intent_.position());
  // While it holds, the file is not what this host has: no digest makes the server send everything.
  if (!holding_) out.set_digest(intent_.digest().text());
  out.set_version(options_.version);
  out.set_kernel(options_.kernel);
  out.set_boot_id(options_.boot_id);
  for (const auto& name : reconciler_->instances().driver_names()) out.add_drivers(name);
  for (const auto& [key, why] : reconciler_->troubles())
    if (key.starts_with("10/switch/"))
      (*out.mutable_uplink_problems())[key.substr(10)] = why.message;
  return out;
}

v1::Heartbeat Agent::heartbeat() const {
  v1::Heartbeat out;
  *out.mutable_position() = message_of(intent_.position());
  const auto counters = kernel_.counters();
  if (!counters) return out;
  const auto reasons = drop_reasons();
  for (std::size_t i = 0; i < counters->drops.size() && i < reasons.size(); ++i)
    if (counters->drops[i] != 0)
      (*out.mutable_drops())[std::string(reasons[i].name)] =
          static_cast<std::int64_t>(counters->drops[i]);
  out.set_flows(static_cast<std::int64_t>(counters->flows));
  return out;
}

void Agent::received(const v1::ServerMessage& message) {
  if (message.has_trace()) return tracer_->take(message.trace());
  if (message.has_probe()) return probe(message.probe());
  if (message.has_preview()) return preview_->take(message.preview());
  if (message.has_counters()) return counters_->take(message.counters());
  if (message.has_move() || message.has_flows()) {
    const auto at = position_of(message.position());
    const auto& own = intent_.position();
    if (at.incarnation != own.incarnation || at.epoch < own.epoch) {
      last_refusal_ =
          fmt::format("a step of a move at {}, this host is at {}", at.text(), own.text());
      return log_.warning("refused {}", last_refusal_);
    }
    return message.has_move() ? mover_->take(message.move()) : mover_->take(message.flows());
  }
  const auto acceptance = accept(intent_, message);
  switch (acceptance.kind) {
    case Acceptance::Kind::kNothing:
      return;
    case Acceptance::Kind::kRefused:
      last_refusal_ = acceptance.why;
      log_.warning("refused a message of the server: {}", acceptance.why);
      return;
    case Acceptance::Kind::kNeedFull:
      log_.info("asking for everything: {}", acceptance.why);
      return session_->say_hello();
    case Acceptance::Kind::kTaken:
      break;
  }
  if (!received_at_) received_at_ = runtime_.now();
  in_step_ = true;
  holding_ = false;
  mover_->changed(acceptance.changed);
  persist_soon();
  carry_out(acceptance.changed);
}

void Agent::probe(const v1::ProbeOrder& order) {
  if (probe_)
    return probe_(order, [this](const v1::ProbeReport& report) { session_->send(report); });
  v1::ProbeReport report;
  report.set_id(order.id());
  for (const auto& vtep : order.vteps()) {
    auto& answer = *report.add_answers();
    answer.set_vtep(vtep);
    answer.set_problem("this agent cannot ping");
  }
  session_->send(report);
}

void Agent::carry_out(const std::vector<std::string>& changed) {
  if (std::exchange(carried_out_, true))
    reconciler_->apply(changed);
  else
    reconciler_->apply_all();
}

void Agent::acknowledge() {
  if (!in_step_ || !session_->connected()) return;
  v1::Ack ack;
  *ack.mutable_position() = message_of(intent_.position());
  for (auto& item : reconciler_->not_ready()) *ack.add_not_ready() = std::move(item);
  ack.set_digest(intent_.digest().text());
  if (const auto since = std::exchange(received_at_, std::nullopt))
    ack.set_apply_us(
        std::chrono::duration_cast<std::chrono::microseconds>(runtime_.now() - *since).count());
  session_->send(std::move(ack));
}

void Agent::persist_soon() {
  dirty_ = true;
  if (persist_timer_ || writing_) return;
  persist_timer_ =
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().intent_persist_ms), [this] {
        persist_timer_.reset();
        persist();
      });
}

void Agent::persist() {
  writing_ = true;
  dirty_ = false;
  files_.replace(options_.state_dir + "/intent", intent_.serialize(), [this](Status status) {
    writing_ = false;
    if (!status) {
      log_.warning("the intent could not be kept: {}", status.error().message);
      dirty_ = true;
    }
    if (dirty_) persist_soon();
  });
}

}  // namespace penstock::host
