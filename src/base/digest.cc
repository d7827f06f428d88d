#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/sha.h>

namespace penstock {

std::string Digest::text() const {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const auto byte : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  return out;
}

Digest digest(std::span<const std::byte> data) {
  Digest out;
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.bytes.data());
  return out;
}

Digest digest(std::string_view text) { return digest(std::as_bytes(std::span(text))); }

}  // namespace penstock
