#include "base/sim_runtime.h"

namespace penstock {

std::uint64_t SimRandom::next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t SimClock::at(MonoTime when, Task task) {
  const auto entry = next_entry_++;
  const auto due = std::max(when, now_).since_start;
  agenda_.emplace(std::pair{due, entry}, std::move(task));
  due_.emplace(entry, due);
  return entry;
}

void SimClock::drop(std::uint64_t entry) {
  const auto found = due_.find(entry);
  if (found == due_.end()) return;
  agenda_.erase({found->second, entry});
  due_.erase(found);
}

bool SimClock::step() {
  if (agenda_.empty()) return false;
  auto first = agenda_.extract(agenda_.begin());
  now_ = {first.key().first};
  due_.erase(first.key().second);
  first.mapped()();
  return true;
}

void SimClock::run_until(MonoTime end) {
  while (!agenda_.empty() && agenda_.begin()->first.first <= end.since_start) step();
  now_ = std::max(now_, end);
}

SimRuntime::SimRuntime(SimClock& clock, Tunables tunables)
    : clock_(clock), tunables_(tunables), random_(clock.random().next()) {}

SimRuntime::~SimRuntime() {
  for (const auto& [entry, unused] : mine_) clock_.drop(entry);
}

void SimRuntime::post(Task task) { after(Duration::zero(), std::move(task)); }
void SimRuntime::post_from_any_thread(Task task) { post(std::move(task)); }

TimerId SimRuntime::after(Duration delay, Task task) {
  // The entry's number is known only after at() returned, and the task must not outlive its entry in mine_.
  auto number = std::make_shared<std::uint64_t>(0);
  *number = clock_.at(now() + delay, [this, number, task = std::move(task)]() mutable {
    mine_.erase(*number);
    task();
  });
  mine_.emplace(*number, true);
  return TimerId{*number};
}

void SimRuntime::cancel(TimerId id) {
  const auto entry = static_cast<std::uint64_t>(id);
  if (mine_.erase(entry) > 0) clock_.drop(entry);
}

MonoTime SimRuntime::now() const { return clock_.now(); }

WallTime SimRuntime::wall() const {
  // 2026-01-01T00:00:00Z, so that simulated logs read like real ones.
  return {std::chrono::seconds(1'767'225'600) + clock_.now().since_start};
}

std::uint64_t SimRuntime::random() { return random_.next(); }
const Tunables& SimRuntime::tunables() const { return tunables_; }

}  // namespace penstock
