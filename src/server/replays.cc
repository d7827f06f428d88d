#include "server/replays.h"

namespace penstock {

Replays::Turn Replays::begin(const std::string& id, const std::string& fingerprint, Waiter waiter) {
  const auto [found, fresh] = entries_.try_emplace(id);
  auto& entry = found->second;
  if (fresh) {
    entry.fingerprint = fingerprint;
    return Turn::kFirst;
  }
  if (entry.fingerprint != fingerprint) return Turn::kMisused;
  if (entry.done)
    waiter(entry.answer);
  else
    entry.waiting.push_back(std::move(waiter));
  return Turn::kRepeated;
}

void Replays::answered(const std::string& id, const Answer& answer) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  auto waiting = std::move(found->second.waiting);
  if (answer) {
    found->second.done = true;
    found->second.answer = *answer;
    order_.push_back(id);
    bytes_ += answer->size();
    while (order_.size() > 1 && (order_.size() > kMost || bytes_ > kMostBytes)) {
      const auto oldest = entries_.find(order_.front());
      bytes_ -= oldest->second.answer.size();
      entries_.erase(oldest);
      order_.pop_front();
    }
  } else {
    entries_.erase(found);
  }
  for (auto& waiter : waiting) waiter(answer);
}

}  // namespace penstock
