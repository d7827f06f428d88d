// Addresses as the wire has them: bytes in network order, no strings past the edge.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/strong.h"

namespace penstock {

// VXLAN network identifier, 24 bits (RFC 7348 section 5). 0 is never given out.
using Vni = Strong<struct VniTag, std::uint32_t>;
// A NIC's number, unique in the whole deployment and never reused while its flows may live.
using PortId = Strong<struct PortIdTag, std::uint32_t>;

enum class Family : std::uint8_t { kV4 = 4, kV6 = 6 };

struct Mac {
  std::array<std::uint8_t, 6> bytes{};
  auto operator<=>(const Mac&) const = default;

  static Result<Mac> parse(std::string_view);  // "02:00:0a:00:01:05", case does not matter
  std::string text() const;
  bool multicast() const { return bytes[0] & 1; }
};

// An IPv4 address lies in the first four bytes, the rest are zero.
struct IpAddress {
  Family family = Family::kV4;
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const IpAddress&) const = default;

  static Result<IpAddress> parse(std::string_view);
  static IpAddress v4(std::uint32_t host_order);
  std::string text() const;  // RFC 5952 for IPv6
  int width() const { return family == Family::kV4 ? 32 : 128; }
  std::uint32_t v4_host_order() const;
  // This address plus n, for handing out addresses of a subnet. Wraps at the end of the family's space.
  IpAddress plus(std::uint64_t n) const;
};

struct IpPrefix {
  IpAddress address;  // host bits are zero
  std::uint8_t length = 0;
  auto operator<=>(const IpPrefix&) const = default;

  // "10.0.0.0/8", "2001:db8::/32", or one address. Host bits set: refused with the network as hint.
  static Result<IpPrefix> parse(std::string_view);
  std::string text() const;
  bool contains(const IpAddress&) const;
  bool overlaps(const IpPrefix&) const;
  IpAddress last() const;
};

struct PortRange {
  std::uint16_t low = 0, high = 65535;  // both ends belong to it
  auto operator<=>(const PortRange&) const = default;

  static Result<PortRange> parse(std::string_view);  // "22", "8000-8080"
  std::string text() const;
};

// IP protocol by name or number: "tcp", "udp", "icmp", "icmpv6", "sctp", "gre", "esp", "ah", or 0..255.
Result<std::uint8_t> parse_ip_protocol(std::string_view);
std::string ip_protocol_text(std::uint8_t);

}  // namespace penstock
