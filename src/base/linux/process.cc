#include "base/linux/process.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace penstock {

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return file ? resident * sysconf(_SC_PAGESIZE) : 0;
}

Result<DiskSpace> disk_space(const std::string& path) {
  struct statvfs found {};
  if (statvfs(path.c_str(), &found) != 0) return fail_errno(errno, "look at the disk of " + path);
  const auto unit = static_cast<std::int64_t>(found.f_frsize);
  return DiskSpace{static_cast<std::int64_t>(found.f_bavail) * unit,
                   static_cast<std::int64_t>(found.f_blocks) * unit};
}

}  // namespace penstock
