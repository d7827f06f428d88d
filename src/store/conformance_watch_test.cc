// Conformance: watches.
#include "store/conformance.h"

namespace penstock {
namespace {

using Events = std::vector<KeyEvent>;

TEST_P(StoreConformance, AWatchOnOldRevisionsGetsHistoryThenABookmark) {
  const auto base = revision();
  committed(txn({put("a", "1"), put("b", "2")}));
  committed(txn({put("a", "3")}));
  committed(txn({del("b")}));
  const auto all = watch("", base + 1);
  ASSERT_TRUE(reaches(*all, base + 3));
  EXPECT_EQ(
      all->updates,
      (std::vector<WatchUpdate>{
          WatchEvents{base + 1, {{"a", "1", base + 1, base + 1}, {"b", "2", base + 1, base + 1}}},
          WatchEvents{base + 2, {{"a", "3", base + 1, base + 2}}},
          WatchEvents{base + 3, {{"b", std::nullopt, Revision{0}, base + 3}}},
          WatchBookmark{base + 3}}));
  const auto later = watch("a", base + 2);
  ASSERT_TRUE(reaches(*later, base + 3));
  EXPECT_EQ(later->events(), (Events{{"a", "3", base + 1, base + 2}}));
}

TEST_P(StoreConformance, AWatchIsFedByCommits) {
  const auto base = revision();
  const auto watcher = watch("vm/", base + 1);
  ASSERT_TRUE(reaches(*watcher, base));
  EXPECT_EQ(watcher->updates, (std::vector<WatchUpdate>{WatchBookmark{base}}));
  committed(txn({put("vm/1", "x"), put("net/1", "y"), put("vm/2", "z")}));
  committed(txn({put("net/2", "")}));
  committed(txn({del("vm/1"), del("vm/9")}));
  ASSERT_TRUE(reaches(*watcher, base + 3));
  EXPECT_EQ(watcher->events(), (Events{{"vm/1", "x", base + 1, base + 1},
                                       {"vm/2", "z", base + 1, base + 1},
                                       {"vm/1", std::nullopt, Revision{0}, base + 3}}));
}

TEST_P(StoreConformance, ABatchShowsItsRevisionsOneByOne) {
  const auto base = revision();
  const auto watcher = watch("", base + 1);
  std::vector<Txn> batch;
  for (int i = 0; i < 5; ++i) batch.push_back(txn({put("a", std::to_string(i)), put("b", "")}));
  commit(std::move(batch));
  ASSERT_TRUE(reaches(*watcher, base + 5));
  std::int64_t next = base.value + 1;
  for (const auto& update : watcher->updates)
    if (const auto* events = std::get_if<WatchEvents>(&update)) {
      EXPECT_EQ(events->revision.value, next++);
      EXPECT_EQ(events->events.size(), 2u);
    }
  EXPECT_EQ(next, base.value + 6);
}

TEST_P(StoreConformance, AWatchFromTheFutureWaitsForIt) {
  const auto base = revision();
  const auto watcher = watch("", base + 3);
  for (int i = 1; i <= 4; ++i) committed(txn({put("a", std::to_string(i))}));
  ASSERT_TRUE(reaches(*watcher, base + 4));
  EXPECT_EQ(watcher->events(),
            (Events{{"a", "3", base + 1, base + 3}, {"a", "4", base + 1, base + 4}}));
}

TEST_P(StoreConformance, WatchesStartedAmongCommitsHaveNeitherHolesNorDoubles) {
  const auto base = revision();
  std::vector<std::shared_ptr<Watcher>> watchers;
  int answered = 0;
  for (int i = 0; i < 60; ++i) {
    store().commit({txn({put("k" + std::to_string(i % 7), std::to_string(i))})},
                   [&](std::vector<TxnOutcome>) { ++answered; });
    if (i % 5 == 0) watchers.push_back(watch("", base + 1 + i / 2));
    if (i % 13 == 0) world().run_until([&, goal = i / 2] { return answered >= goal; });
  }
  for (std::size_t i = 0; i < watchers.size(); ++i) {
    ASSERT_TRUE(reaches(*watchers[i], base + 60));
    auto next = base + 1 + static_cast<std::int64_t>(i) * 5 / 2;
    for (const auto& event : watchers[i]->events()) {
      EXPECT_EQ(event.mod_revision, next);
      next = next + 1;
    }
    EXPECT_EQ(next, base + 61);
  }
  EXPECT_TRUE(world().run_until([&] { return answered == 60; }));
}

TEST_P(StoreConformance, BookmarksNeverFallAndSayTheTruth) {
  const auto base = revision();
  const auto watcher = watch("a", base + 1);
  for (int i = 0; i < 20; ++i) committed(txn({put(i % 3 == 0 ? "a" : "b", "")}));
  ASSERT_TRUE(world().run_until([&] { return watcher->events().size() == 7; }));
  Revision known{0};
  for (const auto& update : watcher->updates) {
    if (const auto* mark = std::get_if<WatchBookmark>(&update)) {
      EXPECT_GE(mark->revision, known);
      known = mark->revision;
    } else {
      EXPECT_GT(std::get<WatchEvents>(update).revision, known)
          << "after a bookmark that had passed it";
      known = std::get<WatchEvents>(update).revision;
    }
  }
}

TEST_P(StoreConformance, ACancelledWatchIsSilent) {
  const auto base = revision();
  const auto never_started = watch("", base + 1);
  store().cancel(never_started->id);
  const auto other = watch("", base + 1);
  const auto watcher = watch("", base + 1);
  committed(txn({put("a", "1")}));
  ASSERT_TRUE(reaches(*watcher, base + 1));
  store().cancel(watcher->id);
  store().cancel(watcher->id);
  store().cancel(WatchId{987654});
  committed(txn({put("a", "2")}));
  ASSERT_TRUE(reaches(*other, base + 2));
  EXPECT_TRUE(never_started->updates.empty());
  EXPECT_FALSE(watcher->has_reached(base + 2));
}

TEST_P(StoreConformance, ASinkMayCancelItselfWatchAndCommit) {
  const auto base = revision();
  int calls = 0;
  bool second_saw_it = false;
  WatchId id;
  id = store().watch("a", base + 1, [&](const WatchUpdate& update) {
    if (!std::holds_alternative<WatchEvents>(update)) return;
    ++calls;
    store().cancel(id);
    store().watch("b", base + 1, [&](const WatchUpdate& inner) {
      if (std::holds_alternative<WatchEvents>(inner)) second_saw_it = true;
    });
    store().commit({txn({put("b", "")})}, [](std::vector<TxnOutcome>) {});
  });
  std::vector<Txn> batch;
  for (int i = 0; i < 3; ++i) batch.push_back(txn({put("a", std::to_string(i))}));
  commit(std::move(batch));
  EXPECT_TRUE(world().run_until([&] { return second_saw_it; }));
  EXPECT_EQ(calls, 1);
}

TEST_P(StoreConformance, HistoryIsKeptAndThenCompacted) {
  Tunables tunables;
  tunables.store_history_revisions = 16;
  fresh(tunables);
  const auto base = revision();
  committed(txn({put("old", "kept")}));
  committed(txn({put("gone", "")}));
  for (int i = 0; i < 198; ++i)
    committed(txn({put("k" + std::to_string(i % 3), std::to_string(i))}));
  EXPECT_EQ(committed(txn({del("gone"), put("old", "anew")})), base + 201);
  const auto last = committed(txn({put("k0", "last")}));

  const auto too_old = watch("", base + 1);
  ASSERT_TRUE(world().run_until([&] { return too_old->ended(); }));
  ASSERT_EQ(too_old->updates.size(), 1u);
  const auto compacted = std::get<WatchCompacted>(too_old->updates[0]).compacted;
  EXPECT_GT(compacted, base);
  EXPECT_LE(compacted, last + -16) << "the last 16 revisions are history";

  const auto oldest = watch("", compacted + 1);
  ASSERT_TRUE(reaches(*oldest, last));
  auto next = compacted + 1;
  for (const auto& update : oldest->updates)
    if (const auto* events = std::get_if<WatchEvents>(&update)) {
      EXPECT_EQ(events->revision, next);
      next = next + 1;
    }
  EXPECT_EQ(next, last + 1);
  EXPECT_EQ(read("old"), (KeyValue{"old", "anew", base + 1, base + 201}))
      << "state is never compacted";
  world().restart();
  EXPECT_EQ(scan().found.size(), 4u);
  const auto after = watch("", base + 1);
  ASSERT_TRUE(world().run_until([&] { return after->ended(); }));
}

TEST_P(StoreConformance, AWatchGoesOnFromItsRevisionAfterARestart) {
  const auto base = revision();
  committed(txn({put("a", "1")}));
  const auto before = watch("", base + 1);
  ASSERT_TRUE(reaches(*before, base + 1));
  const auto told = before->updates.size();
  committed(txn({put("a", "2")}));
  world().restart();
  const auto after = watch("", base + 2);
  committed(txn({put("a", "3")}));
  ASSERT_TRUE(reaches(*after, base + 3));
  EXPECT_EQ(after->events(),
            (Events{{"a", "2", base + 1, base + 2}, {"a", "3", base + 1, base + 3}}));
  EXPECT_LE(before->updates.size(), told + 1) << "told after the restart";
}

}  // namespace
}  // namespace penstock
