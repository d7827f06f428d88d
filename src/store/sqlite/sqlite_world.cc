#include "store/sqlite/sqlite_world.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "base/ensure.h"
#include "store/sqlite/sqlite_store.h"

namespace penstock {

TemporaryDirectory::TemporaryDirectory() {
  auto name = (std::filesystem::temp_directory_path() / "penstock-store-XXXXXX").string();
  ensure(mkdtemp(name.data()) != nullptr, "a temporary directory can be made");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

SqliteWorld::SqliteWorld(const Tunables& tunables)
    : directory_(std::make_unique<TemporaryDirectory>()),
      file_(directory_->file("store.db")),
      runtime_(tunables) {
  boot();
}

SqliteWorld::SqliteWorld(const Tunables& tunables, std::string file)
    : file_(std::move(file)), runtime_(tunables) {
  boot();
}

void SqliteWorld::boot() {
  auto store = open_sqlite_store(runtime_, log_, file_);
  if (!store) std::fprintf(stderr, "%s\n", store.error().text().c_str());
  ensure(store.has_value(), "the store opens");
  store_ = std::move(*store);
}

void SqliteWorld::restart() {
  store_.reset();
  boot();
}

bool SqliteWorld::run_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done())
    if (runtime_.io().run_one_until(deadline) == 0) return false;
  return true;
}

void SqliteWorld::run_for(Duration duration) {
  runtime_.io().run_for(duration);
}

TxnOutcome commit(StoreWorld& world, Txn one) {
  std::optional<TxnOutcome> outcome;
  std::vector<Txn> batch;
  batch.push_back(std::move(one));
  world.store().commit(std::move(batch),
                       [&](std::vector<TxnOutcome> outcomes) { outcome = outcomes.at(0); });
  EXPECT_TRUE(world.run_until([&] { return outcome.has_value(); }));
  return outcome.value_or(TxnOutcome());
}

ScanAnswer scan(StoreWorld& world, std::string prefix) {
  std::optional<Result<ScanAnswer>> answer;
  world.store().scan(std::move(prefix), [&](Result<ScanAnswer> it) { answer = std::move(it); });
  EXPECT_TRUE(world.run_until([&] { return answer.has_value(); }));
  EXPECT_TRUE(answer && *answer);
  return answer && *answer ? std::move(**answer) : ScanAnswer{};
}

}  // namespace penstock
