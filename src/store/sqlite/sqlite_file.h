// The store on one SQLite file, synchronous, one caller at a time. sqlite_store.h makes it
// asynchronous.
//
// Tables (schema 1):
//   log       every event: position = revision * 128 + index of the operation; value NULL =
//   deleted.
//             The latest put of a key stays as long as the key lives; what is superseded goes with
//             compaction.
//   current   key -> position of its latest put in `log`. Values are stored, and written, once.
//   requests  revision -> request id, compacted with the history of that revision.
//   meta      incarnation; compacted = the last revision whose history is gone.
// Positions rise, so commits append to `log`, and a watch from a revision is one range of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/linux/file_lock.h"
#include "base/tunables.h"
#include "store/sqlite/database.h"
#include "store/store.h"
#include "store/watch_hub.h"

namespace penstock {

class SqliteFile {
 public:
  // Opens `path`, or creates it with this incarnation; checks that it is ours, whole and not in
  // use.
  static Result<SqliteFile> open(const std::string& path, const std::string& new_incarnation,
                                 const Tunables&);

  struct Group {
    std::vector<TxnOutcome> outcomes;  // one for each transaction
    std::vector<WatchEvents> events;   // of all revisions made, rising
    bool unknown = false;  // what is in the file is not what this process thought: end all watches
  };
  // Commits valid transactions (validate() of txn.h) as one durable write. When that fails, nothing
  // of it is in, or
  // (`unknown`) that cannot be known; either way the next call starts from what the file really
  // holds.
  Group commit(std::vector<Txn> batch);

  Result<ReadAnswer> read(const std::string& key);
  Result<ScanAnswer> scan(const std::string& prefix);
  Result<WatchHistory> history(Revision from);

  // Pages in the write-ahead log that the main file does not have yet.
  int log_pages() const { return *log_pages_; }
  // Moves them there. Failing harms nothing but space.
  Status checkpoint();

  const std::string& incarnation() const { return incarnation_; }
  // Everything stays but the incarnation.
  Status begin_life(const std::string& incarnation);

 private:
  struct Statements {
    Statement find, find_value, find_request, put_log, put_current, drop_current, drop_log,
        put_request;
    Statement compact_log, compact_requests, put_compacted, scan, history;
  };
  struct Place {  // where the latest put of a key is
    std::int64_t position = 0;
    std::int64_t create_revision = 0;
  };

  SqliteFile(std::string path, const Tunables& tunables, FileLock lock)
      : path_(std::move(path)), tunables_(tunables), lock_(std::move(lock)) {}

  // Empty: the file must exist, and must be the one that was open before.
  Status connect(const std::string& new_incarnation);
  Status create(const std::string& new_incarnation);
  void lengthen_log() const;
  Status load();
  Status reconnect_if_broken();
  Status checkpoint(int mode);

  Status apply_all(std::vector<Txn>& batch, Group& group);
  Result<TxnOutcome> apply(Txn& txn, std::vector<WatchEvents>& events);
  Result<std::optional<KeyEvent>> apply(Txn::Op& op, Revision revision, std::int64_t position);
  Result<std::optional<Place>> find(const std::string& key);
  Status forget_superseded(std::int64_t position);
  Status compact(std::int64_t changes);

  std::string path_;
  Tunables tunables_;
  FileLock lock_;
  Database database_;
  Statements statements_;  // after database_: finalized before it is closed
  std::string incarnation_;
  Revision latest_, compacted_;  // as the file has them; within a group: as they will be
  bool broken_ = false;          // connect anew before the next use
  std::unique_ptr<int> log_pages_ = std::make_unique<int>(0);  // SQLite's hook keeps the address
};

}  // namespace penstock
