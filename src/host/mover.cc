#include "host/mover.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

// No port ever has it: generations are counted from 1.
constexpr std::uint64_t kNoPolicy = UINT64_MAX;
// The switch's clock is coarse (a tick), and a packet may be on its way through the programs.
constexpr std::uint64_t kSlackNs = 50'000'000;
constexpr auto kBusy = std::chrono::milliseconds(10);
constexpr int kTries = 1'000;

template <typename T>
std::optional<T> from_text(const std::string& text) {
  if (text.size() != sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, text.data(), sizeof(T));
  return value;
}

std::string text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t before(std::uint64_t now, std::int64_t age) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, age));
  return ns < now ? now - ns : 1;
}

}  // namespace

Mover::Mover(Runtime& runtime, Log& log, Kernel& kernel, const Intent& intent,
             Reconciler& reconciler, Answers answers)
    : runtime_(runtime),
      log_(log),
      kernel_(kernel),
      intent_(intent),
      reconciler_(reconciler),
      answers_(std::move(answers)) {}

Mover::~Mover() {
  for (const auto& [vm, waiting] : waiting_) runtime_.cancel(waiting.timer);
}

// The clock that the switch writes into its entries.
std::uint64_t Mover::now_ns() const {
  return static_cast<std::uint64_t>(runtime_.now().since_start.count());
}

void Mover::take(const v1::MoveOrder& order) {
  const auto id = fmt::format("{}/{}", order.tenant(), order.vm());
  if (const auto late = waiting_.find(id); late != waiting_.end()) {
    runtime_.cancel(late->second.timer);
    waiting_.erase(late);
  }
  carry_out(order);
}

void Mover::carry_out(const v1::MoveOrder& order) {
  const auto id = fmt::format("{}/{}", order.tenant(), order.vm());
  const auto* instance = intent_.instance(order.tenant(), order.vm());
  if (!instance)
    return finish(order, fail(Code::kNotFound, id + " is not to be on this host"), 0, {});
  switch (order.step()) {
    case v1::MoveOrder::SEND_FLOWS: {
      const auto read_at = now_ns();
      const auto sent = send_flows(order, 0);
      if (sent) sent_at_[id] = read_at;
      return finish(order, sent ? Status{} : std::unexpected(sent.error()), sent.value_or(0), {});
    }
    case v1::MoveOrder::DEPART:
      return depart(order, id);
    case v1::MoveOrder::ARRIVE:
      return reconciler_.arrive(*instance, order.handle(), [this, order](Status status) {
        std::int64_t flows = 0;
        for (const auto port : order.ports()) flows += placed_[port];
        finish(order, std::move(status), flows, {});
      });
    case v1::MoveOrder::RETURN:
      return reconciler_.take_back(
          *instance, [this, order](Status status) { finish(order, std::move(status), 0, {}); });
    default:
      return finish(order, fail(Code::kUnimplemented, "this host does not know the step"), 0, {});
  }
}

void Mover::depart(const v1::MoveOrder& order, const std::string& id) {
  reconciler_.depart(id, [this, order, id](Result<std::string> handle) {
    if (!handle) return finish(order, std::unexpected(handle.error()), 0, {});
    // Its packets reach no program any more: these are its last entries.
    const auto sent = sent_at_.find(id);
    const auto since = sent == sent_at_.end() ? 0 : sent->second;
    const auto flows = send_flows(order, since > kSlackNs ? since - kSlackNs : 0);
    // Its connections are worth less than the VM: it goes on.
    if (!flows) log_.warning("{}: flows stay behind: {}", id, flows.error().message);
    finish(order, {}, flows.value_or(0), *handle);
  });
}

