// The strand's side of watching, the same for every backend that feeds watches from its own
// commits: who watches what, how far each is, and who must hear of a commit.
//
// A watch starts out catching up: it hears nothing until the backend has read its history. The
// backend promises that history and commits reach the hub in the order in which they were read and
// made, so no event falls between.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

namespace penstock {

// What the medium knows of the past: all events from the revision asked for, not yet filtered by
// prefix.
struct WatchHistory {
  Revision latest;     // of the store when it was read
  Revision compacted;  // events up to and including this one are gone
  std::vector<WatchEvents> events;
};

class WatchHub {
 public:
  WatchId add(std::string prefix, Revision from, WatchSink sink);
  void cancel(WatchId);

  // The history of one watch, read from its first revision. Unknown ids (cancelled meanwhile) are
  // ignored.
  void caught_up(WatchId, const WatchHistory&);
  // The events of all revisions that one group commit made, rising.
  void committed(const std::vector<WatchEvents>& group);
  // Ends one watch or all of them with this last word.
  void end(WatchId, const WatchUpdate& last);
  void end_all(const WatchUpdate& last);

  bool empty() const { return watches_.empty(); }

 private:
  struct Watch {
    std::string prefix;
    Revision next;  // first revision not yet delivered
    WatchSink sink;
    bool live = false;   // history delivered
    bool ended = false;  // hears nothing any more, though a delivery may still hold it
  };
  // Delivers what matches of `events`, then a bookmark for `latest` unless the last revision was
  // itself delivered: then true.
  static bool deliver(Watch&, const std::vector<WatchEvents>& events, Revision latest);
  static void last_word(Watch&, const WatchUpdate&);

  std::uint64_t next_id_ = 1;
  // Shared, because a sink may cancel its own watch while it runs.
  std::map<WatchId, std::shared_ptr<Watch>> watches_;
};

}  // namespace penstock
