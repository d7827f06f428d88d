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

namespace {

using Words = std::array<std::uint64_t, 4>;

Words words_of(const Digest& digest) {
  Words out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = 0;
    for (std::size_t byte = 8; byte-- > 0;) out[i] = out[i] << 8 | digest.bytes[8 * i + byte];
  }
  return out;
}

void add_to(Words& sum, const Words& other) {
  unsigned long long carry = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const auto half = __builtin_add_overflow(sum[i], carry, &sum[i]);
    carry = __builtin_add_overflow(sum[i], other[i], &sum[i]) | half;
  }
}

}  // namespace

void SetDigest::add(const Digest& member) {
  add_to(sum_, words_of(member));
}

void SetDigest::remove(const Digest& member) {
  auto negative = words_of(member);
  for (auto& word : negative) word = ~word;
  add_to(negative, {1, 0, 0, 0});
  add_to(sum_, negative);
}

void SetDigest::add(const SetDigest& other) {
  add_to(sum_, other.sum_);
}

std::string SetDigest::text() const {
  return fmt::format("{:016x}{:016x}{:016x}{:016x}", sum_[3], sum_[2], sum_[1], sum_[0]);
}

Digest digest(std::string_view text) {
  return digest(std::as_bytes(std::span(text)));
}

}  // namespace penstock
