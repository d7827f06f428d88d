#include "host/reconciler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock::host {
namespace {

std::string_view reason_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "Invalid";
    case Code::kResourceExhausted:
      return "OutOfRoom";
    case Code::kPermissionDenied:
      return "NotPermitted";
    case Code::kNotFound:
      return "DeviceMissing";
    case Code::kUnavailable:
      return "Waiting";
    case Code::kUnimplemented:
      return "Unsupported";
    case Code::kFailedPrecondition:
      return "Conflict";
    default:
      return "Failed";
  }
}

// Repeating would give the same answer until the item, or one it leans on, changes (which brings it
// back by itself).
bool is_final(Code code) {
  return code == Code::kInvalidArgument || code == Code::kUnimplemented ||
         code == Code::kFailedPrecondition;
}

// Blocks of counts: a millisecond or two.
constexpr std::size_t kCleanAtStart = 1'024;

}  // namespace

Reconciler::Reconciler(Runtime& runtime, Log& log, Kernel& kernel, Instances::Drivers drivers,
                       const Intent& intent)
    : runtime_(runtime),
      log_(log),
      kernel_(kernel),
      intent_(intent),
      drivers_(std::move(drivers)),
      arena_(kernel),
      counts_(kernel),
      policies_(arena_, counts_, runtime.tunables()),
      tables_(kernel),
      overlay_(kernel) {
  ports_.emplace(kernel, arena_, policies_, tables_, log);
  instances_.emplace(
      drivers_, Instances::Hooks{[this](const InstanceInfo& info) { return devices_ready(info); },
                                 [this](const std::string& id, Status status) {
                                   const auto key = "50/vm/" + id;
                                   if (status)
                                     mark(key);
                                   else
                                     trouble(key, status.error());
                                   turn_soon();
                                 }});
}

Reconciler::~Reconciler() {
  kernel_.on_links_changed(nullptr);
  for (const auto& [name, driver] : drivers_) driver->on_changed(nullptr);
  for (const auto timer : {retry_timer_, audit_timer_, reclaim_timer_})
    if (timer) runtime_.cancel(*timer);
}

Status Reconciler::start() {
  PENSTOCK_CHECK(tables_.load());
  ports_->load();
  counts_.clean(kCleanAtStart);  // so that enabling finds room that needs no system call
  // A driver that cannot list what it has must not make us cut off what it runs.
  PENSTOCK_CHECK([this]() -> Status {
    PENSTOCK_TRY(instances_->look());
    return {};
  }());
  kernel_.on_links_changed([this] { look_soon(); });
  for (const auto& [name, driver] : drivers_) driver->on_changed([this] { look_soon(); });
  arm_audit();
  return {};
}

void Reconciler::mark(const std::string& key) {
  to_apply_.erase(key);
  to_remove_.erase(key);
  (intent_.items().contains(key) ? to_apply_ : to_remove_).insert(key);
}

void Reconciler::apply(const std::vector<std::string>& changed) {
  note_position();
  for (const auto& key : changed) {
    troubles_.erase(key);  // a changed item starts anew
    mark(key);
    // A NIC is part of its instance: a new address or MAC concerns the guest too.
    if (const auto item = intent_.items().find(key);
        item != intent_.items().end() && item->second->has_port())
      mark(instance_key(item->second->port().tenant(), item->second->port().vm()));
  }
  changes_pending_ = true;
  turn();
}

void Reconciler::apply_all() {
  std::vector<std::string> all;
  for (const auto& [key, item] : intent_.items()) all.push_back(key);
  // What an agent before us left and nobody wants: removed by the same steps as a removal by the
  // server.
  for (const auto& id : instances_->ids()) all.push_back("50/vm/" + id);
  for (const auto port : ports_->table().ports()) all.push_back(port_key(port.value));
  apply(all);
}

void Reconciler::turn() {
  turn_posted_ = false;
  auto left = runtime_.tunables().reconcile_batch;
  while (left-- > 0 && !(to_apply_.empty() && to_remove_.empty())) {
    const bool applying = !to_apply_.empty();
    auto& queue = applying ? to_apply_ : to_remove_;
    const auto next = applying ? queue.begin() : std::prev(queue.end());
    const auto key = *next;
    queue.erase(next);
    work_on(key);
  }
  if (to_apply_.empty() && to_remove_.empty()) return finish_drain();
  turn_soon();
}

void Reconciler::turn_soon() {
  if (std::exchange(turn_posted_, true)) return;
  runtime_.post([this] { turn(); });
}

