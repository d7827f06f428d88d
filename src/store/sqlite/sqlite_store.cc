#include "store/sqlite/sqlite_store.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "store/sqlite/sqlite_file.h"
#include "store/txn.h"
#include "store/watch_hub.h"

namespace penstock {
namespace {

// One call of commit(). Transactions that broke a limit have their outcome already; the others go
// to the writer.
struct CommitJob {
  std::vector<Txn> batch;
  std::vector<std::size_t> slots;  // where in `outcomes` each of the batch belongs
  std::vector<TxnOutcome> outcomes;
  Store::CommitDone done;
};
struct ReadJob {
  std::string key;
  Store::ReadDone done;
};
struct ScanJob {
  std::string prefix;
  Store::ScanDone done;
};
struct HistoryJob {
  WatchId watch;
  Revision from;
};
using QueryJob = std::variant<ReadJob, ScanJob, HistoryJob>;

struct Queue {
  std::vector<CommitJob> commits;
  std::vector<QueryJob> queries;
  bool empty() const { return commits.empty() && queries.empty(); }
};

// What lives on the strand. Posted answers hold it, and find it closed when the store is gone.
struct Strand {
  WatchHub hub;
  bool closed = false;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(Runtime& runtime, Log& log, SqliteFile file)
      : runtime_(runtime), log_(log), incarnation_(file.incarnation()), file_(std::move(file)) {
    writer_ = std::thread([this] { write(); });
  }

  ~SqliteStore() override {
    strand_->closed = true;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  const std::string& incarnation() const override { return incarnation_; }

  void commit(std::vector<Txn> batch, CommitDone done) override {
    CommitJob job{{}, {}, std::vector<TxnOutcome>(batch.size()), std::move(done)};
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (auto valid = validate(batch[i], runtime_.tunables()); !valid) {
        job.outcomes[i] = std::move(valid).error();
      } else {
        job.batch.push_back(std::move(batch[i]));
        job.slots.push_back(i);
      }
    }
    const std::lock_guard lock(mutex_);
    queue_.commits.push_back(std::move(job));
    wake_.notify_one();
  }

  void read(std::string key, ReadDone done) override {
    query(ReadJob{std::move(key), std::move(done)});
  }
  void scan(std::string prefix, ScanDone done) override {
    query(ScanJob{std::move(prefix), std::move(done)});
  }
  WatchId watch(std::string prefix, Revision from, WatchSink sink) override {
    const auto id = strand_->hub.add(std::move(prefix), from, std::move(sink));
    query(HistoryJob{id, std::max(from, Revision{1})});
    return id;
  }
  void cancel(WatchId id) override { strand_->hub.cancel(id); }

 private:
  void query(QueryJob job) {
    const std::lock_guard lock(mutex_);
    queue_.queries.push_back(std::move(job));
    wake_.notify_one();
  }

  // Everything below runs on the writer's thread.

  void write() {
    while (auto queue = next()) {
      if (queue->empty()) {
        tidy();
        continue;
      }
      // Commits before the queries that came with them: a query may see more than was acknowledged,
      // never less.
      if (!queue->commits.empty()) commit_group(std::move(queue->commits));
      for (auto& job : queue->queries) std::visit([this](auto& it) { answer(it); }, job);
      // A log that only grows would end by filling the disk, idle moment or not.
      if (file_.log_pages() >= 8 * runtime_.tunables().store_checkpoint_pages) tidy();
    }
  }

  // What has queued up; empty: the store is idle and its log long; none: stop.
  std::optional<Queue> next() {
    std::unique_lock lock(mutex_);
    const auto something = [this] { return stopping_ || !queue_.empty(); };
    const auto& tunables = runtime_.tunables();
    if (file_.log_pages() >= tunables.store_checkpoint_pages && !tidied_in_vain_)
      wake_.wait_for(lock, std::chrono::milliseconds(tunables.store_checkpoint_idle_ms), something);
    else
      wake_.wait(lock, something);
    if (stopping_) return std::nullopt;
    return std::exchange(queue_, {});
  }

  void tidy() {
    const auto status = file_.checkpoint();
    tidied_in_vain_ = !status;
    if (!status) warn(fmt::format("store: {}", status.error().text()));
  }

  void commit_group(std::vector<CommitJob> jobs) {
    std::vector<Txn> batch;
    for (auto& job : jobs) std::ranges::move(job.batch, std::back_inserter(batch));
    SqliteFile::Group group;
    if (!batch.empty()) group = file_.commit(std::move(batch));
    tidied_in_vain_ = false;

    auto outcome = group.outcomes.begin();
    for (auto& job : jobs)
      for (const auto slot : job.slots) job.outcomes[slot] = std::move(*outcome++);
    post([jobs = std::move(jobs), group = std::move(group)](WatchHub& hub) mutable {
      if (group.unknown)
        hub.end_all(WatchBroken{{Code::kUnavailable, "the store lost track of its file", {}, {}}});
      hub.committed(group.events);
      for (auto& job : jobs) job.done(std::move(job.outcomes));
    });
  }

  void answer(ReadJob& job) {
    post([done = std::move(job.done), answer = file_.read(job.key)](WatchHub&) mutable {
      done(std::move(answer));
    });
  }
  void answer(ScanJob& job) {
    post([done = std::move(job.done), answer = file_.scan(job.prefix)](WatchHub&) mutable {
      done(std::move(answer));
    });
  }
  void answer(HistoryJob& job) {
    post([watch = job.watch, history = file_.history(job.from)](WatchHub& hub) {
      if (history)
        hub.caught_up(watch, *history);
      else
        hub.end(watch, WatchBroken{history.error()});
    });
  }

  void warn(std::string line) {
    runtime_.post_from_any_thread([strand = strand_, log = &log_, line = std::move(line)] {
      if (!strand->closed) log->warning("{}", line);
    });
  }

  template <typename Run>
  void post(Run run) {
    runtime_.post_from_any_thread([strand = strand_, run = std::move(run)]() mutable {
      if (!strand->closed) run(strand->hub);
    });
  }

  Runtime& runtime_;
  Log& log_;
  const std::string incarnation_;
  const std::shared_ptr<Strand> strand_ = std::make_shared<Strand>();

  std::mutex mutex_;  // guards queue_ and stopping_
  std::condition_variable wake_;
  Queue queue_;
  bool stopping_ = false;

  SqliteFile file_;              // of the writer's thread
  bool tidied_in_vain_ = false;  // the last checkpoint failed: not again before the next commit
  std::thread writer_;           // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(Runtime& runtime, Log& log,
                                                 const std::string& path, StoreLife life) {
  const auto incarnation = fmt::format("{:016x}{:016x}", runtime.random(), runtime.random());
  auto file = PENSTOCK_TRY(SqliteFile::open(path, incarnation, runtime.tunables()));
  if (life == StoreLife::kNew && file.incarnation() != incarnation) {
    if (auto status = file.begin_life(incarnation); !status)
      return std::unexpected(std::move(status).error().in("begin a new life of store " + path));
  }
  return std::make_unique<SqliteStore>(runtime, log, std::move(file));
}

}  // namespace penstock
