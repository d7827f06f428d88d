// What the operating system says about this process and its disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"

namespace penstock {

// Memory that is in use by this process; 0: it cannot be told.
std::int64_t resident_bytes();

Result<DiskSpace> disk_space(const std::string& path);

}  // namespace penstock
