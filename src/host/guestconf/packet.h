// Frames around the messages: what came in, and what goes out.
#pragma once

#include <cstdint>
#include <optional>

#include "host/guestconf/guest.h"
#include "net/address.h"

namespace penstock::host {

// A UDP datagram inside an Ethernet frame; whole and unfragmented.
struct UdpMessage {
  Mac source_mac;
  IpAddress source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  FrameView payload;  // in the frame
};
std::optional<UdpMessage> parse_udp(FrameView frame);

// An ICMPv6 message with hop limit 255 (RFC 4861: it cannot have come from another link) and a
// right checksum.
struct Icmp6Message {
  Mac source_mac;
  IpAddress source, destination;
  FrameView message;  // from its type on
};
std::optional<Icmp6Message> parse_icmp6(FrameView frame);

struct Ends {
  Mac source_mac, destination_mac;
  IpAddress source, destination;  // of one family
};
Frame make_udp(const Ends&, std::uint16_t source_port, std::uint16_t destination_port,
               FrameView payload);
// Any protocol; `payload` is all that follows the IP header. A checksum in it is the caller's.
Frame make_packet(const Ends&, std::uint8_t protocol, FrameView payload);
// RFC 1071 over the pseudo header (RFC 768, RFC 8200 section 8.1) and the message, whose own field
// must be zero to get its value; 0 when that field is right.
std::uint16_t transport_checksum(const IpAddress& source, const IpAddress& destination,
                                 std::uint8_t protocol, FrameView message);
// RFC 1071 over the bytes alone: ICMP of IPv4.
std::uint16_t plain_checksum(FrameView);
// `message` starts with its type; its checksum field is filled in.
Frame make_icmp6(const Ends&, FrameView message);

}  // namespace penstock::host
