// The one place where the inventory changes. The engine owns the head Snapshot; requests queue up;
// when the store is idle all of them are planned one after the other on a working snapshot (each
// plan sees those before it), committed as one batch (group commit), published, and answered.
//
// Why nothing can slip in between plan and commit: every transaction compares two keys. One is the
// epoch, a number that each server raises at its start, so a server that was replaced cannot write
// any more. The other is the *witness*: the first key the transaction before it wrote, at the
// revision foreseen for it. So transactions form a chain; if one has no effect (disk full, a
// request id that was committed before), those after it conflict and are planned again on what is
// true.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics_text.h"
#include "base/runtime.h"
#include "model/snapshot.h"
#include "penstock/v1/host.pb.h"
#include "store/store.h"

namespace penstock {

// What one part of a request wants to change, planned on a snapshot.
struct Planned {
  std::vector<Edit> edits;  // empty: nothing to do
  // May be spread over several transactions when one is too small. Every prefix of the edits must
  // then be a consistent state by itself (a cascade deletes dependents first).
  bool divisible = false;
};

struct ItemOutcome {
  std::int64_t revision =
      0;  // of its (last) transaction; nothing to do: of the state it was planned on
  std::int64_t first_revision = 0;  // differs when it was divided
  bool committed = false;           // false: nothing to do
  bool replayed = false;            // this request id was committed before, at `revision`
};

// One transaction that has been committed.
struct Publication {
  const Snapshot& before;
  const Snapshot& after;
  std::span<const Edit> edits;
};

class Engine {
 public:
  // Pure apart from what the caller hangs on it; called again when what it was planned on did not
  // come to pass.
  using Plan = std::move_only_function<Result<Planned>(const Snapshot&)>;
  struct Request {
    // Names the request in the store, so that it is done once even across a restart. Protects
    // requests that fit one transaction; larger ones are safe to repeat because every item says
    // what shall be, not what to do.
    std::string request_id;
    std::vector<Plan> items;
    bool atomic = false;  // one transaction for all items, or none
    // Called when it goes to the store, with what is foreseen then; again when it was planned anew.
    std::move_only_function<void(const std::vector<Result<ItemOutcome>>&)> foreseen;
    std::move_only_function<void(std::vector<Result<ItemOutcome>>)> done;
  };

  Engine(Runtime&, Log&, Store&);

  // Loads the inventory, raises the epoch; then requests are served (they may be queued before).
  // The callback runs when that is done, or with the error that keeps it from being done.
  void start(std::move_only_function<void(Status)> done);

  // Called for each committed transaction in order; then `settled` once a batch, before the answers
  // are given.
  std::function<void(const Publication&)> on_published;
  std::function<void()> on_settled;

  // kUnavailable when another server has taken over or start() failed.
  void submit(Request);

  const Snapshot& head() const { return head_; }
  bool serving() const { return phase_ == Phase::kServing; }
  v1::Position position() const;
  std::int64_t epoch() const { return epoch_; }
  // From a batch handed to the store to its outcome.
  const Histogram& commit_latency() const { return commit_latency_; }

 private:
  enum class Phase { kLoading, kServing, kReloading, kDeposed };
  struct Item;
  struct Pending;  // a request under way
  struct Step;     // a transaction of the batch
  struct Batch;

  void loaded(Result<ScanAnswer>, std::move_only_function<void(Status)> done);
  void pump();
  void plan(Batch&, const std::shared_ptr<Pending>&);
  bool add(Batch&, const std::shared_ptr<Pending>&, std::size_t item, const Planned&);
  static void foresee(Batch&);
  void commit(std::shared_ptr<Batch>);
  void committed(std::shared_ptr<Batch>, std::vector<std::size_t> which, std::vector<TxnOutcome>);
  void conclude(Batch&);
  void reload(std::string_view why);
  void refuse_all(const Error&);
  std::string fresh_id();

  Runtime& runtime_;
  Log& log_;
  Store& store_;
  Phase phase_ = Phase::kLoading;
  bool busy_ = false;
  Snapshot head_;
  std::int64_t epoch_ = 0;
  Revision epoch_revision_;  // of the epoch's key
  Txn::Compare witness_;     // what the last transaction left behind
  std::deque<std::shared_ptr<Pending>> queue_;
  Histogram commit_latency_;
};

}  // namespace penstock
