#include "model/snapshot.h"

#include <charconv>

#include <fmt/format.h>

#include "base/ensure.h"
#include "model/snapshot_state.h"

namespace penstock {
namespace {

constexpr std::string_view kCounters = "/penstock/v1/counters/";

std::string object_key(std::string_view tenant, std::string_view name) {
  return join_key(tenant, name);
}

}  // namespace

Edit Edit::put(MessagePtr object) {
  auto key = key_of(*object);
  return {std::move(key), std::move(object), std::nullopt};
}
Edit Edit::erase(ObjectKey key) {
  return {std::move(key), nullptr, std::nullopt};
}
Edit Edit::set(Counter counter) {
  return {{}, nullptr, std::move(counter)};
}

std::string Edit::store_key() const {
  return key.kind ? key.store_key() : std::string(kCounters) + counter->name;
}
std::string Edit::store_value() const {
  if (key.kind) return object ? serialize(*object) : std::string();
  return std::to_string(counter->value);
}

Snapshot::Snapshot() {
  auto state = std::make_shared<SnapshotState>();
  state->objects.resize(kinds().size());
  state_ = std::move(state);
}

std::int64_t Snapshot::revision() const {
  return state_->revision;
}
const std::string& Snapshot::incarnation() const {
  return state_->incarnation;
}

namespace {

void apply(SnapshotState& state, const Edit& edit, std::int64_t revision) {
  if (!edit.key.kind) {
    state.counters = state.counters.set(edit.counter->name, {edit.counter->value, revision});
    return;
  }
  auto& map = state.objects[edit.key.kind->index];
  auto key = object_key(edit.key.tenant, edit.key.name);
  if (const auto* old = map.find(key)) {
    const auto keep = old->object;  // the map below lets go of it
    state.enter(*keep, false);
  }
  if (edit.object) {
    state.enter(*edit.object, true);
    map = map.set(std::move(key), {edit.object, revision});
  } else {
    map = map.erase(key);
  }
}

template <typename V>
using Entries = std::vector<std::pair<std::string, V>>;

template <typename V>
PersistentMap<std::string, V> sorted_map(Entries<V> entries) {
  const auto key = [](const auto& entry) -> const std::string& { return entry.first; };
  std::ranges::sort(entries, {}, key);
  const auto twice = std::ranges::unique(entries, {}, key);
  entries.erase(twice.begin(), twice.end());
  return PersistentMap<std::string, V>::from_sorted(std::move(entries));
}

Result<Edit> read_stored(const Snapshot::Stored& stored) {
  if (stored.key.starts_with(kCounters)) {
    Counter counter{stored.key.substr(kCounters.size()), 0};
    const auto* end = stored.value.data() + stored.value.size();
    const auto [stop, error] = std::from_chars(stored.value.data(), end, counter.value);
    if (error != std::errc() || stop != end)
      return fail(Code::kInternal, fmt::format("store: \"{}\" is not a number", stored.key));
    return Edit::set(std::move(counter));
  }
  auto key = PENSTOCK_TRY(ObjectKey::parse_store_key(stored.key));
  auto object = key.kind->make();
  if (!object->ParseFromString(stored.value) || key_of(*object) != key)
    return fail(Code::kInternal, fmt::format("store: the value of \"{}\" is damaged", stored.key));
  return Edit::put(std::move(object));
}

}  // namespace

Snapshot Snapshot::with(std::span<const Edit> edits, std::int64_t revision) const {
  auto state = std::make_shared<SnapshotState>(*state_);
  state->revision = revision;
  for (const auto& edit : edits) apply(*state, edit, revision);
  return Snapshot(std::move(state));
}

Snapshot Snapshot::with_incarnation(std::string incarnation) const {
  auto state = std::make_shared<SnapshotState>(*state_);
  state->incarnation = std::move(incarnation);
  return Snapshot(std::move(state));
}

Result<Snapshot> Snapshot::load(std::span<const Stored> range, std::int64_t revision,
                                std::string incarnation) {
  auto state = std::make_shared<SnapshotState>();
  state->objects.resize(kinds().size());
  state->revision = revision;
  state->incarnation = std::move(incarnation);
  // Everything at once: put in one by one, most of the time would go into nodes on the way.
  std::vector<Entries<SnapshotState::Entry>> objects(kinds().size());
  std::array<Entries<None>, kTables> index;
  for (const auto& stored : range) {
    if (!stored.key.starts_with(kStorePrefix)) continue;
    auto edit = PENSTOCK_TRY(read_stored(stored));
    if (!edit.object) {
      apply(*state, edit, stored.mod_revision);
      continue;
    }
    SnapshotState::index_entries(*edit.object, [&](Table table, std::string key) {
      index[table].emplace_back(std::move(key), None{});
    });
    objects[edit.key.kind->index].emplace_back(
        object_key(edit.key.tenant, edit.key.name),
        SnapshotState::Entry{std::move(edit.object), stored.mod_revision});
  }
  for (std::size_t kind = 0; kind < objects.size(); ++kind)
    state->objects[kind] = sorted_map(std::move(objects[kind]));
  for (std::size_t table = 0; table < kTables; ++table)
    state->index[table] = sorted_map(std::move(index[table]));
  return Snapshot(std::move(state));
}

MessagePtr Snapshot::find_in(const Kind& kind, std::string_view tenant,
                             std::string_view name) const {
  const auto* entry = state_->objects[kind.index].find(object_key(tenant, name));
  return entry ? entry->object : nullptr;
}

std::int64_t Snapshot::mod_revision(const ObjectKey& key) const {
  const auto* entry = state_->objects[key.kind->index].find(object_key(key.tenant, key.name));
  return entry ? entry->mod_revision : 0;
}

std::size_t Snapshot::count(const Kind& kind) const {
  return state_->objects[kind.index].size();
}
std::size_t Snapshot::count(const Kind& kind, std::string_view tenant) const {
  const auto& all = state_->objects[kind.index];
  const auto first = join_prefix(tenant);
  auto end = first;
  ++end.back();
  return all.rank(end) - all.rank(first);
}

namespace {

auto visitor(const Kind& kind, const Snapshot::Visit& visit, std::string prefix) {
  return [&kind, &visit, prefix = std::move(prefix)](const std::string& key,
                                                     const SnapshotState::Entry& entry) {
    if (!key.starts_with(prefix)) return false;
    std::string_view rest = key;
    const auto tenant = next_part(rest);
    return visit({&kind, std::string(tenant), std::string(rest)}, entry.object, entry.mod_revision);
  };
}

}  // namespace

void Snapshot::each(const Kind& kind, const Visit& visit) const {
  state_->objects[kind.index].each(visitor(kind, visit, ""));
}
void Snapshot::each(const Kind& kind, std::string_view tenant, const Visit& visit) const {
  const auto prefix = join_prefix(tenant);
  state_->objects[kind.index].each_from(prefix, visitor(kind, visit, prefix));
}
void Snapshot::each_after(const ObjectKey& after, const Visit& visit) const {
  // Nothing sorts between a key and the same key with a NUL behind it.
  const auto from = object_key(after.tenant, after.name) + '\0';
  state_->objects[after.kind->index].each_from(from, visitor(*after.kind, visit, ""));
}

std::uint64_t Snapshot::counter(std::string_view name) const {
  const auto* entry = state_->counters.find(name);
  return entry ? entry->value : 0;
}
std::int64_t Snapshot::counter_revision(std::string_view name) const {
  const auto* entry = state_->counters.find(name);
  return entry ? entry->mod_revision : 0;
}

std::vector<std::string> Snapshot::index_dump() const {
  std::vector<std::string> out;
  for (std::size_t table = 0; table < kTables; ++table)
    state_->index[table].each([&](const std::string& key, const None&) {
      out.push_back(fmt::format("{} {}", table, key));
    });
  return out;
}

}  // namespace penstock
