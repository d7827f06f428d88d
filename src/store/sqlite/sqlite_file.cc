#include "store/sqlite/sqlite_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock {
namespace {

constexpr std::int64_t kApplicationId = 0x50454e53;  // "PENS", in SQLite's file header
constexpr std::int64_t kSchemaVersion = 1;
constexpr std::int64_t kPositions = 128;  // a revision; more than a transaction can have operations

std::int64_t revision_of(std::int64_t position) {
  return position / kPositions;
}

// The least text that is greater than all that begin with `prefix`; empty: there is none.
std::string end_of(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

// SQLite syncs what is in a file, not that the file has a name.
Status sync_directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, fmt::format("open {}", directory));
  const int code = fsync(fd);
  const int error = errno;
  close(fd);
  if (code != 0) return fail_errno(error, fmt::format("sync {}", directory));
  return {};
}

int count_log_pages(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

Result<SqliteFile> SqliteFile::open(const std::string& path, const std::string& new_incarnation,
                                    const Tunables& tunables) {
  const auto in_path = [&](Error error) {
    return std::unexpected(std::move(error).in(fmt::format("open store {}", path)));
  };
  auto lock = FileLock::take(
      path + ".lock",
      "only one server may use a store: stop the other one, or give this one its own");
  if (!lock) return in_path(std::move(lock).error());
  SqliteFile file(path, tunables, std::move(*lock));
  if (auto status = file.connect(new_incarnation); !status)
    return in_path(std::move(status).error());
  return file;
}

Status SqliteFile::connect(const std::string& new_incarnation) {
  statements_ = {};
  database_ = {};
  database_ = PENSTOCK_TRY(Database::open(path_));
  // After a failed sync nobody may tidy up behind our back when the connection closes.
  sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  *log_pages_ = 0;
  sqlite3_wal_hook(database_.get(), count_log_pages, log_pages_.get());
  // Exclusive: no shared memory beside the file, so no SIGBUS when its disk is full.
  PENSTOCK_CHECK(database_.run("PRAGMA locking_mode = EXCLUSIVE"));

  const auto application = PENSTOCK_TRY(database_.integer("PRAGMA application_id"));
  const auto tables = PENSTOCK_TRY(database_.integer("SELECT count(*) FROM sqlite_master"));
  if (application != kApplicationId && (application != 0 || tables != 0))
    return fail(Code::kFailedPrecondition, "this is an SQLite file of some other program",
                "name a file that does not exist yet, or one that penstockd made");

  if (PENSTOCK_TRY(database_.text("PRAGMA journal_mode = WAL")) != "wal")
    return fail(Code::kFailedPrecondition,
                "this disk or directory does not allow write-ahead logging");
  PENSTOCK_CHECK(database_.run(
      "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
      "PRAGMA journal_size_limit = 67108864"));
  if (application == 0) {
    if (new_incarnation.empty()) return fail(Code::kUnavailable, "the file is gone");
    PENSTOCK_CHECK(create(new_incarnation));
  }
  PENSTOCK_CHECK(load());
  lengthen_log();
  return {};
}

// The log gets its usual length at once. A sync of a file that has become longer commits the file
// system's journal, and with it waits for what others wrote (ext4, data=ordered); one of blocks
// that are there already waits for these alone. SQLite takes zeros behind the last frame for the
// end.
void SqliteFile::lengthen_log() const {
  constexpr std::int64_t kPageAndHeader = 4096 + 24, kPagesMost = 4000;
  const auto goal =
      std::min<std::int64_t>(tunables_.store_checkpoint_pages, kPagesMost) * kPageAndHeader;
  const int fd = ::open((path_ + "-wal").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const auto length = lseek(fd, 0, SEEK_END);
  static constexpr std::array<char, 65536> kZeros{};
  auto at = length;
  while (at >= 0 && at < goal) {
    const auto room = static_cast<std::size_t>(std::min<std::int64_t>(goal - at, kZeros.size()));
    const auto written = pwrite(fd, kZeros.data(), room, at);
    if (written <= 0) break;
    at += written;
  }
  // A disk without room for it has none to waste.
  if (at < goal && length >= 0) (void)!ftruncate(fd, length);
  fdatasync(fd);
  close(fd);
}

Status SqliteFile::create(const std::string& new_incarnation) {
  // One transaction: a crash leaves an empty file, which is as good as none.
  const auto sql = fmt::format(
      "BEGIN IMMEDIATE;"
      "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
      "CREATE TABLE log(position INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB,"
      "                 create_revision INTEGER NOT NULL);"
      "CREATE TABLE current(key BLOB PRIMARY KEY, position INTEGER NOT NULL,"
      "                     create_revision INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE requests(revision INTEGER PRIMARY KEY, request_id BLOB NOT NULL UNIQUE);"
      "INSERT INTO meta VALUES ('incarnation', '{}'), ('compacted', 0);"
      "PRAGMA application_id = {}; PRAGMA user_version = {};"
      "COMMIT",
      new_incarnation, kApplicationId, kSchemaVersion);
  if (auto status = database_.run(sql.c_str()); !status)
    return std::unexpected(sqlite_error(database_.get(), "create"));
  return sync_directory_of(path_);
}

Status SqliteFile::begin_life(const std::string& incarnation) {
  const auto sql =
      fmt::format("UPDATE meta SET value = '{}' WHERE name = 'incarnation'", incarnation);
  if (auto status = database_.run(sql.c_str()); !status)
    return std::unexpected(sqlite_error(database_.get(), "write the incarnation"));
  incarnation_ = incarnation;
  return {};
}

Status SqliteFile::load() {
  const auto version = PENSTOCK_TRY(database_.integer("PRAGMA user_version"));
  if (version != kSchemaVersion)
    return fail(Code::kFailedPrecondition,
                fmt::format("the file has schema {}, this program knows schema {}", version,
                            kSchemaVersion),
                "use the penstockd that wrote it, or a newer one");
  const auto verdict = PENSTOCK_TRY(database_.text("PRAGMA quick_check(1)"));
  if (verdict != "ok")
    return fail(Code::kInternal, fmt::format("the file is damaged: {}", verdict),
                "restore it from a backup");
  const auto incarnation =
      PENSTOCK_TRY(database_.text("SELECT value FROM meta WHERE name = 'incarnation'"));
  if (!incarnation_.empty() && incarnation != incarnation_)
    return fail(Code::kUnavailable, "another store has taken the file's place");
  incarnation_ = incarnation;
  compacted_ =
      Revision{PENSTOCK_TRY(database_.integer("SELECT value FROM meta WHERE name = 'compacted'"))};
  // The latest revision always has an event: compaction never reaches it.
  latest_ = Revision{
      revision_of(PENSTOCK_TRY(database_.integer("SELECT coalesce(max(position), 0) FROM log")))};

  const auto prepare = [&](const char* sql) { return Statement::prepare(database_.get(), sql); };
  auto& s = statements_;
  s.find = PENSTOCK_TRY(prepare("SELECT position, create_revision FROM current WHERE key = ?"));
  s.find_value =
      PENSTOCK_TRY(prepare("SELECT log.value, log.position, log.create_revision FROM current"
                           " JOIN log ON log.position = current.position WHERE current.key = ?"));
  s.find_request = PENSTOCK_TRY(prepare("SELECT revision FROM requests WHERE request_id = ?"));
  s.put_log = PENSTOCK_TRY(prepare("INSERT INTO log VALUES (?, ?, ?, ?)"));
  s.put_current = PENSTOCK_TRY(prepare("INSERT OR REPLACE INTO current VALUES (?, ?, ?)"));
  s.drop_current = PENSTOCK_TRY(prepare("DELETE FROM current WHERE key = ?"));
  s.drop_log = PENSTOCK_TRY(prepare("DELETE FROM log WHERE position = ?"));
  s.put_request = PENSTOCK_TRY(prepare("INSERT INTO requests VALUES (?, ?)"));
  s.compact_log = PENSTOCK_TRY(prepare(
      "DELETE FROM log WHERE position >= ? AND position < ? AND NOT EXISTS"
      " (SELECT 1 FROM current WHERE current.key = log.key AND current.position = log.position)"));
  s.compact_requests = PENSTOCK_TRY(prepare("DELETE FROM requests WHERE revision <= ?"));
  s.put_compacted = PENSTOCK_TRY(prepare("UPDATE meta SET value = ? WHERE name = 'compacted'"));
  s.scan = PENSTOCK_TRY(
      prepare("SELECT current.key, log.value, log.position, log.create_revision FROM current"
              " JOIN log ON log.position = current.position"
              " WHERE current.key >= ? AND (? OR current.key < ?) ORDER BY current.key"));
  s.history =
      PENSTOCK_TRY(prepare("SELECT position, key, value, create_revision FROM log WHERE position "
                           ">= ? ORDER BY position"));
  return {};
}

Status SqliteFile::reconnect_if_broken() {
  if (!broken_) return {};
  if (auto status = connect({}); !status) {
    auto error = std::move(status).error().in(fmt::format("reopen store {}", path_));
    error.code = Code::kUnavailable;
    return std::unexpected(std::move(error));
  }
  // A failed sync may have left pages that the kernel believes to be on disk. Writing them to the
  // main file makes them dirty again, and the sync there is an honest one.
  PENSTOCK_CHECK(checkpoint(SQLITE_CHECKPOINT_TRUNCATE));
  broken_ = false;
  return {};
}

SqliteFile::Group SqliteFile::commit(std::vector<Txn> batch) {
  Group group;
  const auto all = [&](TxnOutcome outcome) {
    group.events.clear();
    group.outcomes.assign(batch.size(), outcome);
  };
  if (auto status = reconnect_if_broken(); !status) {
    all(status.error());
    return group;
  }
  const auto latest = latest_, compacted = compacted_;
  auto status = apply_all(batch, group);
  if (status && latest_ == latest) {  // nothing to make durable
    status = database_.run("ROLLBACK");
    if (status) return group;
  }
  if (status) {
    if (sqlite3_exec(database_.get(), "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK)
      return group;
    auto error = sqlite_error(database_.get(), "commit");
    // A full disk cut the log off before the commit mark was written. Any other failure, most of
    // all one of fsync, may have come after it.
    const bool full = (sqlite3_errcode(database_.get()) & 0xff) == SQLITE_FULL;
    group.unknown = !full;
    status = std::unexpected(std::move(error));
  }
  latest_ = latest;
  compacted_ = compacted;
  if (database_.in_transaction() && !database_.run("ROLLBACK")) broken_ = true;
  if (status.error().code != Code::kResourceExhausted || group.unknown) broken_ = true;
  if (group.unknown)
    all(Unknown{status.error()});
  else
    all(status.error());
  return group;
}

Status SqliteFile::apply_all(std::vector<Txn>& batch, Group& group) {
  PENSTOCK_CHECK(database_.run("BEGIN IMMEDIATE"));
  const auto before = latest_;
  for (auto& txn : batch) group.outcomes.push_back(PENSTOCK_TRY(apply(txn, group.events)));
  return compact(latest_.value - before.value);
}

Result<TxnOutcome> SqliteFile::apply(Txn& txn, std::vector<WatchEvents>& events) {
  if (!txn.request_id.empty()) {
    auto& request = statements_.find_request;
    if (PENSTOCK_TRY(request.bind(txn.request_id).row())) {
      const Committed first{Revision{request.integer(0)}};
      request.reset();
      return first;
    }
  }
  for (std::size_t i = 0; i < txn.compares.size(); ++i) {
    const auto place = PENSTOCK_TRY(find(txn.compares[i].key));
    const Revision is{place ? revision_of(place->position) : 0};
    if (is != txn.compares[i].mod_revision) return Conflict{i};
  }
  const Revision revision{latest_.value + 1};
  WatchEvents made{revision, {}};
  for (auto& op : txn.ops) {
    const auto index = static_cast<std::int64_t>(made.events.size());
    ensure(index < kPositions, "a transaction fits into its revision");
    auto event = PENSTOCK_TRY(apply(op, revision, revision.value * kPositions + index));
    if (event) made.events.push_back(std::move(*event));
  }
  if (made.events.empty()) return Committed{latest_};
  if (!txn.request_id.empty())
    PENSTOCK_CHECK(statements_.put_request.bind(revision.value).bind(txn.request_id).run());
  latest_ = revision;
  events.push_back(std::move(made));
  return Committed{revision};
}

Result<std::optional<KeyEvent>> SqliteFile::apply(Txn::Op& op, Revision revision,
                                                  std::int64_t position) {
  auto& s = statements_;
  if (auto* put = std::get_if<Txn::Put>(&op)) {
    const auto old = PENSTOCK_TRY(find(put->key));
    const auto created = old ? old->create_revision : revision.value;
    PENSTOCK_CHECK(s.put_log.bind(position).bind(put->key).bind(put->value).bind(created).run());
    PENSTOCK_CHECK(s.put_current.bind(put->key).bind(position).bind(created).run());
    if (old) PENSTOCK_CHECK(forget_superseded(old->position));
    return KeyEvent{std::move(put->key), std::move(put->value), Revision{created}, revision};
  }
  auto& key = std::get<Txn::Delete>(op).key;
  const auto old = PENSTOCK_TRY(find(key));
  if (!old) return std::nullopt;
  PENSTOCK_CHECK(s.put_log.bind(position).bind(key).bind_null().bind(0).run());
  PENSTOCK_CHECK(s.drop_current.bind(key).run());
  PENSTOCK_CHECK(forget_superseded(old->position));
  return KeyEvent{std::move(key), std::nullopt, Revision{0}, revision};
}

Result<std::optional<SqliteFile::Place>> SqliteFile::find(const std::string& key) {
  auto& s = statements_.find;
  if (!PENSTOCK_TRY(s.bind(key).row())) return std::nullopt;
  const Place place{s.integer(0), s.integer(1)};
  s.reset();
  return place;
}

// Compaction passes each revision once and spares what was current then; this is what it would have
// taken.
Status SqliteFile::forget_superseded(std::int64_t position) {
  if (revision_of(position) > compacted_.value) return {};
  return statements_.drop_log.bind(position).run();
}

// A few more revisions than were made, so that a lowered limit is reached without ever stalling a
// commit.
Status SqliteFile::compact(std::int64_t changes) {
  constexpr std::int64_t kCatchUp = 64;
  const auto goal = std::min(latest_.value - tunables_.store_history_revisions,
                             compacted_.value + 2 * changes + kCatchUp);
  if (changes == 0 || goal <= compacted_.value) return {};
  auto& s = statements_;
  PENSTOCK_CHECK(
      s.compact_log.bind((compacted_.value + 1) * kPositions).bind((goal + 1) * kPositions).run());
  PENSTOCK_CHECK(s.compact_requests.bind(goal).run());
  PENSTOCK_CHECK(s.put_compacted.bind(goal).run());
  compacted_ = Revision{goal};
  return {};
}

Result<ReadAnswer> SqliteFile::read(const std::string& key) {
  PENSTOCK_CHECK(reconnect_if_broken());
  auto& s = statements_.find_value;
  if (!PENSTOCK_TRY(s.bind(key).row())) return ReadAnswer{latest_, std::nullopt};
  ReadAnswer answer{latest_, KeyValue{key, s.bytes(0), Revision{s.integer(2)},
                                      Revision{revision_of(s.integer(1))}}};
  s.reset();
  return answer;
}

Result<ScanAnswer> SqliteFile::scan(const std::string& prefix) {
  PENSTOCK_CHECK(reconnect_if_broken());
  const auto end = end_of(prefix);
  auto& s = statements_.scan;
  s.bind(prefix).bind(end.empty() ? 1 : 0).bind(end);
  ScanAnswer answer{latest_, {}};
  while (PENSTOCK_TRY(s.row()))
    answer.found.push_back(
        {s.bytes(0), s.bytes(1), Revision{s.integer(3)}, Revision{revision_of(s.integer(2))}});
  return answer;
}

Result<WatchHistory> SqliteFile::history(Revision from) {
  PENSTOCK_CHECK(reconnect_if_broken());
  WatchHistory history{latest_, compacted_, {}};
  if (from <= compacted_ || from > latest_) return history;
  auto& s = statements_.history;
  s.bind(from.value * kPositions);
  while (PENSTOCK_TRY(s.row())) {
    const Revision revision{revision_of(s.integer(0))};
    if (history.events.empty() || history.events.back().revision != revision)
      history.events.push_back({revision, {}});
    auto value = s.is_null(2) ? std::nullopt : std::optional(s.bytes(2));
    history.events.back().events.push_back(
        {s.bytes(1), std::move(value), Revision{s.integer(3)}, revision});
  }
  return history;
}

Status SqliteFile::checkpoint() {
  if (broken_) return {};  // reconnecting does it
  return checkpoint(SQLITE_CHECKPOINT_PASSIVE);
}

Status SqliteFile::checkpoint(int mode) {
  const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, mode, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(sqlite_error(database_.get(), "checkpoint"));
  *log_pages_ = 0;
  return {};
}

}  // namespace penstock
