// What the tests of the SQLite backend share: a temporary directory, and a store in it with its
// strand.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/real_runtime.h"
#include "store/conformance.h"

namespace penstock {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  std::string file(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class SqliteWorld final : public StoreWorld {
 public:
  // On a directory of its own, or on this file.
  explicit SqliteWorld(const Tunables&);
  SqliteWorld(const Tunables&, std::string file);

  Store& store() override { return *store_; }
  bool run_until(const std::function<bool()>& done) override;
  void run_for(Duration) override;
  void restart() override;

 private:
  void boot();
  std::unique_ptr<TemporaryDirectory> directory_;
  std::string file_;
  RealRuntime runtime_;
  NullLog log_;
  std::unique_ptr<Store> store_;
};

// Commits one transaction and waits.
TxnOutcome commit(StoreWorld&, Txn);
ScanAnswer scan(StoreWorld&, std::string prefix = {});

}  // namespace penstock
