#include "base/http/listen_address.h"

#include <cstdlib>

namespace penstock {

Result<ListenAddress> parse_listen_address(const std::string& text, bool insecure) {
  ListenAddress address;
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    return address;
  }
  const auto colon = text.rfind(':');
  if (colon == text.npos)
    return fail(Code::kInvalidArgument, "\"" + text + "\" is not ADDRESS:PORT");
  address.host = text.substr(0, colon);
  if (address.host.size() > 2 && address.host.front() == '[')
    address.host = address.host.substr(1, address.host.size() - 2);
  char* end = nullptr;
  const auto port = std::strtoul(text.c_str() + colon + 1, &end, 10);
  if (*end != 0 || end == text.c_str() + colon + 1 || port > 65535)
    return fail(Code::kInvalidArgument, "\"" + text + "\" is not ADDRESS:PORT");
  address.port = static_cast<std::uint16_t>(port);
  const bool loopback = address.host == "::1" || address.host.starts_with("127.");
  if (!loopback && !insecure)
    return fail(Code::kFailedPrecondition,
                address.host + " is not a loopback address, and transport is not encrypted yet",
                "--insecure-listen allows it on networks you trust");
  return address;
}

}  // namespace penstock
