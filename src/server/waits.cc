#include "server/waits.h"

namespace penstock {

void Waits::wait(Targets targets, std::int64_t revision, Duration deadline,
                 std::move_only_function<void(WaitResult)> done) {
  const auto id = next_++;
  auto& wait = waits_[id];
  wait.open = targets;
  wait.targets = std::move(targets);
  wait.revision = revision;
  wait.done = std::move(done);
  wait.timer = runtime_.after(deadline, [this, id] { finish(id, true); });
  std::erase_if(wait.open, [&](const auto& target) { return settle(id, wait, target.first); });
  if (wait.open.empty()) runtime_.post([this, id] { finish(id, false); });
}

bool Waits::settle(std::uint64_t id, Wait& wait, const std::string& host) {
  const auto& items = wait.targets.at(host);
  if (rollout_on(sessions_, host, items).state() == v1::HostRollout::APPLIED) return true;
  if (terminal_on(sessions_, host, items)) {
    wait.failed = true;
    return true;
  }
  by_host_[host].emplace(sessions_.needs_revision(host, items), id);
  return false;
}

void Waits::progress(const std::string& host) {
  const auto queue = by_host_.find(host);
  if (queue == by_host_.end()) return;
  const auto* view = sessions_.view(host);
  // Without a session, revisions foreseen before mean nothing: everyone looks again when the next
  // one is in step.
  const auto end = view && view->in_step ? queue->second.upper_bound(view->applied_revision)
                                         : queue->second.end();
  std::vector<std::uint64_t> due;
  for (auto entry = queue->second.begin(); entry != end; ++entry) due.push_back(entry->second);
  queue->second.erase(queue->second.begin(), end);
  if (queue->second.empty()) by_host_.erase(queue);
  for (const auto id : due) {
    const auto found = waits_.find(id);
    if (found == waits_.end() || !found->second.open.contains(host)) continue;
    auto& wait = found->second;
    if (!settle(id, wait, host)) continue;
    wait.open.erase(host);
    if (wait.open.empty()) finish(id, false);
  }
}

void Waits::finish(std::uint64_t id, bool deadline_passed) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;
  auto wait = std::move(found->second);
  waits_.erase(found);
  runtime_.cancel(wait.timer);
  for (const auto& [host, items] : wait.open) {
    const auto queue = by_host_.find(host);
    if (queue == by_host_.end()) continue;
    std::erase_if(queue->second, [&](const auto& entry) { return entry.second == id; });
    if (queue->second.empty()) by_host_.erase(queue);
  }
  WaitResult result;
  result.rollout = rollout_of(sessions_, wait.targets, wait.revision);
  const bool applied = result.rollout.applied() == result.rollout.hosts();
  result.deadline_passed = deadline_passed && !applied;
  result.failed = wait.failed && !applied;
  wait.done(std::move(result));
}

}  // namespace penstock
