// kill -9 of a writing process at random moments: what it was told is committed is there when the
// file is opened again, nothing is there by halves, and revisions have no gaps.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <random>

#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/sqlite_world.h"

namespace penstock {
namespace {

// An acknowledged transaction, as it goes through the pipe: small enough to go in one piece.
struct Acknowledged {
  std::int64_t number;
  std::int64_t revision;
};

// Writes without end: transaction n puts n under two keys. Many are under way at any moment, so
// groups form.
[[noreturn]] void write_until_killed(const std::string& file, std::int64_t first, int pipe) {
  Tunables tunables;
  tunables.store_checkpoint_pages = 16;  // checkpoints all the time, to be killed in some of them
  tunables.store_checkpoint_idle_ms = 1;
  tunables.store_history_revisions = 100'000;
  RealRuntime runtime(tunables);
  NullLog log;
  auto store = open_sqlite_store(runtime, log, file);
  if (!store) _exit(1);
  std::int64_t next = first;
  std::function<void()> write_one = [&] {
    const auto number = next++;
    const auto text = std::to_string(number);
    std::vector<Txn> batch;
    batch.push_back(
        txn({put("a/" + text, text + std::string(number % 3'000, 'x')), put("b/" + text, text)}, {},
            "request " + text));
    (*store)->commit(std::move(batch), [&, number](std::vector<TxnOutcome> outcomes) {
      const auto* committed = std::get_if<Committed>(&outcomes.at(0));
      if (!committed) _exit(2);
      const Acknowledged record{number, committed->revision.value};
      if (write(pipe, &record, sizeof record) != sizeof record) _exit(3);
      if (number % 40 == 0)
        runtime.after(std::chrono::milliseconds(2), [&] { write_one(); });  // idle at times
      else
        write_one();
    });
  };
  for (int i = 0; i < 8; ++i) write_one();
  runtime.run();
  _exit(4);
}

TEST(SqliteStoreCrash, KillAtAnyMomentLosesNothingAcknowledged) {
  TemporaryDirectory directory;
  const auto file = directory.file("store.db");
  std::mt19937 random(20'261'122);
  std::vector<Acknowledged> all;
  std::int64_t first = 1;
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      write_until_killed(file, first, ends[1]);
    }
    close(ends[1]);
    usleep(10'000 + random() % 120'000);  // early ones hit the opening, the first even the creation
    ASSERT_EQ(kill(child, SIGKILL), 0);
    Acknowledged record;
    while (read(ends[0], &record, sizeof record) == sizeof record) all.push_back(record);
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);

    SqliteWorld world({}, file);
    std::map<std::string, KeyValue> state;
    const auto answer = scan(world);
    for (const auto& it : answer.found) state.emplace(it.key, it);
    ASSERT_EQ(answer.found.size(), 2 * static_cast<std::size_t>(answer.revision.value))
        << "two new keys a revision: else half a transaction or a gap";
    for (const auto& [number, revision] : all) {
      const auto text = std::to_string(number);
      const auto a = state.find("a/" + text), b = state.find("b/" + text);
      ASSERT_TRUE(a != state.end() && b != state.end())
          << number << " was acknowledged and is lost";
      ASSERT_EQ(a->second.mod_revision.value, revision);
      ASSERT_EQ(b->second.mod_revision.value, revision);
      ASSERT_EQ(a->second.value, text + std::string(number % 3'000, 'x'));
    }
    for (const auto& it : answer.found)
      if (it.key.starts_with("a/"))
        first = std::max(first, std::int64_t{std::stol(it.key.substr(2))} + 1);
  }
  RecordProperty("acknowledged", static_cast<int>(all.size()));
  EXPECT_GT(all.size(), 500u) << "too slow to have proved anything";
}

}  // namespace
}  // namespace penstock
