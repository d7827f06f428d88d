#include "store/conformance.h"

#include <utility>

namespace penstock {

Txn::Op put(std::string key, std::string value) {
  return Txn::Put{std::move(key), std::move(value)};
}
Txn::Op del(std::string key) {
  return Txn::Delete{std::move(key)};
}
Txn txn(std::vector<Txn::Op> ops, std::vector<Txn::Compare> compares, std::string request_id) {
  return {std::move(compares), std::move(ops), std::move(request_id)};
}

Revision operator+(Revision revision, std::int64_t more) {
  return Revision{revision.value + more};
}

std::ostream& operator<<(std::ostream& out, const TxnOutcome& outcome) {
  if (const auto* it = std::get_if<Committed>(&outcome))
    return out << "committed " << it->revision.value;
  if (const auto* it = std::get_if<Conflict>(&outcome))
    return out << "conflict in compare " << it->compare;
  if (const auto* it = std::get_if<Unknown>(&outcome))
    return out << "unknown: " << it->error.text();
  return out << "error: " << std::get<Error>(outcome).text();
}

std::vector<KeyEvent> Watcher::events() const {
  std::vector<KeyEvent> all;
  for (const auto& update : updates)
    if (const auto* some = std::get_if<WatchEvents>(&update))
      all.insert(all.end(), some->events.begin(), some->events.end());
  return all;
}

bool Watcher::has_reached(Revision revision) const {
  if (updates.empty()) return false;
  if (const auto* events = std::get_if<WatchEvents>(&updates.back()))
    return events->revision >= revision;
  if (const auto* mark = std::get_if<WatchBookmark>(&updates.back()))
    return mark->revision >= revision;
  return false;
}

bool Watcher::ended() const {
  return !updates.empty() && (std::holds_alternative<WatchCompacted>(updates.back()) ||
                              std::holds_alternative<WatchBroken>(updates.back()));
}

StoreWorld& StoreConformance::world() {
  if (!world_) fresh({});
  return *world_;
}

namespace {

// An answer on its way: outlives a test that gave up waiting.
template <typename T>
struct Pending {
  std::shared_ptr<std::optional<T>> slot = std::make_shared<std::optional<T>>();
  auto done() const {
    return [slot = slot](T answer) {
      EXPECT_FALSE(*slot) << "a callback was called twice";
      *slot = std::move(answer);
    };
  }
  T wait(StoreWorld& world) {
    EXPECT_FALSE(*slot) << "answered within the call";
    if (world.run_until([&] { return slot->has_value(); })) return std::move(**slot);
    ADD_FAILURE() << "no answer";
    return T();
  }
};

}  // namespace

std::vector<TxnOutcome> StoreConformance::commit(std::vector<Txn> batch) {
  const auto size = batch.size();
  Pending<std::vector<TxnOutcome>> answer;
  store().commit(std::move(batch), answer.done());
  auto outcomes = answer.wait(world());
  EXPECT_EQ(outcomes.size(), size);
  outcomes.resize(size);
  return outcomes;
}

TxnOutcome StoreConformance::commit(Txn one) {
  std::vector<Txn> batch;
  batch.push_back(std::move(one));
  return commit(std::move(batch)).front();
}

Revision StoreConformance::committed(Txn one) {
  const auto outcome = commit(std::move(one));
  if (const auto* it = std::get_if<Committed>(&outcome)) return it->revision;
  ADD_FAILURE() << outcome;
  return {};
}

std::optional<KeyValue> StoreConformance::read(std::string key) {
  Pending<Result<ReadAnswer>> answer;
  store().read(std::move(key), answer.done());
  auto result = answer.wait(world());
  EXPECT_TRUE(result) << result.error().text();
  return result ? result->found : std::nullopt;
}

ScanAnswer StoreConformance::scan(std::string prefix) {
  Pending<Result<ScanAnswer>> answer;
  store().scan(std::move(prefix), answer.done());
  auto result = answer.wait(world());
  EXPECT_TRUE(result) << result.error().text();
  return result ? *result : ScanAnswer{};
}

std::shared_ptr<Watcher> StoreConformance::watch(std::string prefix, Revision from) {
  auto watcher = std::make_shared<Watcher>();
  watcher->id = store().watch(std::move(prefix), from, [watcher](const WatchUpdate& update) {
    EXPECT_FALSE(watcher->ended()) << "an update after the end";
    watcher->updates.push_back(update);
  });
  EXPECT_TRUE(watcher->updates.empty()) << "told within the call";
  return watcher;
}

testing::AssertionResult StoreConformance::reaches(const Watcher& watcher, Revision revision) {
  if (world().run_until([&] { return watcher.has_reached(revision); }))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the watch did not reach revision " << revision.value;
}

}  // namespace penstock
