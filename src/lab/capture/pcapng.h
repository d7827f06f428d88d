// Blocks of a pcapng file (draft-ietf-opsawg-pcapng), as bytes. Little endian, whatever the
// machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::lab::pcapng {

// Of an interface (tcpdump.org/linktypes.html).
inline constexpr std::uint16_t kEthernet = 1;
inline constexpr std::uint16_t kRawIp = 101;

struct Interface {
  std::string name;         // "h1:eth0"
  std::string description;  // may be empty
  std::uint16_t link_type = kEthernet;
  std::uint32_t most_bytes = 0;  // kept of a packet; 0: all
};

enum class Direction : std::uint32_t { kUnknown = 0, kIn = 1, kOut = 2 };

struct Packet {
  std::uint32_t interface = 0;       // in the order in which interfaces were described
  std::chrono::nanoseconds time{0};  // since 1970
  std::span<const std::byte> bytes;
  std::uint32_t length = 0;  // on the wire, when more than was kept
  Direction direction = Direction::kUnknown;
  std::span<const std::string> comments = {};
};

std::string section(std::string_view application, std::string_view comment);
std::string interface_block(const Interface&);
std::string packet_block(const Packet&);
// Counts of an interface at the end.
std::string statistics_block(std::uint32_t interface, std::chrono::nanoseconds time,
                             std::uint64_t received, std::uint64_t dropped);

}  // namespace penstock::lab::pcapng
