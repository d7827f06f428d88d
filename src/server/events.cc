#include "server/events.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock {

void EventLog::record(v1::Event::Type type, std::string_view reason, const ObjectKey& about,
                      std::string message, std::string_view actor, std::int64_t revision) {
  auto event = std::make_shared<v1::Event>();
  // Fixed width, so that the order of names is the order of time.
  event->mutable_metadata()->set_name(fmt::format("e{:012}", next_++));
  const auto now = runtime_.wall().since_epoch;
  event->mutable_time()->set_seconds(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  event->mutable_time()->set_nanos(static_cast<int>(now.count() % 1'000'000'000));
  event->set_type(type);
  event->set_reason(std::string(reason));
  *event->mutable_object() = about.reference();
  event->set_message(std::move(message));
  event->set_actor(std::string(actor));
  event->set_revision(revision);
  events_.push_back(event);
  while (events_.size() > static_cast<std::size_t>(runtime_.tunables().events_kept))
    events_.pop_front();
  if (on_event) on_event(events_.back());
}

std::shared_ptr<const v1::Event> EventLog::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(
      events_, name, {},
      [](const auto& event) -> std::string_view { return event->metadata().name(); });
  return found != events_.end() && (*found)->metadata().name() == name ? *found : nullptr;
}

}  // namespace penstock
