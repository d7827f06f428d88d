// Small state files of a program: read at its start, replaced as a whole.
//
// A file is never half-written: after a crash, power loss or full disk it has its old content or
// the new one. Real adapter: write a temporary file, fsync, rename, fsync the directory.
//
// Threading: called on the strand; `done` runs on the strand, never within the call.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace penstock {

// Of a file system.
struct DiskSpace {
  std::int64_t free_bytes = 0, all_bytes = 0;  // free: for programs that are not root's
};

class Files {
 public:
  virtual ~Files() = default;
  using Done = std::function<void(Status)>;

  // The content; nothing when there is no such file. May block: for the start of a program only.
  virtual Result<std::optional<std::string>> read(const std::string& path) = 0;
  // Replaces the content; missing folders of the path are made. OK means durable. On an error
  // (kResourceExhausted: disk or quota full) the old content stays. Replacements of one path take
  // effect in the order of the calls.
  virtual void replace(const std::string& path, std::string content, Done) = 0;
};

}  // namespace penstock
