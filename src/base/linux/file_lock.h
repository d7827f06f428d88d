// One program a store, a folder of state. The kernel lets go when the program ends, however it
// ends.
#pragma once

#include <string>

#include "base/error.h"

namespace penstock {

// Holds `path` locked (flock) until destroyed or until the process ends, however it ends. The file
// holds the pid and stays behind, empty of meaning.
class FileLock {
 public:
  // kFailedPrecondition: held by another, named by its pid, with the hint. Else the operating
  // system's reason.
  static Result<FileLock> take(const std::string& path, std::string hint);
  // A folder itself, where no file can be (a bpffs); nobody's pid is known then.
  static Result<FileLock> take_folder(const std::string& path, std::string hint);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace penstock
