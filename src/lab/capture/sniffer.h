// Packets of several places at once, while they pass.
#pragma once

#include <linux/filter.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "lab/capture/pcapng.h"

namespace penstock::lab {

struct SniffPlace {
  std::string node;       // stands in the names of interfaces: "acme/web:eth0"
  std::string netns;      // path
  std::string interface;  // empty: all, also those that come later
};

struct SniffLimits {
  std::uint64_t packets = 0;  // 0: no end
  std::optional<std::chrono::nanoseconds> time;
};

struct SniffCounts {
  std::uint64_t packets = 0;
  std::uint64_t dropped = 0;  // by the kernel: we were too slow
};

// Writes a pcapng file by `write` (false: nobody reads any more) until a limit, a SIGINT or
// SIGTERM, which are blocked for the process. `ready` is called when all sockets are open; `tick`
// about once a second.
Result<SniffCounts> sniff(const std::vector<SniffPlace>&, const std::vector<sock_filter>&,
                          const SniffLimits&, const std::function<bool(std::string_view)>& write,
                          const std::function<void()>& ready,
                          const std::function<void(const SniffCounts&)>& tick);

}  // namespace penstock::lab
