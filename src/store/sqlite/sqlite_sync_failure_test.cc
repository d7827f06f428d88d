// A disk whose sync fails: commits end Unknown, watches break, and afterwards the store goes on
// from what the file really holds. The failure is injected below SQLite, by a layer over its own
// file system interface.
#include <atomic>
#include <optional>

#include <sqlite3.h>

#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/sqlite_world.h"

namespace penstock {
namespace {

// SQLite calls it from the writer's thread.
std::atomic<bool> syncs_fail = false;
std::atomic<bool> opens_fail = false;

struct FailingFile {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<FailingFile*>(file)->real();
}

template <auto member>
struct Pass;
template <typename... Args, int (*sqlite3_io_methods::*member)(sqlite3_file*, Args...)>
struct Pass<member> {
  static int call(sqlite3_file* file, Args... args) {
    return (real(file)->pMethods->*member)(real(file), args...);
  }
};
int sync(sqlite3_file* file, int flags) {
  if (syncs_fail) return SQLITE_IOERR_FSYNC;
  return real(file)->pMethods->xSync(real(file), flags);
}

using Methods = sqlite3_io_methods;
const Methods kMethods = {
    .iVersion = 1,  // no shared memory: the store does without
    .xClose = Pass<&Methods::xClose>::call,
    .xRead = Pass<&Methods::xRead>::call,
    .xWrite = Pass<&Methods::xWrite>::call,
    .xTruncate = Pass<&Methods::xTruncate>::call,
    .xSync = sync,
    .xFileSize = Pass<&Methods::xFileSize>::call,
    .xLock = Pass<&Methods::xLock>::call,
    .xUnlock = Pass<&Methods::xUnlock>::call,
    .xCheckReservedLock = Pass<&Methods::xCheckReservedLock>::call,
    .xFileControl = Pass<&Methods::xFileControl>::call,
    .xSectorSize = Pass<&Methods::xSectorSize>::call,
    .xDeviceCharacteristics = Pass<&Methods::xDeviceCharacteristics>::call,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (opens_fail) return SQLITE_CANTOPEN;
  auto* below = static_cast<sqlite3_vfs*>(vfs->pAppData);
  const int code = below->xOpen(below, name, real(file), flags, out_flags);
  if (real(file)->pMethods != nullptr) file->pMethods = &kMethods;
  return code;
}

class SqliteSyncFailure : public testing::Test {
 protected:
  SqliteSyncFailure() {
    below_ = sqlite3_vfs_find(nullptr);
    layer_ = *below_;
    layer_.zName = "failing";
    layer_.szOsFile = static_cast<int>(sizeof(FailingFile)) + below_->szOsFile;
    layer_.pAppData = below_;
    layer_.xOpen = open_file;
    sqlite3_vfs_register(&layer_, 1);
  }
  ~SqliteSyncFailure() override {
    syncs_fail = opens_fail = false;
    sqlite3_vfs_unregister(&layer_);
    sqlite3_vfs_register(below_, 1);
  }
  sqlite3_vfs* below_;
  sqlite3_vfs layer_;
};

TEST_F(SqliteSyncFailure, CommitsEndUnknownAndARetryTells) {
  SqliteWorld world{Tunables{}};
  ASSERT_EQ(commit(world, txn({put("a", "1")})), TxnOutcome(Committed{Revision{1}}));
  bool broken = false;
  world.store().watch("", Revision{1}, [&](const WatchUpdate& update) {
    broken = broken || std::holds_alternative<WatchBroken>(update);
  });
  syncs_fail = true;
  const auto outcome = commit(world, txn({put("a", "2"), put("b", "2")}, {}, "request"));
  EXPECT_TRUE(std::holds_alternative<Unknown>(outcome)) << outcome;
  EXPECT_TRUE(broken);

  // While the disk stays bad nothing is promised: no commit is said to be in.
  const auto meanwhile = commit(world, txn({put("c", "3")}));
  ASSERT_TRUE(std::holds_alternative<Error>(meanwhile)) << meanwhile;
  EXPECT_EQ(std::get<Error>(meanwhile).code, Code::kUnavailable) << meanwhile;

  syncs_fail = false;
  const auto before = scan(world);
  EXPECT_TRUE(before.revision.value == 1 || before.revision.value == 2);
  EXPECT_EQ(before.found.size(), static_cast<std::size_t>(before.revision.value)) << "half applied";
  EXPECT_EQ(commit(world, txn({put("a", "2"), put("b", "2")}, {}, "request")),
            TxnOutcome(Committed{Revision{2}}));
  EXPECT_EQ(commit(world, txn({put("c", "3")})), TxnOutcome(Committed{Revision{3}}));
  world.restart();
  EXPECT_EQ(scan(world).revision, Revision{3});
  EXPECT_EQ(scan(world).found.size(), 3u);
}

TEST_F(SqliteSyncFailure, AMediumThatIsAwayIsUnavailableUntilItIsBack) {
  SqliteWorld world{Tunables{}};
  commit(world, txn({put("a", "1")}));
  syncs_fail = opens_fail = true;
  EXPECT_TRUE(std::holds_alternative<Unknown>(commit(world, txn({put("a", "2")}))));
  std::optional<Result<ReadAnswer>> answer;
  bool broken = false;
  world.store().read("a", [&](Result<ReadAnswer> it) { answer = std::move(it); });
  world.store().watch("", Revision{1}, [&](const WatchUpdate& update) {
    broken = std::holds_alternative<WatchBroken>(update);
  });
  ASSERT_TRUE(world.run_until([&] { return answer && broken; }));
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().code, Code::kUnavailable);
  syncs_fail = opens_fail = false;
  EXPECT_TRUE(std::holds_alternative<Committed>(commit(world, txn({put("a", "3")}))));
}

}  // namespace
}  // namespace penstock
