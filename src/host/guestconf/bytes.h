// Reading and writing packets in network order. A reader past its end gives zeroes and says so by
// ok(): parsers ask once, at the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace penstock::host {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }
  std::span<const std::byte> rest() const { return rest_; }

  std::span<const std::byte> bytes(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  void skip(std::size_t count) { (void)bytes(count); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return number(4); }
  Mac mac() {
    Mac mac;
    copy(mac.bytes.data(), 6);
    return mac;
  }
  IpAddress v4() {
    IpAddress address;
    copy(address.bytes.data(), 4);
    return address;
  }
  IpAddress v6() {
    IpAddress address{Family::kV6, {}};
    copy(address.bytes.data(), 16);
    return address;
  }

 private:
  std::uint32_t number(std::size_t width) {
    std::uint32_t value = 0;
    for (const auto byte : bytes(width)) value = value << 8 | std::to_integer<std::uint32_t>(byte);
    return value;
  }
  void copy(std::uint8_t* to, std::size_t count) {
    if (const auto from = bytes(count); !from.empty()) std::memcpy(to, from.data(), count);
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

class ByteWriter {
 public:
  std::size_t size() const { return bytes_.size(); }
  std::vector<std::byte> take() { return std::move(bytes_); }
  std::span<const std::byte> view() const { return bytes_; }

  ByteWriter& u8(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  ByteWriter& u16(unsigned value) { return u8(value >> 8).u8(value); }
  ByteWriter& u32(std::uint32_t value) { return u16(value >> 16).u16(value); }
  ByteWriter& raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  ByteWriter& text(std::string_view text) { return raw(std::as_bytes(std::span(text))); }
  ByteWriter& zeroes(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  ByteWriter& mac(const Mac& mac) { return raw(std::as_bytes(std::span(mac.bytes))); }
  ByteWriter& ip(const IpAddress& address) {
    return raw(std::as_bytes(std::span(address.bytes))
                   .first(static_cast<std::size_t>(address.width() / 8)));
  }
  // Overwrites 16 bits written before.
  void put_u16(std::size_t at, unsigned value) {
    bytes_[at] = static_cast<std::byte>(value >> 8);
    bytes_[at + 1] = static_cast<std::byte>(value);
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace penstock::host
