#include "server/events.h"

#include <algorithm>
#include <charconv>

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
  events_.push_back(event->SerializeAsString());
  while (events_.size() > static_cast<std::size_t>(runtime_.tunables().events_kept))
    events_.pop_front();
  if (on_event) on_event(event);
}

namespace {

// "e000000000042" -> 42; 0: no name of an event.
std::uint64_t number_of(std::string_view name) {
  std::uint64_t number = 0;
  if (!name.starts_with('e')) return 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

}  // namespace

std::shared_ptr<const v1::Event> EventLog::event(std::uint64_t number) const {
  auto event = std::make_shared<v1::Event>();
  event->ParseFromString(events_[number - first()]);
  return event;
}

void EventLog::each(const Visit& visit) const {
  each_after({}, visit);
}

void EventLog::each_after(std::string_view name, const Visit& visit) const {
  for (auto number = std::max(first(), number_of(name) + 1); number < next_; ++number)
    if (!visit(event(number))) return;
}

std::shared_ptr<const v1::Event> EventLog::find(std::string_view name) const {
  const auto number = number_of(name);
  if (number < first() || number >= next_) return nullptr;
  auto found = event(number);
  return found->metadata().name() == name ? found : nullptr;
}

}  // namespace penstock
