// Measures the SQLite store where it will live: sqlite_store_bench [directory]. Values of 1,000
// bytes.
//   single   one commit at a time: latency, and commits a second of one patient caller
//   paced    the same with a pause of 25 ms after each: latency of a server that is not busy
//   callers  16 callers, each with one commit under way: what group commit makes of them
//   batch    100 transactions handed over together
//   fsync    appending 8 KiB and fdatasync, without any store: what the disk itself costs
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "base/real_runtime.h"
#include "store/sqlite/sqlite_store.h"

namespace penstock {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kBatch = 100;

struct Row {
  std::string name;
  int at_once;  // calls under way
  int transactions_per_call;
  int calls;
  std::chrono::milliseconds pause{0};  // of a caller after an answer
};

void report(std::string_view name, std::vector<double> latencies_ms, double seconds,
            int transactions) {
  std::ranges::sort(latencies_ms);
  const auto at = [&](double share) {
    return latencies_ms[static_cast<std::size_t>(share *
                                                 static_cast<double>(latencies_ms.size() - 1))];
  };
  fmt::print("{:<8} {:>8.0f} commits/s   p50 {:>6.3f} ms   p99 {:>6.3f} ms   max {:>7.3f} ms\n",
             name, transactions / seconds, at(0.5), at(0.99), at(1));
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// False: a commit failed.
bool run(const Row& row, RealRuntime& runtime, Store& store) {
  std::vector<double> latencies;
  int started = 0;
  bool good = true;
  std::function<void()> call = [&] {
    if (started == row.calls) return;
    const int number = started++;
    std::vector<Txn> batch(static_cast<std::size_t>(row.transactions_per_call));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i].ops.push_back(
          Txn::Put{fmt::format("vm/{}/{}", number % 50, i), std::string(1'000, 'v')});
      batch[i].request_id = fmt::format("{}-{}-{}", row.name, number, i);
    }
    store.commit(std::move(batch), [&, start = Clock::now()](std::vector<TxnOutcome> outcomes) {
      latencies.push_back(ms_since(start));
      for (const auto& outcome : outcomes)
        good = good && std::holds_alternative<Committed>(outcome);
      if (static_cast<int>(latencies.size()) == row.calls)
        runtime.stop();
      else if (row.pause.count() > 0)
        runtime.after(row.pause, [&] { call(); });
      else
        call();
    });
  };
  const auto start = Clock::now();
  for (int i = 0; i < row.at_once; ++i) runtime.post([&] { call(); });
  runtime.run();
  report(row.name, latencies, ms_since(start) / 1'000, row.calls * row.transactions_per_call);
  return good;
}

bool measure_disk(const std::string& file) {
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const std::string block(8192, 'x');
  std::vector<double> latencies;
  const auto begin = Clock::now();
  bool good = true;
  for (int i = 0; i < 1'000; ++i) {
    const auto start = Clock::now();
    good = good && write(fd, block.data(), block.size()) == 8192 && fdatasync(fd) == 0;
    latencies.push_back(ms_since(start));
  }
  close(fd);
  report("fsync", latencies, ms_since(begin) / 1'000, 1'000);
  return good;
}

int run_all(const std::filesystem::path& parent) {
  auto directory = (parent / "penstock-store-bench-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    fmt::print(stderr, "sqlite_store_bench: cannot make a directory in {}\n", parent.string());
    return 1;
  }
  bool good = true;
  for (const Row& row :
       {Row{"single", 1, 1, 3'000}, Row{"paced", 1, 1, 300, std::chrono::milliseconds(25)},
        Row{"callers", 16, 1, 20'000}, Row{"batch", 1, kBatch, 300}}) {
    // Each on a runtime of its own: one that was stopped does not run again.
    RealRuntime runtime({});
    NullLog log;
    auto store = open_sqlite_store(runtime, log, directory + "/store.db");
    if (!store) {
      fmt::print(stderr, "sqlite_store_bench: {}\n", store.error().text());
      good = false;
      break;
    }
    good = run(row, runtime, **store) && good;
  }
  good = measure_disk(directory + "/plain") && good;
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  if (!good) fmt::print(stderr, "sqlite_store_bench: something failed; the figures mean nothing\n");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  return penstock::run_all(argc > 1 ? std::filesystem::path(argv[1])
                                    : std::filesystem::temp_directory_path());
}
