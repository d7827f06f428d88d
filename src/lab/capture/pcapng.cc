#include "lab/capture/pcapng.h"

#include <algorithm>

namespace penstock::lab::pcapng {
namespace {

constexpr std::uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kPacket = 6, kStatistics = 5;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
// Options: of all blocks, then those of one kind.
constexpr std::uint16_t kComment = 1;
constexpr std::uint16_t kApplication = 4;                              // section
constexpr std::uint16_t kName = 2, kDescription = 3, kResolution = 9;  // interface
constexpr std::uint16_t kFlags = 2;                                    // packet
constexpr std::uint16_t kReceived = 4, kDropped = 5;                   // statistics
constexpr char kNanoseconds = 9;                                       // resolution: 10^-9

void put16(std::string& out, std::uint16_t value) {
  for (int shift = 0; shift < 16; shift += 8) out += static_cast<char>(value >> shift);
}
void put32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}
void put64(std::string& out, std::uint64_t value) {
  put32(out, static_cast<std::uint32_t>(value));
  put32(out, static_cast<std::uint32_t>(value >> 32));
}
void put_time(std::string& out, std::chrono::nanoseconds time) {
  const auto count = static_cast<std::uint64_t>(time.count());
  put32(out, static_cast<std::uint32_t>(count >> 32));
  put32(out, static_cast<std::uint32_t>(count));
}
void pad(std::string& out) {
  out.append((4 - out.size() % 4) % 4, '\0');
}

void option(std::string& out, std::uint16_t code, std::string_view value) {
  value = value.substr(0, 65'535);
  put16(out, code);
  put16(out, static_cast<std::uint16_t>(value.size()));
  out += value;
  pad(out);
}
void text_option(std::string& out, std::uint16_t code, std::string_view value) {
  if (!value.empty()) option(out, code, value);
}

// Type, length, body, length again; options of `body` end with a zero option.
std::string block(std::uint32_t type, std::string body) {
  put32(body, 0);
  std::string out;
  const auto length = static_cast<std::uint32_t>(body.size() + 12);
  put32(out, type);
  put32(out, length);
  out += body;
  put32(out, length);
  return out;
}

}  // namespace

std::string section(std::string_view application, std::string_view comment) {
  std::string body;
  put32(body, kByteOrder);
  put16(body, 1);  // version 1.0
  put16(body, 0);
  put64(body, ~0ULL);  // length of the section: not known
  text_option(body, kComment, comment);
  text_option(body, kApplication, application);
  return block(kSection, std::move(body));
}

std::string interface_block(const Interface& interface) {
  std::string body;
  put16(body, interface.link_type);
  put16(body, 0);
  put32(body, interface.most_bytes);
  text_option(body, kName, interface.name);
  text_option(body, kDescription, interface.description);
  option(body, kResolution, std::string(1, kNanoseconds));
  return block(kInterface, std::move(body));
}

std::string packet_block(const Packet& packet) {
  std::string body;
  put32(body, packet.interface);
  put_time(body, packet.time);
  put32(body, static_cast<std::uint32_t>(packet.bytes.size()));
  put32(body, std::max(packet.length, static_cast<std::uint32_t>(packet.bytes.size())));
  body.append(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
  pad(body);
  if (packet.direction != Direction::kUnknown) {
    std::string flags;
    put32(flags, static_cast<std::uint32_t>(packet.direction));
    option(body, kFlags, flags);
  }
  for (const auto& comment : packet.comments) text_option(body, kComment, comment);
  return block(kPacket, std::move(body));
}

std::string statistics_block(std::uint32_t interface, std::chrono::nanoseconds time,
                             std::uint64_t received, std::uint64_t dropped) {
  std::string body;
  put32(body, interface);
  put_time(body, time);
  for (const auto& [code, value] : {std::pair{kReceived, received}, {kDropped, dropped}}) {
    std::string number;
    put64(number, value);
    option(body, code, number);
  }
  return block(kStatistics, std::move(body));
}

}  // namespace penstock::lab::pcapng
