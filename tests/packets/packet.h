// Frames as a reader would say them, and back: a builder with right checksums, and `describe`,
// which prints a frame in one line and says so when a checksum is wrong. Packet tests compare those
// lines.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace penstock::packets {

using Frame = std::vector<std::uint8_t>;

enum TcpFlag : std::uint8_t { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

// Packet("02:..:01 > 02:..:02").ip("10.0.0.1 > 10.0.0.2").tcp(1000, 80, SYN).payload(10).frame()
class Packet {
 public:
  explicit Packet(std::string_view macs);  // "source > destination"
  Packet& vlan(std::uint16_t id);
  Packet& ip(std::string_view addresses);                 // "source > destination", either family
  Packet& options(int words);                             // IPv4 options (no-operations)
  Packet& extension(std::uint8_t header, int words = 0);  // IPv6; words of 8 bytes beyond the first
  // In bytes, a multiple of 8. First fragments carry the transport header; later ones only the
  // payload.
  Packet& fragment(std::uint32_t id, std::uint16_t offset, bool more);
  Packet& hops(std::uint8_t);
  Packet& tcp(std::uint16_t source, std::uint16_t destination, std::uint8_t flags,
              std::uint32_t sequence = 1000, std::uint32_t acknowledged = 0);
  Packet& udp(std::uint16_t source, std::uint16_t destination);
  Packet& sctp(std::uint16_t source, std::uint16_t destination);
  Packet& icmp(std::uint8_t type, std::uint8_t code,
               std::uint32_t rest = 0);   // of the family of ip()
  Packet& protocol(std::uint8_t number);  // any other, without a header
  Packet& payload(std::size_t bytes, std::uint8_t fill = 0x61);
  Packet& payload(std::span<const std::uint8_t>);
  Frame frame() const;

 private:
  Mac from_, to_;
  int vlan_ = -1;
  IpAddress source_, destination_;
  int option_words_ = 0;
  struct Extension {
    std::uint8_t header;
    int words;
  };
  std::vector<Extension> extensions_;
  bool fragmented_ = false, more_ = false;
  std::uint32_t fragment_id_ = 0;
  std::uint16_t offset_ = 0;
  std::uint8_t hops_ = 64, protocol_ = 255;
  Frame transport_, payload_;
};

// "who has 10.0.0.2, tell 10.0.0.1" and its answer. macs: "source > destination" of the Ethernet
// header.
Frame arp_request(std::string_view macs, std::string_view sender, std::string_view target,
                  std::string_view sender_mac = {});
Frame arp_reply(std::string_view macs, std::string_view sender, std::string_view target);
// IPv6 neighbour discovery; `option_mac` empty: no link-layer option.
Frame neighbor_solicitation(std::string_view macs, std::string_view ips, std::string_view target,
                            std::string_view option_mac);
Frame neighbor_advertisement(std::string_view macs, std::string_view ips, std::string_view target,
                             std::string_view option_mac);

// What follows the Ethernet header, as ICMP errors quote it.
std::vector<std::uint8_t> quoted(const Frame&, std::size_t bytes);

// One line, e.g. "02:00:00:00:00:02 > 02:00:00:00:00:01 ip4 10.0.0.2 > 10.0.0.1 tcp 80 > 1000
// RST,ACK ack 1001".
std::string describe(const Frame&);

}  // namespace penstock::packets
