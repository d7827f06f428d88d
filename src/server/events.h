// What happened lately: a ring of the newest `events_kept` events, in memory only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/runtime.h"
#include "model/snapshot.h"

namespace penstock {

class EventLog {
 public:
  explicit EventLog(Runtime& runtime) : runtime_(runtime) {}

  void record(v1::Event::Type type, std::string_view reason, const ObjectKey& about,
              std::string message, std::string_view actor, std::int64_t revision);

  const std::deque<std::shared_ptr<const v1::Event>>& all() const {
    return events_;
  }  // oldest first
  std::shared_ptr<const v1::Event> find(std::string_view name) const;

  std::function<void(const std::shared_ptr<const v1::Event>&)> on_event;

 private:
  Runtime& runtime_;
  std::deque<std::shared_ptr<const v1::Event>> events_;
  std::uint64_t next_ = 1;
};

}  // namespace penstock
