// Where a daemon listens, as its options say it.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace penstock {

struct ListenAddress {
  std::string host;  // without brackets
  std::uint16_t port = 0;
  std::string path;  // of a Unix socket instead
};

// "127.0.0.1:7780", "[::1]:7780", "unix:/run/x.sock". Other than loopback only when `insecure`:
// transport is not encrypted yet.
Result<ListenAddress> parse_listen_address(const std::string& text, bool insecure);

}  // namespace penstock
