// Content digests: policy images, host intents, simulation traces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace penstock {

// SHA-256 (FIPS 180-4). Ordered and usable as a key; text() is 64 lower-case hex digits.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Digest&) const = default;
  std::string text() const;
};

Digest digest(std::span<const std::byte>);
Digest digest(std::string_view);

}  // namespace penstock
