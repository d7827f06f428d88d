// What every store backend has to pass. A backend's test names the sources conformance_*_test.cc
// among its own, makes a StoreWorld around the backend and instantiates:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, testing::Values(&make_sqlite_world));
// The suite only uses what store.h promises; revisions are counted from where the fresh store
// begins.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/runtime.h"
#include "store/store.h"

namespace penstock {

// A store on a fresh medium, and the strand it runs on.
class StoreWorld {
 public:
  virtual ~StoreWorld() = default;
  virtual Store& store() = 0;
  // Runs the strand until `done` holds; false: it did not within some ten seconds of the world's
  // time.
  virtual bool run_until(const std::function<bool()>& done) = 0;
  // Lets `duration` of the world's time pass.
  virtual void run_for(Duration) = 0;
  // The program goes down, between two tasks, and comes up again on the same medium.
  virtual void restart() = 0;
};
using StoreWorldFactory = std::unique_ptr<StoreWorld> (*)(const Tunables&);

// Shorthand for tests.
Txn::Op put(std::string key, std::string value);
Txn::Op del(std::string key);
Txn txn(std::vector<Txn::Op> ops, std::vector<Txn::Compare> compares = {},
        std::string request_id = {});

// A watch and all it was told.
struct Watcher {
  WatchId id;
  std::vector<WatchUpdate> updates;

  std::vector<KeyEvent> events() const;
  // Everything up to `revision` has arrived, by events or bookmark.
  bool has_reached(Revision) const;
  bool ended() const;
};

class StoreConformance : public testing::TestWithParam<StoreWorldFactory> {
 protected:
  // Replaces the world by a fresh one. Without this a test has one with standard tunables.
  void fresh(const Tunables& tunables) { world_ = GetParam()(tunables); }
  StoreWorld& world();
  Store& store() { return world().store(); }

  // Each runs the strand until the answer is there.
  std::vector<TxnOutcome> commit(std::vector<Txn> batch);
  TxnOutcome commit(Txn one);
  Revision committed(Txn one);  // fails the test when it was not
  std::optional<KeyValue> read(std::string key);
  ScanAnswer scan(std::string prefix = {});
  Revision revision() { return scan("none such").revision; }

  std::shared_ptr<Watcher> watch(std::string prefix, Revision from);
  testing::AssertionResult reaches(const Watcher&, Revision);

  // 60 batches of random transactions, restarts and scans, on a fresh store with that much history.
  void run_against_model(std::uint64_t seed, std::int64_t history);

 private:
  std::unique_ptr<StoreWorld> world_;
};

Revision operator+(Revision, std::int64_t);
std::ostream& operator<<(std::ostream&, const TxnOutcome&);

}  // namespace penstock