void Reconciler::work_on(const std::string& key) {
  const auto found = intent_.items().find(key);
  const bool removing = found == intent_.items().end();
  const Item item = removing ? nullptr : found->second;  // kept: callbacks may change the intent
  auto outcome = removing ? remove_item(key) : apply_item(key, *item);
  if (!outcome) return trouble(key, outcome.error());
  if (*outcome == Progress::kWorking)
    return waiting(key, "InProgress",
                   removing ? "the instance is being removed" : "the instance is being brought up");
  if (!flood_troubles_.contains(key)) troubles_.erase(key);
  // Room has come free for what found none.
  if (removing)
    for (const auto& [other, why] : troubles_)
      if (why.reason == "OutOfRoom") mark(other);
}

void Reconciler::finish_drain() {
  flush_floods();
  if (!std::exchange(swept_, true)) sweep();
  arm_retry();
  arm_reclaim();

  std::map<std::string, std::string> now;
  for (const auto& [key, why] : troubles_) now[key] = why.reason + ' ' + why.message;
  const bool worked_off = std::exchange(changes_pending_, false);
  if (!worked_off && now == told_) return;
  told_ = std::move(now);
  if (progress_) progress_(worked_off);
}

void Reconciler::flush_floods() {
  std::set<std::string> failing;
  for (const auto& [vni, error] : tables_.flush_floods()) {
    const auto key = network_key(vni.value);
    trouble(key, error);
    failing.insert(key);
  }
  // Looked at again rather than forgiven: the network may have a trouble of its own.
  for (const auto& key : flood_troubles_) {
    if (failing.contains(key)) continue;
    mark(key);
    turn_soon();
  }
  flood_troubles_ = std::move(failing);
}

void Reconciler::trouble(const std::string& key, const Error& error) {
  auto& why = troubles_[key];
  const auto message = error.details.empty() ? error.message : error.text();
  if (why.message != message) log_.warning("{}: {}", key, message);
  why.reason = reason_of(error.code);
  why.message = message;
  why.final = is_final(error.code);
  const auto& tunables = runtime_.tunables();
  const auto limit = std::chrono::milliseconds(tunables.reconcile_retry_max_ms);
  Duration delay = std::chrono::milliseconds(tunables.reconcile_retry_min_ms);
  for (int i = 0; i < why.tries && delay < limit; ++i) delay *= 2;
  delay = std::min<Duration>(delay, limit);
  // Jitter of a quarter either way: many hosts that failed together do not come back together.
  const auto quarter = delay.count() / 4;
  if (quarter > 0)
    delay += Duration(static_cast<std::int64_t>(runtime_.random() % (2 * quarter)) - quarter);
  ++why.tries;
  why.retry_at = runtime_.now() + delay;
}

void Reconciler::waiting(const std::string& key, std::string reason, std::string message) {
  // Whoever it waits for brings it back; the retry is for the case that nobody does.
  auto& why = troubles_[key];
  why.reason = std::move(reason);
  why.message = std::move(message);
  why.final = false;
  why.retry_at =
      runtime_.now() + std::chrono::milliseconds(runtime_.tunables().reconcile_retry_max_ms);
}

void Reconciler::arm_retry() {
  std::optional<MonoTime> next;
  for (const auto& [key, why] : troubles_)
    if (!why.final && (!next || why.retry_at < *next)) next = why.retry_at;
  if (retry_timer_ && (!next || *next != retry_timer_at_)) {
    runtime_.cancel(*retry_timer_);
    retry_timer_.reset();
  }
  if (!next || retry_timer_) return;
  retry_timer_at_ = *next;
  const auto delay = std::max(*next - runtime_.now(), Duration(0));
  retry_timer_ = runtime_.after(delay, [this] {
    retry_timer_.reset();
    retry_due();
  });
}

void Reconciler::retry_due() {
  for (const auto& [key, why] : troubles_)
    if (!why.final && why.retry_at <= runtime_.now()) mark(key);
  turn();
}

std::vector<v1::NotReady> Reconciler::not_ready() const {
  std::vector<v1::NotReady> out;
  for (const auto& [key, why] : troubles_) {
    v1::NotReady message;
    message.set_key(key);
    message.set_reason(why.reason);
    message.set_message(why.message);
    if (!why.final) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(why.retry_at - runtime_.now());
      message.set_retry_in_ms(std::max<std::int64_t>(1, left.count()));
    }
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace penstock::host