void Mover::finish(const v1::MoveOrder& order, Status status, std::int64_t flows,
                   const std::string& handle) {
  // Something else was being done with the instance.
  const auto id = fmt::format("{}/{}", order.tenant(), order.vm());
  if (!status && status.error().code == Code::kUnavailable && tries_[id] < kTries) {
    ++tries_[id];
    auto& waiting = waiting_[id];
    waiting.order = order;
    waiting.timer = runtime_.after(kBusy, [this, id] {
      const auto node = waiting_.extract(id);
      if (node) carry_out(node.mapped().order);
    });
    return;
  }
  tries_.erase(id);
  v1::MoveReport report;
  report.set_id(order.id());
  if (!status) {
    report.set_code(std::string(name(status.error().code)));
    report.set_message(status.error().message);
    log_.warning("move of {}, {}: {}", id, v1::MoveOrder::Step_Name(order.step()),
                 status.error().message);
  }
  report.set_flows(flows);
  report.set_handle(handle);
  answers_.report(std::move(report));
}

Result<std::int64_t> Mover::send_flows(const v1::MoveOrder& order, std::uint64_t changed_since) {
  std::vector<PortId> ports;
  for (const auto port : order.ports()) ports.emplace_back(port);
  const auto entries = PENSTOCK_TRY(kernel_.flows_of(ports));
  const auto now = now_ns();
  const auto age = [&](std::uint64_t then) {
    return static_cast<std::int64_t>(then < now ? now - then : 0);
  };
  const auto most = static_cast<int>(runtime_.tunables().move_batch_flows);
  std::int64_t sent = 0;
  v1::FlowBatch batch;
  batch.set_move(order.id());
  for (const auto& [key, value] : entries) {
    const auto flow = PENSTOCK_TRY(value_of<ps_flow>(value));
    if (flow.flags & PS_FLOW_DYING || flow.seen_ns < changed_since) continue;
    if (batch.flows_size() == most) {
      answers_.flows(batch);
      batch.clear_flows();
    }
    auto& moved = *batch.add_flows();
    moved.set_key(text_of(key));
    moved.set_value(text_of(value));
    moved.set_idle_ns(age(flow.seen_ns));
    moved.set_age_ns(age(flow.created_ns));
    ++sent;
  }
  batch.set_last(true);
  answers_.flows(std::move(batch));
  return sent;
}

void Mover::take(const v1::FlowBatch& batch) {
  const auto now = now_ns();
  std::int64_t lost = 0;
  std::string why;
  for (const auto& moved : batch.flows()) {
    const auto key = from_text<ps_flow_key>(moved.key());
    auto flow = from_text<ps_flow>(moved.value());
    const auto* port = key ? intent_.port(key->port_id) : nullptr;
    const auto* instance = port ? intent_.instance(port->tenant(), port->vm()) : nullptr;
    if (!flow || !instance || !instance->arriving()) continue;
    const PortId id(key->port_id);
    const auto slot = reconciler_.ports().table().slot_of(id);
    if (!slot || reconciler_.ports().live(id)) continue;
    flow->seen_ns = before(now, moved.idle_ns());
    flow->created_ns = before(now, moved.age_ns());
    flow->policy = kNoPolicy;
    flow->slot = *slot;
    // What it carried there was counted there.
    std::ranges::fill(flow->counts, 0u);
    flow->counted_packets = static_cast<__u32>(flow->packets[PS_OUT] + flow->packets[PS_IN]);
    flow->counted_bytes = flow->bytes[PS_OUT] + flow->bytes[PS_IN];
    const auto placed = kernel_.place_flow(bytes_of(*key), bytes_of(*flow));
    if (placed) {
      placed_[id.value] += *placed;
    } else {
      ++lost;
      why = placed.error().message;
    }
  }
  if (lost > 0) log_.warning("{} flow entries of a VM that comes found no place: {}", lost, why);
}

void Mover::changed(const std::vector<std::string>& items) {
  for (const auto& key : items) {
    if (intent_.items().contains(key)) continue;
    std::erase_if(placed_, [&](const auto& entry) { return port_key(entry.first) == key; });
    std::erase_if(sent_at_, [&](const auto& entry) { return "50/vm/" + entry.first == key; });
  }
}

}  // namespace penstock::host
