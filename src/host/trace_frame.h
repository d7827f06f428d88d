// Frames as a VM would send them, made from the description of a packet, and back. Pure.
#pragma once

#include <optional>

#include "host/guestconf/guest.h"
#include "host/trace_run.h"
#include "penstock/v1/trace.pb.h"

namespace penstock::host {

// A description, read: addresses and numbers instead of words.
struct PacketSpec {
  IpAddress source, destination;
  Mac source_mac, destination_mac;  // all zero: not said
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t tcp_flags = 0;
  std::uint8_t icmp_type = 0, icmp_code = 0;
  std::uint16_t length = 0;  // of the IP packet; 0: no payload
};

// Source and destination must be addresses of one family. kInvalidArgument with the field.
Result<PacketSpec> parse_packet(const v1::TracedPacket&);
v1::TracedPacket described(const PacketSpec&);
// Of real packets: what is not said is any.
Result<TraceFilter> filter_of(const v1::TracedPacket&);
// What a frame on its way says; nothing: it is no IP packet.
std::optional<PacketSpec> packet_of(FrameView frame);

// kInvalidArgument: a length that the headers do not fit in.
Result<Frame> frame_of(const PacketSpec&);
// The question whose answer is the MAC of `target`: ARP or a neighbour solicitation, from the NIC.
Frame ask_for_mac(const Mac& own, const IpAddress& from, const IpAddress& target);
// The MAC that the answer names; nothing: it is none.
std::optional<Mac> mac_answered(FrameView frame);
// The group MAC of a multicast or IPv4 broadcast address (RFC 1112 section 6.4, RFC 2464 section
// 7).
std::optional<Mac> group_mac(const IpAddress&);

}  // namespace penstock::host
