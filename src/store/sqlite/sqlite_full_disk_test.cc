// A full disk, a read-only one: on a small tmpfs that only this process sees (a mount namespace of
// its own; root).
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>

#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/sqlite_world.h"

namespace penstock {
namespace {

// Undone by the kernel when the process ends, however it ends.
class SmallDisk {
 public:
  explicit SmallDisk(const char* options) {
    EXPECT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno) << " (this test needs root)";
    EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
    EXPECT_EQ(mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, options), 0) << strerror(errno);
  }
  ~SmallDisk() { umount2(directory_.path().c_str(), MNT_DETACH); }
  std::string file(std::string_view name) const { return directory_.file(name); }
  // Takes all space that is left.
  void fill() const {
    const int fd = open(file("ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0) << strerror(errno);
    const std::string block(4096, 'x');
    while (write(fd, block.data(), block.size()) > 0) {
    }
    close(fd);
  }
  void empty() const { unlink(file("ballast").c_str()); }
  void make_read_only() const {
    ASSERT_EQ(mount(nullptr, directory_.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr),
              0)
        << strerror(errno);
  }

 private:
  TemporaryDirectory directory_;
};

TEST(SqliteStoreFullDisk, CommitsFailWholeAndWorkAgainWhenThereIsSpace) {
  SmallDisk disk("size=4m");
  Tunables tunables;
  tunables.store_checkpoint_pages = 16;
  SqliteWorld world(tunables, disk.file("store.db"));
  ASSERT_EQ(commit(world, txn({put("before", "1")})), TxnOutcome(Committed{Revision{1}}));
  int bookmarks = 0, broken = 0, seen = 0;
  world.store().watch("", Revision{1}, [&](const WatchUpdate& update) {
    bookmarks += std::holds_alternative<WatchBookmark>(update);
    broken += std::holds_alternative<WatchBroken>(update);
    if (const auto* events = std::get_if<WatchEvents>(&update))
      seen += static_cast<int>(events->events.size());
  });
  std::int64_t last = 1;
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    disk.fill();
    // The log may have room within its pages; soon it has not.
    int failed = 0;
    for (int i = 0; i < 40; ++i) {
      const auto text = std::to_string(round) + "/" + std::to_string(i);
      const auto outcome =
          commit(world, txn({put("x" + text, std::string(300'000, 'x')), put("y" + text, "y")}));
      if (const auto* committed = std::get_if<Committed>(&outcome)) {
        ASSERT_EQ(committed->revision.value, ++last);
        continue;
      }
      ASSERT_TRUE(std::holds_alternative<Error>(outcome)) << outcome;
      ASSERT_EQ(std::get<Error>(outcome).code, Code::kResourceExhausted) << outcome;
      ASSERT_FALSE(std::get<Error>(outcome).hint.empty());
      ++failed;
    }
    EXPECT_GT(failed, 0);
    auto answer = scan(world);
    EXPECT_EQ(answer.revision.value, last) << "reads work while the disk is full";
    EXPECT_EQ(answer.found.size(), 1u + 2 * static_cast<std::size_t>(last - 1 - round))
        << "half applied";
    disk.empty();
    ASSERT_EQ(commit(world, txn({put("before", std::to_string(round))})),
              TxnOutcome(Committed{Revision{++last}}));
    world.restart();
    EXPECT_EQ(scan(world).revision.value, last);
    EXPECT_EQ(scan(world).found.size(), answer.found.size());
  }
  EXPECT_GT(seen, 0);
  EXPECT_EQ(broken, 0) << "a full disk is no reason to break watches";
}

TEST(SqliteStoreFullDisk, AStoreThatCannotBeCreatedSaysWhy) {
  SmallDisk disk("size=4m");
  disk.fill();
  RealRuntime runtime({});
  NullLog log;
  auto store = open_sqlite_store(runtime, log, disk.file("store.db"));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kResourceExhausted) << store.error().text();
  disk.empty();
  store = open_sqlite_store(runtime, log, disk.file("store.db"));
  EXPECT_TRUE(store) << store.error().text();
}

TEST(SqliteStoreFullDisk, AReadOnlyDirectoryIsRefused) {
  SmallDisk disk("size=4m");
  { SqliteWorld world({}, disk.file("store.db")); }
  disk.make_read_only();
  RealRuntime runtime({});
  NullLog log;
  const auto store = open_sqlite_store(runtime, log, disk.file("store.db"));
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("Read-only file system"), std::string::npos)
      << store.error().text();
}

}  // namespace
}  // namespace penstock
