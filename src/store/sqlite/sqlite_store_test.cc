// The SQLite backend passes the conformance suite, and is safe from files that are not its own.
#include "store/sqlite/sqlite_store.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "store/sqlite/database.h"
#include "store/sqlite/sqlite_world.h"

namespace penstock {
namespace {

std::unique_ptr<StoreWorld> make_sqlite_world(const Tunables& tunables) {
  return std::make_unique<SqliteWorld>(tunables);
}
INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, testing::Values(&make_sqlite_world));

class SqliteStoreFile : public testing::Test {
 protected:
  Error open_error() {
    auto store = open_sqlite_store(runtime_, log_, path_);
    if (store) {
      ADD_FAILURE() << "it opened";
      return {};
    }
    return store.error();
  }
  void sql(const char* text) {
    auto database = Database::open(path_);
    ASSERT_TRUE(database);
    const auto status = database->run(text);
    ASSERT_TRUE(status) << status.error().text();
  }
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("store.db");
  RealRuntime runtime_{Tunables{}};
  NullLog log_;
};

TEST_F(SqliteStoreFile, ASecondServerIsToldWhoHoldsIt) {
  const auto first = open_sqlite_store(runtime_, log_, path_);
  ASSERT_TRUE(first);
  const auto error = open_error();
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_NE(error.message.find("held by process " + std::to_string(getpid())), std::string::npos)
      << error.message;
}

TEST_F(SqliteStoreFile, AFileThatIsNoDatabaseIsRefusedUntouched) {
  const std::string text(5'000, 'x');
  std::ofstream(path_) << text;
  EXPECT_EQ(open_error().code, Code::kFailedPrecondition);
  EXPECT_EQ(content(), text);
}

TEST_F(SqliteStoreFile, AnotherProgramsDatabaseIsRefusedUntouched) {
  sql("CREATE TABLE bookmarks(url); INSERT INTO bookmarks VALUES ('x')");
  const auto before = content();
  const auto error = open_error();
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_NE(error.message.find("some other program"), std::string::npos) << error.message;
  EXPECT_EQ(content(), before);
}

TEST_F(SqliteStoreFile, ANewerSchemaIsRefused) {
  { SqliteWorld world({}, path_); }
  sql("PRAGMA user_version = 2");
  const auto error = open_error();
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_NE(error.message.find("schema 2"), std::string::npos) << error.message;
}

TEST_F(SqliteStoreFile, ADamagedFileIsRefused) {
  {
    SqliteWorld world({}, path_);
    for (int i = 0; i < 100; ++i)
      commit(world, txn({put("key" + std::to_string(i), std::string(2'000, 'v'))}));
  }
  sql("PRAGMA wal_checkpoint(TRUNCATE)");
  auto bytes = content();
  ASSERT_GT(bytes.size(), 100'000u);
  for (std::size_t at = 8 * 4096; at < bytes.size(); at += 4096)
    bytes.replace(at, 64, std::string(64, '\x5a'));
  std::ofstream(path_, std::ios::binary) << bytes;
  const auto error = open_error();
  EXPECT_EQ(error.code, Code::kInternal) << error.text();
  EXPECT_NE(error.message.find(path_), std::string::npos);
}

TEST_F(SqliteStoreFile, AnEmptyFileAndAnEmptyDatabaseAreNewStores) {
  { std::ofstream touch(path_); }
  {
    SqliteWorld world({}, path_);
    EXPECT_EQ(commit(world, txn({put("a", "")})), TxnOutcome(Committed{Revision{1}}));
  }
  path_ = directory_.file("other.db");
  sql("PRAGMA journal_mode = WAL");  // as far as a crash during creation can get
  SqliteWorld world({}, path_);
  EXPECT_EQ(commit(world, txn({put("a", "")})), TxnOutcome(Committed{Revision{1}}));
}

TEST_F(SqliteStoreFile, AMissingDirectoryIsNamed) {
  path_ = directory_.file("none/store.db");
  const auto error = open_error();
  EXPECT_NE(error.message.find("none/store.db"), std::string::npos) << error.message;
}

TEST_F(SqliteStoreFile, CompactionBoundsTheFile) {
  Tunables tunables;
  tunables.store_history_revisions = 16;
  tunables.store_checkpoint_pages = 16;
  {
    SqliteWorld world(tunables, path_);
    for (int group = 0; group < 30; ++group) {
      int answered = 0;
      for (int i = group * 10; i < group * 10 + 10; ++i)
        world.store().commit({txn({put("k" + std::to_string(i % 40), std::string(1'000, 'v'))}, {},
                                  "r" + std::to_string(i))},
                             [&](std::vector<TxnOutcome>) { ++answered; });
      ASSERT_TRUE(world.run_until([&] { return answered == 10; }));
    }
    for (int i = 0; i < 60; ++i) commit(world, txn({put("k", "")}));
  }
  auto database = Database::open(path_);
  ASSERT_TRUE(database);
  // 41 keys, most of them put again only after compaction has passed them.
  EXPECT_LE(database->integer("SELECT count(*) FROM log").value_or(999), 16 + 41);
  EXPECT_EQ(database->integer("SELECT count(*) FROM requests").value_or(-1), 0);
}

TEST_F(SqliteStoreFile, ANewLifeKeepsEverythingButTheIncarnation) {
  {
    SqliteWorld world({}, path_);
    commit(world, txn({put("a", "1")}));
  }
  std::string before;
  const auto open = [&](StoreLife life) {
    auto store = open_sqlite_store(runtime_, log_, path_, life);
    EXPECT_TRUE(store) << store.error().text();
    return store ? (*store)->incarnation() : "";
  };
  before = open(StoreLife::kSame);
  const auto after = open(StoreLife::kNew);
  EXPECT_NE(after, before);
  EXPECT_EQ(open(StoreLife::kSame), after) << "it lasts";
  SqliteWorld world({}, path_);
  const auto kept = scan(world);
  EXPECT_EQ(kept.revision.value, 1);
  ASSERT_EQ(kept.found.size(), 1u);
  EXPECT_EQ(kept.found[0].value, "1");
  EXPECT_EQ(commit(world, txn({put("b", "")})), TxnOutcome(Committed{Revision{2}}));
}

TEST_F(SqliteStoreFile, CommitsDoNotLengthenTheLogNorDoesItsLengthHarmARestart) {
  const auto length = [&] { return std::filesystem::file_size(path_ + "-wal"); };
  std::uintmax_t usual = 0;
  for (int life = 0; life < 3; ++life) {
    SqliteWorld world({}, path_);
    if (life == 0) usual = length();
    EXPECT_EQ(usual, 1'000u * (4096 + 24));
    for (int i = 0; i < 50; ++i)
      EXPECT_EQ(commit(world, txn({put("k" + std::to_string(i), std::string(500, 'v'))})),
                TxnOutcome(Committed{Revision{life * 50 + i + 1}}));
    EXPECT_EQ(length(), usual);
  }
  SqliteWorld world({}, path_);
  EXPECT_EQ(scan(world).found.size(), 50u);
  EXPECT_EQ(scan(world).revision.value, 150);
}

}  // namespace
}  // namespace penstock
