#include "host/trace_frame.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "host/guestconf/bytes.h"
#include "host/guestconf/packet.h"
#include "lib/parse.h"

namespace penstock::host {
namespace {

constexpr std::array<std::string_view, 8> kFlagNames{"fin", "syn", "rst", "psh",
                                                     "ack", "urg", "ece", "cwr"};
constexpr std::uint16_t kStandardPort = 49152;  // first of the dynamic ones (RFC 6335)
constexpr std::uint16_t kEchoIdentifier = 0x7073;

bool is_icmp(std::uint8_t protocol) {
  return protocol == PS_PROTO_ICMP || protocol == PS_PROTO_ICMP6;
}
bool has_ports(std::uint8_t protocol) {
  return protocol == PS_PROTO_TCP || protocol == PS_PROTO_UDP || protocol == PS_PROTO_SCTP ||
         protocol == PS_PROTO_UDPLITE;
}

Result<std::uint8_t> byte_of(std::string_view text, std::string field) {
  unsigned value = 256;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > 255)
    return fail_field(std::move(field), fmt::format("\"{}\" is not a number up to 255", text));
  return static_cast<std::uint8_t>(value);
}

Result<std::uint16_t> port_of(std::uint32_t value, std::string field) {
  if (value > 65535) return fail_field(std::move(field), fmt::format("{} is not a port", value));
  return static_cast<std::uint16_t>(value);
}

Status read_icmp(const v1::TracedPacket& packet, PacketSpec& out) {
  out.icmp_type = out.source.family == Family::kV4 ? 8 : 128;
  if (packet.icmp().empty()) return {};
  const std::string_view text = packet.icmp();
  const auto slash = text.find('/');
  out.icmp_type = PENSTOCK_TRY(byte_of(text.substr(0, slash), "packet.icmp"));
  if (slash != std::string_view::npos)
    out.icmp_code = PENSTOCK_TRY(byte_of(text.substr(slash + 1), "packet.icmp"));
  return {};
}

Status read_flags(const v1::TracedPacket& packet, PacketSpec& out) {
  for (const auto& name : packet.tcp_flags()) {
    const auto found = std::ranges::find(kFlagNames, name);
    if (found == kFlagNames.end())
      return fail_field("packet.tcpFlags", fmt::format("\"{}\" is not a TCP flag", name),
                        "fin, syn, rst, psh, ack, urg, ece or cwr");
    out.tcp_flags |= static_cast<std::uint8_t>(1U << (found - kFlagNames.begin()));
  }
  if (packet.tcp_flags().empty()) out.tcp_flags = PS_TCP_SYN;
  return {};
}

Result<Mac> mac_of(const std::string& text, const char* field) {
  if (text.empty()) return Mac{};
  auto mac = Mac::parse(text);
  if (!mac) return fail_field(field, mac.error().message);
  return *mac;
}

}  // namespace

Result<PacketSpec> parse_packet(const v1::TracedPacket& packet) {
  PacketSpec out;
  const auto source = IpAddress::parse(packet.source());
  if (!source) return fail_field("packet.source", source.error().message);
  const auto destination = IpAddress::parse(packet.destination());
  if (!destination) return fail_field("packet.destination", destination.error().message);
  if (source->family != destination->family)
    return fail_field("packet.source", fmt::format("{} and {} are of different families",
                                                   source->text(), destination->text()));
  out.source = *source;
  out.destination = *destination;
  out.source_mac = PENSTOCK_TRY(mac_of(packet.source_mac(), "packet.sourceMac"));
  out.destination_mac = PENSTOCK_TRY(mac_of(packet.destination_mac(), "packet.destinationMac"));
  const auto protocol = parse_ip_protocol(packet.protocol().empty() ? "icmp" : packet.protocol());
  if (!protocol)
    return fail_field("packet.protocol", protocol.error().message, protocol.error().hint);
  out.protocol = *protocol;
  // One word for both: who asks for "icmp" to an IPv6 address means ICMPv6.
  if (out.protocol == PS_PROTO_ICMP && source->family == Family::kV6) out.protocol = PS_PROTO_ICMP6;
  if (has_ports(out.protocol)) {
    out.source_port = PENSTOCK_TRY(port_of(packet.source_port(), "packet.sourcePort"));
    out.destination_port =
        PENSTOCK_TRY(port_of(packet.destination_port(), "packet.destinationPort"));
    if (out.source_port == 0) out.source_port = kStandardPort;
    if (out.destination_port == 0)
      return fail_field("packet.destinationPort", "a destination port is needed",
                        "for example 10.0.2.7:22/tcp");
  } else if (packet.source_port() != 0 || packet.destination_port() != 0) {
    return fail_field("packet.destinationPort",
                      fmt::format("{} has no ports", ip_protocol_text(out.protocol)));
  }
  if (is_icmp(out.protocol)) PENSTOCK_CHECK(read_icmp(packet, out));
  if (out.protocol == PS_PROTO_TCP) PENSTOCK_CHECK(read_flags(packet, out));
  if (packet.length() < 0 || packet.length() > 3000)
    return fail_field("packet.length", "a packet has at most 3000 bytes here");
  out.length = static_cast<std::uint16_t>(packet.length());
  return out;
}

