#include "host/guestconf/packet.h"

#include "host/guestconf/bytes.h"

namespace penstock::host {
namespace {

constexpr std::uint16_t kEthernet4 = 0x0800, kEthernet6 = 0x86dd;
constexpr std::uint8_t kUdp = 17, kIcmp6 = 58;

// RFC 1071.
std::uint32_t add(std::uint32_t sum, FrameView bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + 1]) : 0;
    sum += high << 8 | low;
  }
  return sum;
}
std::uint16_t folded(std::uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

struct IpPacket {
  Mac source_mac;
  IpAddress source, destination;
  std::uint8_t protocol = 0, hop_limit = 0;
  FrameView payload;
};

std::optional<IpPacket> parse_v4(ByteReader in, IpPacket packet) {
  const auto header_start = in.rest();
  const auto version = in.u8();
  const std::size_t header_bytes = (version & 15U) * 4U;
  in.skip(1);
  const std::size_t total = in.u16();
  in.skip(2);
  const auto fragment = in.u16();
  packet.hop_limit = in.u8();
  packet.protocol = in.u8();
  in.skip(2);
  packet.source = in.v4();
  packet.destination = in.v4();
  const bool fragmented = fragment & 0x3fff;  // more to come, or not the first
  if (!in.ok() || version >> 4 != 4 || header_bytes < 20 || total < header_bytes || fragmented)
    return std::nullopt;
  // Frames are padded to 60 bytes, so `total` may be less than what came.
  if (total > header_start.size()) return std::nullopt;
  if (folded(add(0, header_start.first(header_bytes))) != 0) return std::nullopt;
  packet.payload = header_start.subspan(header_bytes, total - header_bytes);
  return packet;
}

std::optional<IpPacket> parse_v6(ByteReader in, IpPacket packet) {
  const auto first = in.u32();
  const std::size_t length = in.u16();
  // Extension headers: clients of DHCPv6 and router solicitations send none.
  packet.protocol = in.u8();
  packet.hop_limit = in.u8();
  packet.source = in.v6();
  packet.destination = in.v6();
  packet.payload = in.bytes(length);
  if (!in.ok() || first >> 28 != 6) return std::nullopt;
  return packet;
}

std::optional<IpPacket> parse_ip(FrameView frame) {
  ByteReader in(frame);
  IpPacket packet;
  in.skip(6);
  packet.source_mac = in.mac();
  const auto type = in.u16();
  if (type == kEthernet4) return parse_v4(in, packet);
  if (type == kEthernet6) return parse_v6(in, packet);
  return std::nullopt;
}

void write_headers(ByteWriter& out, const Ends& ends, std::uint8_t protocol,
                   std::size_t payload_bytes) {
  out.mac(ends.destination_mac).mac(ends.source_mac);
  if (ends.source.family == Family::kV6) {
    out.u16(kEthernet6)
        .u32(6U << 28)
        .u16(static_cast<unsigned>(payload_bytes))
        .u8(protocol)
        .u8(255);
    out.ip(ends.source).ip(ends.destination);
    return;
  }
  ByteWriter header;
  header.u8(0x45).u8(0).u16(static_cast<unsigned>(20 + payload_bytes)).u16(0).u16(0x4000);
  header.u8(64).u8(protocol).u16(0).ip(ends.source).ip(ends.destination);
  header.put_u16(10, folded(add(0, header.view())));
  out.u16(kEthernet4).raw(header.view());
}

}  // namespace

std::uint16_t transport_checksum(const IpAddress& source, const IpAddress& destination,
                                 std::uint8_t protocol, FrameView message) {
  ByteWriter pseudo;
  pseudo.ip(source).ip(destination).u32(static_cast<std::uint32_t>(message.size())).u32(protocol);
  return folded(add(add(0, pseudo.view()), message));
}

std::uint16_t plain_checksum(FrameView bytes) {
  return folded(add(0, bytes));
}

std::optional<UdpMessage> parse_udp(FrameView frame) {
  const auto packet = parse_ip(frame);
  if (!packet || packet->protocol != kUdp) return std::nullopt;
  ByteReader in(packet->payload);
  UdpMessage message{packet->source_mac, packet->source, packet->destination,
                     in.u16(),           in.u16(),       {}};
  const std::size_t length = in.u16();
  in.skip(2);
  if (!in.ok() || length < 8 || length > packet->payload.size()) return std::nullopt;
  // The checksum is not asked: a guest leaves it to an offload that never runs between it and its
  // own host, and no wire lies between them.
  message.payload = packet->payload.subspan(8, length - 8);
  return message;
}

std::optional<Icmp6Message> parse_icmp6(FrameView frame) {
  const auto packet = parse_ip(frame);
  if (!packet || packet->protocol != kIcmp6 || packet->hop_limit != 255) return std::nullopt;
  if (packet->payload.size() < 4) return std::nullopt;
  if (transport_checksum(packet->source, packet->destination, kIcmp6, packet->payload) != 0)
    return std::nullopt;
  return Icmp6Message{packet->source_mac, packet->source, packet->destination, packet->payload};
}

Frame make_udp(const Ends& ends, std::uint16_t source_port, std::uint16_t destination_port,
               FrameView payload) {
  ByteWriter datagram;
  datagram.u16(source_port)
      .u16(destination_port)
      .u16(static_cast<unsigned>(8 + payload.size()))
      .u16(0)
      .raw(payload);
  auto checksum = transport_checksum(ends.source, ends.destination, kUdp, datagram.view());
  datagram.put_u16(6, checksum == 0 ? 0xffff : checksum);  // 0 would mean "none"
  ByteWriter out;
  write_headers(out, ends, kUdp, datagram.size());
  out.raw(datagram.view());
  return out.take();
}

Frame make_packet(const Ends& ends, std::uint8_t protocol, FrameView payload) {
  ByteWriter out;
  write_headers(out, ends, protocol, payload.size());
  out.raw(payload);
  return out.take();
}

Frame make_icmp6(const Ends& ends, FrameView message) {
  ByteWriter body;
  body.raw(message);
  body.put_u16(2, 0);
  body.put_u16(2, transport_checksum(ends.source, ends.destination, kIcmp6, body.view()));
  ByteWriter out;
  write_headers(out, ends, kIcmp6, body.size());
  out.raw(body.view());
  return out.take();
}

}  // namespace penstock::host
