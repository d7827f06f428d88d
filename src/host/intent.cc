#include "host/intent.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "net/switch_number.h"

namespace penstock::host {

namespace {

constexpr std::string_view kFileMagic = "penstock-intent 1\n";

std::string serialized(const google::protobuf::Message& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return out;
}

}  // namespace

// Only accept() and parse() change an intent.
struct IntentEditor {
  static auto& position(Intent& intent) { return intent.position_; }

  // False: it is there already.
  static bool put(Intent& intent, const v1::IntentItem& item) {
    auto& slot = intent.items_[item.key()];
    const auto bytes = serialized(item);
    if (slot) {
      const auto old = serialized(*slot);
      if (old == bytes) return false;
      intent.digest_.remove(penstock::digest(old));
    }
    intent.digest_.add(penstock::digest(bytes));
    slot = std::make_shared<const v1::IntentItem>(item);
    return true;
  }
  static bool erase(Intent& intent, const std::string& key) {
    const auto found = intent.items_.find(key);
    if (found == intent.items_.end()) return false;
    intent.digest_.remove(penstock::digest(serialized(*found->second)));
    intent.items_.erase(found);
    return true;
  }
};

namespace {

Acceptance refused(std::string why) {
  return {Acceptance::Kind::kRefused, std::move(why), {}};
}

// Empty when the message's own order is right.
std::string malformed(const v1::ServerMessage& message) {
  if (message.position().incarnation().empty()) return "the message has no position";
  const auto unsorted = [](const auto& items, auto key) {
    for (int i = 1; i < items.size(); ++i)
      if (key(items[i - 1]) >= key(items[i])) return true;
    return false;
  };
  const auto item_key = [](const v1::IntentItem& item) -> const std::string& { return item.key(); };
  const auto same = [](const std::string& key) -> const std::string& { return key; };
  if (unsorted(message.full().items(), item_key) || unsorted(message.delta().put(), item_key) ||
      unsorted(message.delta().remove(), same))
    return "the message's items are not sorted by key";
  return {};
}

Acceptance take_full(Intent& intent, const v1::ServerMessage& message) {
  Acceptance out{Acceptance::Kind::kTaken, {}, {}};
  std::set<std::string_view> kept;
  for (const auto& item : message.full().items()) {
    kept.insert(item.key());
    if (IntentEditor::put(intent, item)) out.changed.push_back(item.key());
  }
  for (const auto& [key, item] : intent.items())
    if (!kept.contains(key)) out.changed.push_back(key);
  for (const auto& key : out.changed)
    if (!kept.contains(key)) IntentEditor::erase(intent, key);
  std::ranges::sort(out.changed);
  IntentEditor::position(intent) = position_of(message.position());
  return out;
}

Acceptance take_delta(Intent& intent, const v1::ServerMessage& message) {
  Acceptance out{Acceptance::Kind::kTaken, {}, {}};
  for (const auto& key : message.delta().remove())
    if (IntentEditor::erase(intent, key)) out.changed.push_back(key);
  for (const auto& item : message.delta().put())
    if (IntentEditor::put(intent, item)) out.changed.push_back(item.key());
  std::ranges::sort(out.changed);
  const auto [first, last] = std::ranges::unique(out.changed);
  out.changed.erase(first, last);
  IntentEditor::position(intent) = position_of(message.position());
  return out;
}

}  // namespace

std::string Position::text() const {
  if (incarnation.empty()) return "nothing";
  return fmt::format("revision {} of {} (epoch {})", revision, incarnation.substr(0, 8), epoch);
}

Position position_of(const v1::Position& message) {
  return {message.incarnation(), message.revision(), message.epoch()};
}

v1::Position message_of(const Position& position) {
  v1::Position message;
  message.set_incarnation(position.incarnation);
  message.set_revision(position.revision);
  message.set_epoch(position.epoch);
  return message;
}

const v1::IntentItem* Intent::item(const std::string& key) const {
  const auto found = items_.find(key);
  return found == items_.end() ? nullptr : found->second.get();
}
const v1::SwitchIntent* Intent::find_switch(std::string_view name) const {
  const auto* found = item(switch_key(name));
  return found && found->has_switch_() ? &found->switch_() : nullptr;
}
const v1::NetworkIntent* Intent::network(std::uint32_t vni) const {
  const auto* found = item(network_key(vni));
  return found && found->has_network() ? &found->network() : nullptr;
}
const v1::GroupIntent* Intent::group(std::uint64_t id) const {
  const auto* found = item(group_key(id));
  return found && found->has_group() ? &found->group() : nullptr;
}
const v1::PolicyIntent* Intent::policy(std::uint64_t id) const {
  const auto* found = item(policy_key(id));
  return found && found->has_policy() ? &found->policy() : nullptr;
}
const v1::PolicyIntent* Intent::policy_numbered(std::uint32_t number) const {
  for (auto it = items_.lower_bound("40/policy/"); it != items_.end(); ++it) {
    if (!it->second->has_policy()) break;
    if (switch_number(it->second->policy().id()) == number) return &it->second->policy();
  }
  return nullptr;
}
const v1::InstanceIntent* Intent::instance(std::string_view tenant, std::string_view name) const {
  const auto* found = item(instance_key(tenant, name));
  return found && found->has_instance() ? &found->instance() : nullptr;
}
const v1::PortIntent* Intent::port(std::uint32_t id) const {
  const auto* found = item(port_key(id));
  return found && found->has_port() ? &found->port() : nullptr;
}

std::string Intent::serialize() const {
  v1::ServerMessage message;
  *message.mutable_position() = message_of(position_);
  auto& full = *message.mutable_full();
  for (const auto& [key, item] : items_) *full.add_items() = *item;
  const auto body = serialized(message);
  return fmt::format("{}{}\n{}", kFileMagic, penstock::digest(body).text(), body);
}

Result<Intent> Intent::parse(std::string_view file) {
  constexpr std::size_t kDigestText = 64;
  if (!file.starts_with(kFileMagic) || file.size() < kFileMagic.size() + kDigestText + 1)
    return fail(Code::kInvalidArgument, "not an intent file of this version");
  const auto checksum = file.substr(kFileMagic.size(), kDigestText);
  const auto body = file.substr(kFileMagic.size() + kDigestText + 1);
  if (penstock::digest(body).text() != checksum)
    return fail(Code::kInvalidArgument, "the intent file is damaged: its checksum does not fit");
  v1::ServerMessage message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size())) || !message.has_full())
    return fail(Code::kInvalidArgument, "the intent file does not parse");
  if (auto why = malformed(message); !why.empty())
    return fail(Code::kInvalidArgument, "the intent file is not usable: " + why);
  Intent intent;
  take_full(intent, message);
  return intent;
}