Result<TraceFilter> filter_of(const v1::TracedPacket& packet) {
  TraceFilter out;
  const auto destination = IpAddress::parse(packet.destination());
  if (!destination) return fail_field("packet.destination", destination.error().message);
  out.family = destination->family;
  out.address[1] = *destination;
  if (!packet.source().empty()) {
    const auto source = IpAddress::parse(packet.source());
    if (!source || source->family != out.family)
      return fail_field("packet.source", "is not an address of the destination's family");
    out.address[0] = *source;
  }
  if (!packet.protocol().empty()) {
    out.protocol = PENSTOCK_TRY(parse_ip_protocol(packet.protocol()));
    if (out.protocol == PS_PROTO_ICMP && out.family == Family::kV6) out.protocol = PS_PROTO_ICMP6;
  }
  out.port[0] = PENSTOCK_TRY(port_of(packet.source_port(), "packet.sourcePort"));
  out.port[1] = PENSTOCK_TRY(port_of(packet.destination_port(), "packet.destinationPort"));
  return out;
}

v1::TracedPacket described(const PacketSpec& spec) {
  v1::TracedPacket out;
  out.set_source(spec.source.text());
  out.set_destination(spec.destination.text());
  out.set_protocol(is_icmp(spec.protocol) ? "icmp" : ip_protocol_text(spec.protocol));
  out.set_source_port(spec.source_port);
  out.set_destination_port(spec.destination_port);
  if (spec.protocol == PS_PROTO_TCP)
    for (std::size_t i = 0; i < kFlagNames.size(); ++i)
      if (spec.tcp_flags >> i & 1) out.add_tcp_flags(std::string(kFlagNames[i]));
  if (is_icmp(spec.protocol)) out.set_icmp(fmt::format("{}/{}", spec.icmp_type, spec.icmp_code));
  out.set_source_mac(spec.source_mac.text());
  out.set_destination_mac(spec.destination_mac.text());
  out.set_length(spec.length);
  return out;
}

std::optional<PacketSpec> packet_of(FrameView frame) {
  ps_native_frame view{reinterpret_cast<const __u8*>(frame.data()),
                       static_cast<__u32>(frame.size())};
  ps_packet packet{};
  if (ps_parse(&view, &packet) != 0 || packet.family == 0) return {};
  PacketSpec out;
  out.source.family = out.destination.family = packet.family == 4 ? Family::kV4 : Family::kV6;
  std::memcpy(out.source.bytes.data(), packet.src.b, 16);
  std::memcpy(out.destination.bytes.data(), packet.dst.b, 16);
  ps_mac_store(out.source_mac.bytes.data(), &packet.src_mac);
  ps_mac_store(out.destination_mac.bytes.data(), &packet.dst_mac);
  out.protocol = packet.proto;
  out.source_port = packet.sport;
  out.destination_port = packet.dport;
  out.tcp_flags = packet.tcp_flags;
  out.icmp_type = packet.icmp_type;
  out.icmp_code = packet.icmp_code;
  return out;
}

