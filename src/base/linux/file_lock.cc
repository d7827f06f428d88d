#include "base/linux/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace penstock {

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

Result<FileLock> FileLock::take(const std::string& path, std::string hint) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(errno, fmt::format("lock {}", path));
  FileLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, fmt::format("lock {}", path));
    char text[32] = {};
    const auto size = pread(fd, text, sizeof text - 1, 0);
    const int holder = size > 0 ? std::atoi(text) : 0;
    return fail(Code::kFailedPrecondition,
                holder > 0 ? fmt::format("{} is held by process {}", path, holder)
                           : fmt::format("{} is held by another process", path),
                std::move(hint));
  }
  // Only for people: when the disk is too full for six bytes, the lock still holds.
  const auto pid = fmt::format("{}\n", getpid());
  [[maybe_unused]] const bool told =
      ftruncate(fd, 0) == 0 &&
      pwrite(fd, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
  return lock;
}

Result<FileLock> FileLock::take_folder(const std::string& path, std::string hint) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, fmt::format("lock {}", path));
  FileLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return fail_errno(errno, fmt::format("lock {}", path));
  return fail(Code::kFailedPrecondition, fmt::format("{} is held by another process", path),
              std::move(hint));
}

}  // namespace penstock
