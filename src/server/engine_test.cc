#include "server/engine.h"

#include <gtest/gtest.h>

#include "base/sim_runtime.h"
#include "store/sim/sim_store.h"

namespace penstock {
namespace {

MessagePtr tenant(const std::string& name, const std::string& text = "") {
  auto object = std::make_shared<v1::Tenant>();
  object->mutable_metadata()->set_name(name);
  object->mutable_spec()->set_display_name(text);
  return object;
}
ObjectKey key(const std::string& name) {
  return ObjectKey::of<v1::Tenant>("", name);
}

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() { boot(); }

  void boot() {
    engine.reset();
    store.reset();
    runtime = std::make_unique<SimRuntime>(clock, tunables);
    store = std::make_unique<SimStore>(*runtime, disk);
    engine = std::make_unique<Engine>(*runtime, log, *store);
    engine->on_published = [this](const Publication& p) {
      published.push_back(p.after.revision());
    };
    bool up = false;
    engine->start([&](Status status) { up = status.has_value(); });
    run();
    EXPECT_TRUE(up);
  }
  void run() { clock.run_until(clock.now() + std::chrono::seconds(30)); }

  using Outcomes = std::vector<Result<ItemOutcome>>;
  std::shared_ptr<Outcomes> submit(std::vector<std::vector<Edit>> items, std::string id = "",
                                   bool atomic = false, bool divisible = false) {
    auto outcomes = std::make_shared<Outcomes>();
    Engine::Request request;
    request.request_id = std::move(id);
    request.atomic = atomic;
    for (auto& edits : items)
      request.items.push_back([edits, divisible, this](const Snapshot&) -> Result<Planned> {
        ++plans;
        return Planned{edits, divisible};
      });
    request.done = [outcomes](Outcomes answer) { *outcomes = std::move(answer); };
    engine->submit(std::move(request));
    return outcomes;
  }

