#include "store/watch_hub.h"

#include <algorithm>
#include <utility>

namespace penstock {

WatchId WatchHub::add(std::string prefix, Revision from, WatchSink sink) {
  const WatchId id{next_id_++};
  auto watch = std::make_shared<Watch>();
  watch->prefix = std::move(prefix);
  watch->next = std::max(from, Revision{1});
  watch->sink = std::move(sink);
  watches_.emplace(id, std::move(watch));
  return id;
}

void WatchHub::cancel(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  found->second->ended = true;
  watches_.erase(found);
}

void WatchHub::caught_up(WatchId id, const WatchHistory& history) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  const auto watch = found->second;
  if (watch->next <= history.compacted) return end(id, WatchCompacted{history.compacted});
  watch->live = true;
  const bool told = deliver(*watch, history.events, history.latest);
  if (told && !watch->ended) watch->sink(WatchBookmark{history.latest});
}

void WatchHub::committed(const std::vector<WatchEvents>& group) {
  if (group.empty()) return;
  // A copy of the list: sinks add and cancel watches while it is walked. Those they add are
  // catching up.
  const auto now = watches_;
  for (const auto& [id, watch] : now)
    if (watch->live) deliver(*watch, group, group.back().revision);
}

void WatchHub::end(WatchId id, const WatchUpdate& last) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  const auto watch = std::move(found->second);
  watches_.erase(found);
  last_word(*watch, last);
}

void WatchHub::end_all(const WatchUpdate& last) {
  for (const auto& [id, watch] : std::exchange(watches_, {})) last_word(*watch, last);
}

void WatchHub::last_word(Watch& watch, const WatchUpdate& last) {
  if (std::exchange(watch.ended, true)) return;
  watch.sink(last);
}

bool WatchHub::deliver(Watch& watch, const std::vector<WatchEvents>& events, Revision latest) {
  const auto matches = [&](const KeyEvent& event) { return event.key.starts_with(watch.prefix); };
  bool told = false;
  for (const auto& all : events) {
    if (watch.ended) return true;
    if (all.revision < watch.next) continue;
    watch.next = Revision{all.revision.value + 1};
    told = false;
    if (std::ranges::all_of(all.events, matches)) {
      watch.sink(all);
      told = true;
    } else if (std::ranges::any_of(all.events, matches)) {
      WatchEvents some{all.revision, {}};
      std::ranges::copy_if(all.events, std::back_inserter(some.events), matches);
      watch.sink(some);
      told = true;
    }
  }
  if (!told && !watch.ended) watch.sink(WatchBookmark{latest});
  return told;
}

}  // namespace penstock
