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

// The digest of a set: the sum of its members' digests modulo 2^256. Kept up to date at the cost of
// what changes, the same in whatever order. It finds mistakes; against somebody who chooses the
// members to deceive it is weaker than a digest of the whole.
class SetDigest {
 public:
  void add(const Digest& member);
  void remove(const Digest& member);
  void add(const SetDigest& other);  // the union, or a difference made by add() and remove()
  std::string text() const;          // 64 lower-case hex digits
  bool operator==(const SetDigest&) const = default;

 private:
  std::array<std::uint64_t, 4> sum_{};  // lowest first
};

}  // namespace penstock
