// The store of simulated worlds: in memory, on simulated time, with the dice in charge of what goes
// wrong.
//
// SimDisk is the durable part and outlives crashes; SimStore is the program's side of it and dies
// with the program's SimRuntime (destroy the store first). What was acknowledged is on the disk:
// that is never lost.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/runtime.h"
#include "store/store.h"
#include "store/watch_hub.h"

namespace penstock {

// What may go wrong and how often (probabilities 0 to 1). May be changed at any time. The standard:
// nothing but time.
struct SimStoreFaults {
  Duration commit_min = std::chrono::microseconds(200);  // time of one group commit ...
  Duration commit_max = std::chrono::milliseconds(2);    // ... drawn evenly
  double slow = 0;  // of a group commit to take slow_time on top
  Duration slow_time = std::chrono::seconds(2);
  double unknown = 0;        // of a group commit to end Unknown; then it is in or not, evenly
  double watch_broken = 0;   // of a group commit to break all watches
  bool disk_full = false;    // commits that change something fail with kResourceExhausted
  bool unavailable = false;  // commits and reads fail with kUnavailable
};

class SimDisk {
 public:
  // The incarnation comes from the world's dice.
  explicit SimDisk(std::string incarnation) : incarnation_(std::move(incarnation)) {}

  SimStoreFaults faults;

  const std::string& incarnation() const { return incarnation_; }
  Revision latest() const { return latest_; }
  Revision compacted() const { return compacted_; }
  // The state, for invariants that a simulation checks from outside.
  const std::map<std::string, KeyValue>& state() const { return state_; }
  // What led there, by revision, as far back as it is kept.
  const std::map<Revision, WatchEvents>& log() const { return log_; }

  // As open_sqlite_store does with StoreLife::kNew; no store may be on it.
  void begin_life(std::string incarnation) { incarnation_ = std::move(incarnation); }

  // Forgets history up to and including `revision` (at most the latest but one). Watches that need
  // it will end.
  void compact(Revision revision);

 private:
  friend class SimStore;
  TxnOutcome apply(const Txn&, std::vector<WatchEvents>& events);
  WatchHistory history(Revision from) const;

  std::string incarnation_;
  Revision latest_, compacted_;
  std::map<std::string, KeyValue> state_;
  std::map<Revision, WatchEvents> log_;
  std::map<std::string, Revision> requests_;
  std::map<Revision, std::string> request_of_;  // the same the other way round, for compaction
};

class SimStore final : public Store {
 public:
  SimStore(Runtime&, SimDisk&);
  ~SimStore() override;

  const std::string& incarnation() const override { return disk_.incarnation(); }
  void commit(std::vector<Txn> batch, CommitDone done) override;
  void read(std::string key, ReadDone done) override;
  void scan(std::string prefix, ScanDone done) override;
  WatchId watch(std::string prefix, Revision from, WatchSink sink) override;
  void cancel(WatchId id) override { hub_.cancel(id); }

  // Ends all watches, as a lost connection does.
  void break_watches();

 private:
  struct CommitJob {
    std::vector<Txn> batch;
    std::vector<TxnOutcome>
        outcomes;  // of transactions that broke a limit; the others' places are filled later
    std::vector<bool> refused;
    CommitDone done;
  };
  using Group = std::vector<CommitJob>;

  void start_group();
  void write(Group);
  bool chance(double probability);
  Duration between(Duration low, Duration high);
  // A timer that dies with the store.
  void after(Duration, Task);
  // Runs the task after a moment that is drawn, never before answers given earlier.
  void answer(Task);

  Runtime& runtime_;
  SimDisk& disk_;
  WatchHub hub_;
  Group queue_;
  bool writing_ = false;
  MonoTime last_answer_{};
  std::set<TimerId> timers_;  // cancelled when the store is destroyed before its runtime
};

}  // namespace penstock
