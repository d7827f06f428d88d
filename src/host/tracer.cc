#include "host/tracer.h"

#include <fmt/format.h>

#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

std::vector<std::byte> bytes_from(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}
std::string text_from(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct Tracer::Run {
  v1::TraceReport report;
  std::vector<std::byte> flows;
  // Of an order to start:
  PacketSpec packet;
  int ifindex = 0;
  std::vector<std::byte> arrived;  // of an order about a frame from another host
};

Tracer::Tracer(Runtime& runtime, Kernel& kernel, const Intent& intent, const Reconciler& reconciler,
               Send send)
    : runtime_(runtime),
      kernel_(kernel),
      intent_(intent),
      reconciler_(reconciler),
      send_(std::move(send)),
      self_(std::make_shared<Tracer*>(this)) {}

Tracer::~Tracer() {
  end_watch();
}

void Tracer::take(const v1::TraceOrder& order) {
  auto run = std::make_shared<Run>();
  run->report.set_id(order.id());
  run->flows = bytes_from(order.flows());
  Status status;
  switch (order.order_case()) {
    case v1::TraceOrder::kStart:
      status = start(run, order);
      break;
    case v1::TraceOrder::kArrive:
      status = arrive(run, order);
      break;
    case v1::TraceOrder::kWatch:
      status = watch(run, order);
      break;
    case v1::TraceOrder::kEnd:
      if (order.id() == watching_) end_watch();
      return;
    default:
      status = fail(Code::kUnimplemented, "this host does not know such a trace", "upgrade it");
  }
  if (!status) fail_with(run, status.error());
}

Status Tracer::start(const RunPtr& run, const v1::TraceOrder& order) {
  const auto& start = order.start();
  const auto id = static_cast<std::uint32_t>(start.port_id());
  const auto* port = intent_.port(id);
  if (!port) return fail(Code::kNotFound, "the host does not have this NIC (yet)");
  const auto& ports = reconciler_.ports();
  const auto slot = ports.table().slot_of(PortId(id));
  if (!slot || !ports.live(PortId(id))) {
    const auto trouble = reconciler_.troubles().find(port_key(id));
    return fail(Code::kUnavailable,
                fmt::format("{} is not connected: {}", names().nic(id),
                            trouble == reconciler_.troubles().end() ? "it has no device yet"
                                                                    : trouble->second.message));
  }
  run->ifindex = static_cast<int>(ports.table().port(*slot).ifindex);
  run->packet = PENSTOCK_TRY(parse_packet(start.packet()));
  PENSTOCK_TRY(frame_of(run->packet));  // whether it can be, before anything is asked
  const auto own = PENSTOCK_TRY(Mac::parse(port->mac()));
  if (run->packet.source_mac == Mac{}) run->packet.source_mac = own;
  if (run->packet.destination_mac == Mac{})
    if (const auto group = group_mac(run->packet.destination)) run->packet.destination_mac = *group;
  if (run->packet.destination_mac != Mac{}) {
    send_packet(run);
    return {};
  }
  const auto next_hop = IpAddress::parse(start.next_hop());
  if (!next_hop) return fail(Code::kInvalidArgument, "the VM has no next hop for this destination");
  // The VM asks under its own name, whatever the packet claims.
  IpAddress from = next_hop->family == Family::kV6 ? eui64_link_local(own) : IpAddress{};
  for (const auto& text : port->addresses())
    if (const auto address = IpAddress::parse(text); address && address->family == next_hop->family)
      from = *address;
  TraceRun question{.program = Program::kFromPort,
                    .ifindex = run->ifindex,
                    .frame = ask_for_mac(own, from, *next_hop),
                    .tunnel = {},
                    .flows = run->flows};
  this->run(run, std::move(question), [this, run](TraceRecord record) {
    const auto mac = mac_answered(record.frame);
    v1::TraceReport asked;
    tell(record.said, names(), "executed", asked);
    if (!mac || asked.end() != v1::TraceReport::CONSUMED || !asked.answered()) {
      *run->report.mutable_steps() = std::move(*asked.mutable_steps());
      for (auto& step : *run->report.mutable_steps())
        if (step.decisive() || step.action() == "consumed") {
          step.set_decisive(true);
          step.set_folded(false);
        }
      run->report.set_end(v1::TraceReport::DROPPED);
      run->report.set_code(asked.code());
      run->report.set_reason(asked.reason());
      run->report.mutable_decided_by()->set_kind("switch");
      run->report.mutable_decided_by()->set_name("neighbours");
      *run->report.mutable_packet() = described(run->packet);
      return reply(run);
    }
    auto& step = *run->report.add_steps();
    if (asked.steps_size() > 0) {
      step.set_port(asked.steps(0).port());
      step.set_dir(asked.steps(0).dir());
    }
    step.set_component("neighbours");
    step.set_action("passed");
    step.set_evidence("executed");
    step.set_folded(true);
    step.set_text("the switch answers the VM's question with " + mac->text());
    run->packet.destination_mac = *mac;
    send_packet(run);
  });
  return {};
}

void Tracer::send_packet(const RunPtr& run) {
  *run->report.mutable_packet() = described(run->packet);
  auto frame = frame_of(run->packet);
  if (!frame) return fail_with(run, frame.error());
  this->run(run,
            {.program = Program::kFromPort,
             .ifindex = run->ifindex,
             .frame = std::move(*frame),
             .tunnel = {},
             .flows = run->flows},
            [this, run](TraceRecord record) { finish(run, record); });
}

Status Tracer::arrive(const RunPtr& run, const v1::TraceOrder& order) {
  const auto& arrive = order.arrive();
  const auto sender = PENSTOCK_TRY(IpAddress::parse(arrive.sender()));
  const auto overlay = reconciler_.overlay().ifindex();
  if (overlay == 0) return fail(Code::kUnavailable, "the host's overlay device is not there");
  run->arrived = bytes_from(arrive.frame());
  this->run(run,
            {.program = Program::kFromOverlay,
             .ifindex = overlay,
             .frame = run->arrived,
             .tunnel = TraceRun::Tunnel{Vni(arrive.vni()), sender},
             .flows = run->flows},
            [this, run](TraceRecord record) { finish(run, record); });
  return {};
}

Status Tracer::watch(const RunPtr& run, const v1::TraceOrder& order) {
  if (watching_ != 0)
    return fail(Code::kUnavailable, "another live trace is under way on this host", "try again");
  const auto& wanted = order.watch();
  TraceWatch watch;
  watch.filter = PENSTOCK_TRY(filter_of(wanted.packet()));
  watch.filter.vni = Vni(wanted.vni());
  watch.filter.most = wanted.most();
  const auto& ports = reconciler_.ports();
  for (const auto id : wanted.port_ids()) {
    const PortId port(static_cast<std::uint32_t>(id));
    const auto slot = ports.table().slot_of(port);
    if (!slot || !ports.live(port))
      return fail(Code::kUnavailable, fmt::format("{} is not connected", names().nic(port.value)));
    const auto ifindex = static_cast<int>(ports.table().port(*slot).ifindex);
    watch.at.push_back({ifindex, Program::kFromPort});
    watch.at.push_back({ifindex, Program::kToPort});
  }
  if (const auto overlay = reconciler_.overlay().ifindex(); overlay != 0)
    watch.at.push_back({overlay, Program::kFromOverlay});
  watching_ = order.id();
  watch_timer_ = runtime_.after(std::chrono::seconds(wanted.deadline().seconds() + 1), [this] {
    watch_timer_.reset();
    end_watch();
  });
  watch.begun = [still_there = std::weak_ptr(self_), this, run](Status status) {
    if (still_there.expired() || watching_ != run->report.id()) return;
    if (!status) {
      end_watch();
      return fail_with(run, status.error());
    }
    run->report.set_watching(true);
    reply(run);
  };
  watch.seen = [this](const ps_trace& said) {
    v1::TraceReport report;
    report.set_id(watching_);
    report.set_applied_revision(intent_.position().revision);
    tell(said, names(), "observed", report);
    const auto head = std::as_bytes(std::span(said.head)).first(said.head_count);
    if (const auto packet = packet_of(head)) *report.mutable_packet() = described(*packet);
    send_(report);
  };
  kernel_.watch(std::move(watch));
  return {};
}

void Tracer::end_watch() {
  if (std::exchange(watching_, 0) == 0) return;
  if (watch_timer_) runtime_.cancel(*std::exchange(watch_timer_, std::nullopt));
  kernel_.end_watch();
}

void Tracer::run(const RunPtr& run, TraceRun wanted, std::function<void(TraceRecord)> then) {
  kernel_.trace(std::move(wanted), [still_there = std::weak_ptr(self_), this, run,
                                    then = std::move(then)](Result<TraceRecord> record) {
    if (still_there.expired()) return;
    if (!record) return fail_with(run, record.error());
    run->flows = record->flows;
    then(std::move(*record));
  });
}

void Tracer::finish(const RunPtr& run, const TraceRecord& record) {
  tell(record.said, names(), "executed", run->report);
  if (!run->report.has_packet())
    if (const auto seen = packet_of(run->arrived)) *run->report.mutable_packet() = described(*seen);
  run->report.set_frame(text_from(record.frame));
  reply(run);
}

void Tracer::fail_with(const RunPtr& run, const Error& error) {
  run->report.set_failure(error.message);
  run->report.set_failure_code(std::string(name(error.code)));
  run->report.set_failure_hint(error.hint);
  for (const auto& detail : error.details) {
    run->report.set_failure(detail.message);
    run->report.set_failure_field(detail.field);
    run->report.set_failure_hint(detail.hint);
  }
  reply(run);
}

void Tracer::reply(const RunPtr& run) {
  run->report.set_applied_revision(intent_.position().revision);
  run->report.set_flows(text_from(run->flows));
  send_(run->report);
}

}  // namespace penstock::host