  SimClock clock{1};
  SimDisk disk{"life"};
  Tunables tunables;
  NullLog log;
  std::unique_ptr<SimRuntime> runtime;
  std::unique_ptr<SimStore> store;
  std::unique_ptr<Engine> engine;
  std::vector<std::int64_t> published;
  int plans = 0;
};

TEST_F(EngineTest, CommitsPublishesAndAnswers) {
  const auto answer = submit({{Edit::put(tenant("a"))}});
  run();
  ASSERT_EQ(answer->size(), 1u);
  ASSERT_TRUE(answer->at(0));
  EXPECT_TRUE(answer->at(0)->committed);
  EXPECT_EQ(answer->at(0)->revision, engine->head().revision());
  EXPECT_EQ(engine->head().mod_revision(key("a")), answer->at(0)->revision);
  EXPECT_EQ(disk.latest().value, engine->head().revision());
  EXPECT_EQ(published, std::vector{answer->at(0)->revision});
}

TEST_F(EngineTest, LaterPlansSeeEarlierOnesOfTheSameBatch) {
  bool seen = false;
  submit({{Edit::put(tenant("a"))}});
  Engine::Request second;
  second.items.push_back([&](const Snapshot& snapshot) -> Result<Planned> {
    seen = snapshot.find<v1::Tenant>("a") != nullptr;
    return Planned{};
  });
  bool done = false;
  second.done = [&](Outcomes outcomes) { done = outcomes[0] && !outcomes[0]->committed; };
  engine->submit(std::move(second));
  run();
  EXPECT_TRUE(seen);
  EXPECT_TRUE(done);
}

TEST_F(EngineTest, SurvivesRestart) {
  submit({{Edit::put(tenant("a"))}});
  run();
  const auto epoch = engine->epoch();
  const auto revision = engine->head().mod_revision(key("a"));
  boot();
  EXPECT_EQ(engine->epoch(), epoch + 1);
  EXPECT_EQ(engine->head().mod_revision(key("a")), revision);
}

TEST_F(EngineTest, ARequestIdIsDoneOnceAcrossARestart) {
  const auto first = submit({{Edit::put(tenant("a", "1"))}}, "admin/x");
  run();
  boot();
  const auto again = submit({{Edit::put(tenant("a", "2"))}}, "admin/x");
  // Planned on what the repetition did not do: it must be planned again on what is true.
  Engine::Request after;
  after.items.push_back([](const Snapshot& snapshot) -> Result<Planned> {
    const auto seen = snapshot.find<v1::Tenant>("a")->spec().display_name();
    return Planned{{Edit::put(tenant("b", seen))}, false};
  });
  bool committed = false;
  after.done = [&](Outcomes outcomes) { committed = outcomes[0] && outcomes[0]->committed; };
  engine->submit(std::move(after));
  run();
  ASSERT_TRUE(again->at(0));
  EXPECT_TRUE(again->at(0)->replayed);
  EXPECT_EQ(again->at(0)->revision, first->at(0)->revision);
  EXPECT_EQ(engine->head().find<v1::Tenant>("a")->spec().display_name(), "1");
  EXPECT_TRUE(committed);
  EXPECT_EQ(engine->head().find<v1::Tenant>("b")->spec().display_name(), "1");
  EXPECT_EQ(disk.latest().value, engine->head().revision());
}

TEST_F(EngineTest, AFullDiskIsAnErrorAndNothingIsLost) {
  submit({{Edit::put(tenant("a"))}});
  run();
  disk.faults.disk_full = true;
  const auto refused = submit({{Edit::put(tenant("b"))}});
  const auto also = submit({{Edit::put(tenant("c"))}});
  run();
  ASSERT_FALSE(refused->at(0));
  EXPECT_EQ(refused->at(0).error().code, Code::kResourceExhausted);
  ASSERT_FALSE(also->at(0));
  EXPECT_EQ(also->at(0).error().code, Code::kResourceExhausted);
  EXPECT_FALSE(engine->head().find<v1::Tenant>("b"));
  disk.faults.disk_full = false;
  const auto later = submit({{Edit::put(tenant("b"))}});
  run();
  ASSERT_TRUE(later->at(0));
  EXPECT_TRUE(engine->head().find<v1::Tenant>("a"));
  EXPECT_TRUE(engine->head().find<v1::Tenant>("b"));
}

TEST_F(EngineTest, UnknownOutcomesAreResolved) {
  disk.faults.unknown = 0.5;
  std::vector<std::shared_ptr<Outcomes>> answers;
  for (int i = 0; i < 40; ++i) {
    answers.push_back(submit({{Edit::put(tenant(fmt::format("t{}", i)))}}));
    if (i % 3 == 0) run();
  }
  run();
  for (const auto& answer : answers) {
    ASSERT_EQ(answer->size(), 1u);
    EXPECT_TRUE(answer->at(0)) << answer->at(0).error().text();
  }
  EXPECT_EQ(engine->head().count(kind_of<v1::Tenant>()), 40u);
  EXPECT_EQ(disk.latest().value, engine->head().revision());
}

TEST_F(EngineTest, AFullDiskWhileAnUnknownOutcomeIsAskedForDoesNotMakeItAFailure) {
  for (int i = 0; i < 10; ++i) {
    disk.faults.unknown = 1;
    const auto answer = submit({{Edit::put(tenant(fmt::format("t{}", i)))}});
    clock.run_until(clock.now() + std::chrono::milliseconds(20));
    disk.faults.unknown = 0;
    disk.faults.disk_full = true;
    clock.run_until(clock.now() + std::chrono::milliseconds(500));
    EXPECT_TRUE(answer->empty()) << "whether it is in cannot be known yet";
    disk.faults.disk_full = false;
    run();
    ASSERT_EQ(answer->size(), 1u);
    EXPECT_TRUE(answer->at(0)) << answer->at(0).error().text();
    EXPECT_EQ(engine->head().revision(), disk.latest().value);
  }
}

TEST_F(EngineTest, AnotherServerTakesOver) {
  SimRuntime other_runtime(clock, tunables);
  SimStore other_store(other_runtime, disk);
  Engine other(other_runtime, log, other_store);
  other.start([](Status) {});
  run();
  const auto answer = submit({{Edit::put(tenant("a"))}});
  run();
  ASSERT_EQ(answer->size(), 1u);
  ASSERT_FALSE(answer->at(0));
  EXPECT_EQ(answer->at(0).error().code, Code::kUnavailable);
  EXPECT_FALSE(disk.state().contains("/penstock/v1/tenants/-/a"));
}

TEST_F(EngineTest, LargeRequestsAreSpreadOverTransactions) {
  std::vector<std::vector<Edit>> items;
  for (int i = 0; i < 250; ++i)
    items.push_back({Edit::put(tenant(fmt::format("t{:03}", i))), Edit::set({"n", 7u + i})});
  const auto answer = submit(std::move(items));
  run();
  ASSERT_EQ(answer->size(), 250u);
  for (const auto& one : *answer) ASSERT_TRUE(one);
  // 99 objects and the counter fit one transaction.
  EXPECT_EQ(published.size(), 3u);
  EXPECT_EQ(engine->head().count(kind_of<v1::Tenant>()), 250u);
  EXPECT_EQ(engine->head().counter("n"), 7u + 249);
}

TEST_F(EngineTest, AtomicIsAllOrNothing) {
  std::vector<std::vector<Edit>> items;
  for (int i = 0; i < 101; ++i) items.push_back({Edit::put(tenant(fmt::format("t{:03}", i)))});
  const auto too_many = submit(items, "", true);
  items.pop_back();
  run();
  ASSERT_EQ(too_many->size(), 101u);
  for (const auto& one : *too_many) EXPECT_FALSE(one);
  EXPECT_EQ(engine->head().count(kind_of<v1::Tenant>()), 0u);
  const auto fits = submit(items, "", true);
  run();
  for (const auto& one : *fits) EXPECT_TRUE(one);
  EXPECT_EQ(published.size(), 1u);
}

TEST_F(EngineTest, OneThingIsDividedOnlyWhenItMayBe) {
  std::vector<Edit> edits;
  for (int i = 0; i < 150; ++i) edits.push_back(Edit::put(tenant(fmt::format("t{:03}", i))));
  const auto whole = submit({edits});
  run();
  ASSERT_FALSE(whole->at(0));
  EXPECT_EQ(whole->at(0).error().code, Code::kInvalidArgument);
  const auto divided = submit({edits}, "", false, true);
  run();
  ASSERT_TRUE(divided->at(0));
  EXPECT_EQ(divided->at(0)->revision, divided->at(0)->first_revision + 1);
}

}  // namespace
}  // namespace penstock
