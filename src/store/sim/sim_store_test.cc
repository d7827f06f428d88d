// SimStore passes the conformance suite, and fails in the ways it is told to.
#include "store/sim/sim_store.h"

#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/sim_runtime.h"
#include "store/conformance.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

class SimWorld final : public StoreWorld {
 public:
  explicit SimWorld(const Tunables& tunables, std::uint64_t seed = 7)
      : tunables_(tunables), clock_(seed), disk_(fresh_incarnation()) {
    boot();
  }
  Store& store() override { return *store_; }
  bool run_until(const std::function<bool()>& done) override {
    const auto deadline = clock_.now() + 10s;
    while (!done())
      if (clock_.now() > deadline || !clock_.step()) return false;
    return true;
  }
  void run_for(Duration duration) override { clock_.run_until(clock_.now() + duration); }
  void restart() override {
    store_.reset();
    runtime_.reset();
    boot();
  }
  SimStore& sim() { return *store_; }
  SimDisk& disk() { return disk_; }
  Runtime& runtime() { return *runtime_; }

 private:
  void boot() {
    runtime_.emplace(clock_, tunables_);
    store_.emplace(*runtime_, disk_);
  }
  // Worlds that exist at the same time are different stores.
  std::string fresh_incarnation() const {
    return fmt::format("{:032x}", reinterpret_cast<std::uintptr_t>(this));
  }

  Tunables tunables_;
  SimClock clock_;
  SimDisk disk_;
  std::optional<SimRuntime> runtime_;
  std::optional<SimStore> store_;
};

std::unique_ptr<StoreWorld> make_sim_world(const Tunables& tunables) {
  return std::make_unique<SimWorld>(tunables);
}
INSTANTIATE_TEST_SUITE_P(Sim, StoreConformance, testing::Values(&make_sim_world));

TxnOutcome commit(SimWorld& world, Txn one) {
  std::optional<TxnOutcome> outcome;
  world.store().commit({std::move(one)},
                       [&](std::vector<TxnOutcome> outcomes) { outcome = outcomes.at(0); });
  EXPECT_TRUE(world.run_until([&] { return outcome.has_value(); }));
  return outcome.value_or(TxnOutcome());
}

TEST(SimStore, UnknownIsInOrNotAndARetryTells) {
  SimWorld world({});
  world.disk().faults.unknown = 1;
  int in = 0;
  for (int i = 0; i < 100; ++i) {
    const auto id = "r" + std::to_string(i);
    const auto before = world.disk().latest();
    EXPECT_TRUE(std::holds_alternative<Unknown>(commit(world, txn({put("a", id)}, {}, id))));
    const bool is_in = world.disk().latest() != before;
    in += is_in;
    world.disk().faults.unknown = 0;
    EXPECT_EQ(commit(world, txn({put("a", id)}, {}, id)), TxnOutcome(Committed{before + 1}));
    EXPECT_EQ(world.disk().latest(), before + 1);
    world.disk().faults.unknown = 1;
  }
  EXPECT_GT(in, 20);
  EXPECT_LT(in, 80);
}

TEST(SimStore, AFullDiskPasses) {
  SimWorld world({});
  world.disk().faults.disk_full = true;
  const auto outcome = commit(world, txn({put("a", "1")}));
  ASSERT_TRUE(std::holds_alternative<Error>(outcome));
  EXPECT_EQ(std::get<Error>(outcome).code, Code::kResourceExhausted);
  EXPECT_TRUE(world.disk().state().empty());
  world.disk().faults.disk_full = false;
  EXPECT_EQ(commit(world, txn({put("a", "1")})), TxnOutcome(Committed{Revision{1}}));
}

TEST(SimStore, SlowCommitsGatherTheNextGroup) {
  SimWorld world({});
  world.disk().faults.slow = 1;
  const auto start = world.runtime().now();
  commit(world, txn({put("a", "1")}));
  int answered = 0;
  for (int i = 0; i < 100; ++i)
    world.store().commit({txn({put("a", "2")})}, [&](std::vector<TxnOutcome>) { ++answered; });
  EXPECT_TRUE(world.run_until([&] { return answered == 100; }));
  EXPECT_LT(world.runtime().now() - start, 10s) << "each alone would take 2 s";
}

TEST(SimStore, WatchesBreakAndAreCompactedOnOrder) {
  SimWorld world({});
  std::vector<WatchUpdate> updates;
  const auto sink = [&](const WatchUpdate& update) { updates.push_back(update); };
  world.store().watch("", Revision{1}, sink);
  for (int i = 0; i < 5; ++i) commit(world, txn({put("a", "1")}));
  world.disk().faults.watch_broken = 1;
  commit(world, txn({put("a", "1")}));
  ASSERT_TRUE(world.run_until(
      [&] { return !updates.empty() && std::holds_alternative<WatchBroken>(updates.back()); }));
  world.disk().compact(Revision{3});
  updates.clear();
  world.store().watch("", Revision{3}, sink);
  ASSERT_TRUE(world.run_until([&] { return !updates.empty(); }));
  EXPECT_EQ(updates.back(), WatchUpdate(WatchCompacted{Revision{3}}));
}

TEST(SimStore, CrashesAtAnyMomentLoseNothingAcknowledged) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SimWorld world({}, seed);
    SimRandom dice(seed);
    int handed_over = 0;
    std::set<std::string> acknowledged;
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < 5; ++i) {
        const auto key = "n" + std::to_string(++handed_over);
        world.store().commit({txn({put(key, "")})}, [&, key](std::vector<TxnOutcome> outcomes) {
          ASSERT_TRUE(std::holds_alternative<Committed>(outcomes.at(0)));
          acknowledged.insert(key);
        });
      }
      world.run_for(std::chrono::microseconds(dice.below(3'000)));
      world.restart();
      for (const auto& key : acknowledged)
        ASSERT_TRUE(world.disk().state().contains(key)) << "seed " << seed;
    }
    EXPECT_FALSE(acknowledged.empty()) << "the dice never let a commit through";
  }
}

}  // namespace
}  // namespace penstock
