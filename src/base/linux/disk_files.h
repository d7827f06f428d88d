// Files on a disk. One thread writes, because fsync may take long; the strand never waits for it.
#pragma once

#include <memory>

#include "base/files.h"
#include "base/runtime.h"

namespace penstock {

class DiskFiles final : public Files {
 public:
  explicit DiskFiles(Runtime&);
  // Finishes what was begun; completions that were not delivered yet are dropped.
  ~DiskFiles() override;

  Result<std::optional<std::string>> read(const std::string& path) override;
  void replace(const std::string& path, std::string content, Done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