Acceptance accept(Intent& intent, const v1::ServerMessage& message) {
  if (!message.has_full() && !message.has_delta()) return {};
  if (auto why = malformed(message); !why.empty()) return refused(std::move(why));

  const auto& ours = intent.position();
  const auto theirs = position_of(message.position());
  const bool fresh = ours.incarnation.empty();
  if (!fresh && theirs.incarnation != ours.incarnation) {
    if (message.has_full() && message.full().new_incarnation()) return take_full(intent, message);
    return refused(fmt::format("this host follows store {}, the message is of store {}",
                               ours.incarnation.substr(0, 8), theirs.incarnation.substr(0, 8)));
  }
  if (theirs.epoch < ours.epoch)
    return refused(
        fmt::format("epoch {} is over: this host has heard epoch {}", theirs.epoch, ours.epoch));
  if (theirs.revision < ours.revision)
    return refused(fmt::format("revision {} is older than {}", theirs.revision, ours.revision));
  if (message.has_full()) return take_full(intent, message);
  if (fresh) return {Acceptance::Kind::kNeedFull, "nothing is here that a delta could change", {}};
  if (message.delta().previous_revision() != ours.revision) {
    if (theirs.revision == ours.revision)
      return refused(fmt::format("revision {} is here already", theirs.revision));
    return {Acceptance::Kind::kNeedFull,
            fmt::format("the delta follows revision {}, this host has {}",
                        message.delta().previous_revision(), ours.revision),
            {}};
  }
  return take_delta(intent, message);
}

std::string switch_key(std::string_view name) {
  return fmt::format("10/switch/{}", name);
}
std::string network_key(std::uint32_t vni) {
  return fmt::format("20/net/{}", vni);
}
std::string group_key(std::uint64_t id) {
  return fmt::format("30/group/{}", id);
}
std::string policy_key(std::uint64_t id) {
  return fmt::format("40/policy/{}", id);
}
std::string instance_key(std::string_view tenant, std::string_view name) {
  return fmt::format("50/vm/{}/{}", tenant, name);
}
std::string port_key(std::uint32_t id) {
  return fmt::format("60/port/{}", id);
}

}  // namespace penstock::host