Result<Frame> frame_of(const PacketSpec& spec) {
  const std::size_t header = spec.source.family == Family::kV4 ? 20 : 40;
  ByteWriter body;
  std::size_t checksum_at = 0;
  switch (spec.protocol) {
    case PS_PROTO_TCP:
      body.u16(spec.source_port).u16(spec.destination_port).u32(1000);
      body.u32(spec.tcp_flags & PS_TCP_ACK ? 1 : 0).u8(5 << 4).u8(spec.tcp_flags).u16(64240).u32(0);
      checksum_at = 16;
      break;
    case PS_PROTO_UDP:
      body.u16(spec.source_port).u16(spec.destination_port).u32(0);
      checksum_at = 6;
      break;
    case PS_PROTO_SCTP:
    case PS_PROTO_UDPLITE:
      body.u16(spec.source_port).u16(spec.destination_port).u32(0).u32(0);
      break;
    case PS_PROTO_ICMP:
    case PS_PROTO_ICMP6:
      body.u8(spec.icmp_type).u8(spec.icmp_code).u16(0).u16(kEchoIdentifier).u16(1);
      checksum_at = 2;
      break;
    default:
      body.u32(0);
      break;
  }
  if (spec.length != 0) {
    if (spec.length < header + body.size())
      return fail_field("packet.length",
                        fmt::format("the headers alone have {} bytes", header + body.size()));
    body.zeroes(spec.length - header - body.size());
  }
  if (spec.protocol == PS_PROTO_UDP) body.put_u16(4, static_cast<unsigned>(body.size()));
  if (spec.protocol == PS_PROTO_ICMP)
    body.put_u16(2, plain_checksum(body.view()));
  else if (checksum_at != 0)
    body.put_u16(checksum_at,
                 transport_checksum(spec.source, spec.destination, spec.protocol, body.view()));
  return make_packet({spec.source_mac, spec.destination_mac, spec.source, spec.destination},
                     spec.protocol, body.view());
}

Frame ask_for_mac(const Mac& own, const IpAddress& from, const IpAddress& target) {
  if (target.family == Family::kV4) {
    ByteWriter out;
    out.raw(std::as_bytes(std::span("\xff\xff\xff\xff\xff\xff", 6))).mac(own).u16(0x0806);
    out.u16(1).u16(0x0800).u8(6).u8(4).u16(1).mac(own).ip(from).zeroes(6).ip(target);
    return out.take();
  }
  // To the target's solicited-node group (RFC 4291 section 2.7.1).
  IpAddress group{Family::kV6, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
  std::copy_n(target.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  ByteWriter message;
  message.u8(135).u8(0).u16(0).u32(0).ip(target).u8(1).u8(1).mac(own);
  return make_icmp6({own, *group_mac(group), from, group}, message.view());
}

std::optional<Mac> mac_answered(FrameView frame) {
  ByteReader in(frame);
  in.skip(12);
  const auto type = in.u16();
  if (type == 0x0806) {
    in.skip(6);
    const auto operation = in.u16();
    const auto mac = in.mac();
    if (!in.ok() || operation != 2) return {};
    return mac;
  }
  // An advertisement with its one option, the target's MAC (RFC 4861 section 4.4).
  in.skip(40);
  const auto kind = in.u8();
  in.skip(23);
  const auto option = in.u16();
  const auto mac = in.mac();
  if (type != 0x86dd || !in.ok() || kind != 136 || option != 0x0201) return {};
  return mac;
}

std::optional<Mac> group_mac(const IpAddress& address) {
  const auto& b = address.bytes;
  if (address.family == Family::kV6) {
    if (b[0] != 0xff) return {};
    return Mac{{0x33, 0x33, b[12], b[13], b[14], b[15]}};
  }
  if (address.v4_host_order() == 0xffffffff) return Mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  if (b[0] >> 4 != 0xe) return {};
  return Mac{{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[1] & 0x7f), b[2], b[3]}};
}

}  // namespace penstock::host
