#include "server/journal.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "server/flow_record.h"

namespace penstock {
namespace {

void set_time(google::protobuf::Timestamp& stamp, std::int64_t ns) {
  stamp.set_seconds(ns / 1'000'000'000);
  stamp.set_nanos(static_cast<int>(ns % 1'000'000'000));
}

// What `-l` chooses by.
void label_audit(Message& message) {
  auto& record = static_cast<v1::AuditRecord&>(message);
  auto& labels = *record.mutable_metadata()->mutable_labels();
  labels["user"] = record.user();
  labels["action"] = record.action();
  labels["outcome"] = v1::AuditRecord::Outcome_Name(record.outcome());
  if (!record.object().kind().empty()) labels["kind"] = record.object().kind();
  if (!record.object().name().empty()) labels["object"] = record.object().name();
}

}  // namespace

MessagePtr Recent::add(std::unique_ptr<Message> object, const std::string& tenant) {
  // Fixed width, so that the order of names is the order of time.
  mutable_metadata_of(*object).set_name(fmt::format("{}{:012}", letter_, next_));
  keep(next_++, *object, tenant);
  MessagePtr shared(std::move(object));
  if (on_added && dress_) {
    const std::shared_ptr<Message> dressed(shared->New());
    dressed->CopyFrom(*shared);
    dress_(*dressed);
    on_added(dressed);
  } else if (on_added) {
    on_added(shared);
  }
  return shared;
}

void Recent::add_again(const Message& object, const std::string& tenant) {
  const auto number = number_of(metadata_of(object).name());
  if (number < next_) return;  // nothing of ours, or twice
  next_ = number + 1;
  keep(number, object, tenant);
}

void Recent::keep(std::uint64_t number, const Message& object, const std::string& tenant) {
  objects_.emplace_hint(objects_.end(), number, object.SerializeAsString());
  auto& own = of_tenant_[tenant];
  by_size_.erase({own.size(), tenant});
  own.push_back(number);
  by_size_.emplace(own.size(), tenant);
  while (objects_.size() > static_cast<std::size_t>(runtime_.tunables().*most_)) forget_one();
}

void Recent::forget_one() {
  const auto [size, tenant] = *by_size_.rbegin();
  by_size_.erase({size, tenant});
  auto& own = of_tenant_.find(tenant)->second;
  objects_.erase(own.front());
  own.pop_front();
  if (own.empty())
    of_tenant_.erase(tenant);
  else
    by_size_.emplace(size - 1, tenant);
}

// "e000000000042" -> 42; 0: no name of ours.
std::uint64_t Recent::number_of(std::string_view name) const {
  std::uint64_t number = 0;
  if (!name.starts_with(letter_)) return 0;
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

MessagePtr Recent::object(const std::string& bytes) const {
  auto object = kind_.make();
  object->ParseFromString(bytes);
  if (dress_) dress_(*object);
  return object;
}

void Recent::each_after(std::string_view name, const Visit& visit) const {
  for (auto it = objects_.upper_bound(number_of(name)); it != objects_.end(); ++it)
    if (!visit(object(it->second))) return;
}

MessagePtr Recent::find(std::string_view name) const {
  const auto kept = objects_.find(number_of(name));
  if (kept == objects_.end()) return nullptr;
  auto found = object(kept->second);
  return metadata_of(*found).name() == name ? found : nullptr;
}

Journal::Journal(Runtime& runtime)
    : runtime_(runtime),
      events_(runtime, kind_of<v1::Event>(), 'e', &Tunables::events_kept),
      flows_(runtime, kind_of<v1::FlowRecord>(), 'f', &Tunables::flow_records_kept),
      audit_(runtime, kind_of<v1::AuditRecord>(), 'a', &Tunables::audit_records_kept, label_audit) {
}

const Recent* Journal::of(const Kind& kind) const {
  if (&kind == &kind_of<v1::Event>()) return &events_;
  if (&kind == &kind_of<v1::FlowRecord>()) return &flows_;
  if (&kind == &kind_of<v1::AuditRecord>()) return &audit_;
  return nullptr;
}

std::string_view Journal::tenant_of(const Message& entry) {
  if (entry.GetDescriptor() == v1::Event::descriptor())
    return static_cast<const v1::Event&>(entry).object().tenant();
  if (entry.GetDescriptor() == v1::AuditRecord::descriptor())
    return static_cast<const v1::AuditRecord&>(entry).object().tenant();
  return metadata_of(entry).tenant();
}

void Journal::on_added(std::function<void(const MessagePtr&)> added) {
  events_.on_added = added;
  flows_.on_added = added;
  audit_.on_added = std::move(added);
}

std::shared_ptr<const v1::AuditRecord> Journal::audit(std::unique_ptr<v1::AuditRecord> record) {
  const auto user = record->user();
  return std::static_pointer_cast<const v1::AuditRecord>(audit_.add(std::move(record), user));
}
void Journal::audit_again(std::unique_ptr<v1::AuditRecord> record) {
  audit_.add_again(*record, record->user());
}

void Journal::event(v1::Event::Type type, std::string_view reason, const ObjectKey& about,
                    std::string message, std::string_view actor, std::int64_t revision) {
  auto event = std::make_unique<v1::Event>();
  set_time(*event->mutable_time(), runtime_.wall().since_epoch.count());
  event->set_type(type);
  event->set_reason(std::string(reason));
  *event->mutable_object() = about.reference();
  event->set_message(std::move(message));
  event->set_actor(std::string(actor));
  event->set_revision(revision);
  events_.add(std::move(event), about.tenant);
}

void Journal::flows(const Snapshot& snapshot, const std::string& host, const v1::FlowLog& log) {
  for (const auto& logged : log.flows()) {
    auto record = flow_record(snapshot, host, logged);
    if (!record) continue;
    const auto tenant = record->metadata().tenant();
    flows_.add(std::move(record), tenant);
  }
}

}  // namespace penstock
