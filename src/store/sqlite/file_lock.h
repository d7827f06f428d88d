// One server a store. SQLite's own lock would refuse a second one too, but cannot say who the first
// one is.
#pragma once

#include <string>

#include "base/error.h"

namespace penstock {

// Holds `path` locked (flock) until destroyed or until the process ends, however it ends. The file
// holds the pid and stays behind, empty of meaning.
class FileLock {
 public:
  // kFailedPrecondition: held by another, named by its pid. Else the operating system's reason.
  static Result<FileLock> take(const std::string& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace penstock
