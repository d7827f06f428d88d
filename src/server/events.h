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

  using Visit = std::function<bool(const std::shared_ptr<const v1::Event>&)>;  // false: stop
  void each(const Visit&) const;                                               // oldest first
  // From the first event after the one of that name, whether it is there or not.
  void each_after(std::string_view name, const Visit&) const;
  std::shared_ptr<const v1::Event> find(
      std::string_view name) const;  // nullptr: gone, or never was

  std::function<void(const std::shared_ptr<const v1::Event>&)> on_event;

 private:
  Runtime& runtime_;
  // Serialized: a message of its own takes seven times the room.
  std::deque<std::string> events_;
  std::uint64_t next_ = 1;

  std::uint64_t first() const { return next_ - events_.size(); }
  std::shared_ptr<const v1::Event> event(std::uint64_t number) const;
};

}  // namespace penstock
