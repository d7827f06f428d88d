// Files as one .tar.gz.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace penstock::cli {

// POSIX ustar in gzip, for names of up to 99 bytes. `when`: seconds since 1970, of every file.
std::string tar_gz(const std::vector<std::pair<std::string, std::string>>& files,
                   std::int64_t when);

}  // namespace penstock::cli
