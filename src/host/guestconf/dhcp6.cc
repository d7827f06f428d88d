#include "host/guestconf/dhcp6.h"

#include <algorithm>

#include "host/gateway.h"
#include "host/guestconf/bytes.h"
#include "host/guestconf/packet.h"

namespace penstock::host {
namespace {

constexpr std::uint16_t kServerPort = 547, kClientPort = 546;
constexpr std::size_t kMostDns = 8, kMostAssociations = 4, kMostAddresses = 16;
constexpr std::size_t kLongestDuid = 130;  // RFC 8415 section 11.1

enum Type : std::uint8_t {
  kSolicit = 1,
  kAdvertise = 2,
  kRequest = 3,
  kConfirm = 4,
  kRenew = 5,
  kRebind = 6,
  kReply = 7,
  kRelease = 8,
  kDecline = 9,
  kInformationRequest = 11,
};
enum Option : std::uint16_t {
  kClientId = 1,
  kServerId = 2,
  kIaNa = 3,
  kIaTa = 4,
  kIaAddress = 5,
  kStatus = 13,
  kRapidCommit = 14,
  kDns = 23,
  kIaPd = 25,
};
enum StatusCode : std::uint16_t { kSuccess = 0, kNoAddresses = 2, kNotOnLink = 4, kNoPrefixes = 6 };

// An identity association: what the client wants addresses for.
struct Association {
  std::uint16_t kind = kIaNa;
  std::uint32_t id = 0;
  std::vector<IpAddress> addresses;  // that it has or would like
};

struct Request {
  std::uint8_t type = 0;
  std::uint32_t id = 0;  // 24 bits
  FrameView client, server;
  bool rapid = false;
  std::vector<Association> associations;
};

bool read_association(std::uint16_t kind, FrameView value, Request& request) {
  ByteReader in(value);
  Association association{kind, in.u32(), {}};
  if (kind != kIaTa) in.skip(8);  // T1, T2: ours count
  while (in.ok() && !in.empty()) {
    const auto code = in.u16();
    const auto body = in.bytes(in.u16());
    if (code != kIaAddress) continue;
    ByteReader address(body);
    association.addresses.push_back(address.v6());
    address.skip(8);
    if (!address.ok() || association.addresses.size() > kMostAddresses) return false;
  }
  request.associations.push_back(std::move(association));
  return in.ok() && request.associations.size() <= kMostAssociations;
}

std::optional<Request> parse(FrameView payload) {
  ByteReader in(payload);
  Request request;
  request.type = in.u8();
  request.id = in.u8();
  request.id = request.id << 16 | in.u16();
  while (in.ok() && !in.empty()) {
    const auto code = in.u16();
    const auto value = in.bytes(in.u16());
    switch (code) {
      case kClientId:
        request.client = value;
        break;
      case kServerId:
        request.server = value;
        break;
      case kRapidCommit:
        request.rapid = true;
        break;
      case kIaNa:
      case kIaTa:
      case kIaPd:
        if (!read_association(code, value, request)) return std::nullopt;
        break;
      default:
        break;
    }
  }
  if (!in.ok() || request.client.size() > kLongestDuid) return std::nullopt;
  return request;
}

// DUID-LL (RFC 8415 section 11.4) of the gateway's MAC: the same on every host.
Frame server_id(const Guest& guest) {
  ByteWriter out;
  out.u16(3).u16(1).mac(gateway_mac(guest.vni));
  return out.take();
}

// RFC 8415 sections 16.2 to 16.12: which messages must and must not name client and server.
bool acceptable(const Request& request, FrameView own_id) {
  const bool names_us = std::ranges::equal(request.server, own_id);
  switch (request.type) {
    case kSolicit:
    case kConfirm:
    case kRebind:
      return !request.client.empty() && request.server.empty();
    case kRequest:
    case kRenew:
    case kRelease:
    case kDecline:
      return !request.client.empty() && names_us;
    case kInformationRequest:
      return (request.server.empty() || names_us) && request.associations.empty();
    default:
      return false;
  }
}

void put_option(ByteWriter& out, std::uint16_t code, FrameView value) {
  out.u16(code).u16(static_cast<unsigned>(value.size())).raw(value);
}
void put_status(ByteWriter& out, StatusCode code, std::string_view text) {
  out.u16(kStatus).u16(static_cast<unsigned>(2 + text.size())).u16(code).text(text);
}
void put_address(ByteWriter& out, const IpAddress& address, std::uint32_t lifetime) {
  out.u16(kIaAddress).u16(24).ip(address).u32(lifetime).u32(lifetime);
}

bool is_own(const Guest& guest, const IpAddress& address) {
  return std::ranges::find(guest.addresses, address, &std::pair<IpAddress, std::uint8_t>::first) !=
         guest.addresses.end();
}

void put_association(ByteWriter& out, const Guest& guest, const Association& association,
                     bool gets_addresses) {
  const auto lease = static_cast<std::uint32_t>(guest.lease.count());
  ByteWriter body;
  body.u32(association.id);
  if (association.kind != kIaTa)
    body.u32(gets_addresses ? lease / 2 : 0).u32(gets_addresses ? lease / 5 * 4 : 0);
  if (gets_addresses) {
    for (const auto& [address, length] : guest.addresses) {
      if (address.family == Family::kV6) put_address(body, address, lease);
    }
    // Addresses it believes in and must give up (section 18.3.4).
    for (const auto& held : association.addresses) {
      if (!is_own(guest, held)) put_address(body, held, 0);
    }
  } else if (association.kind == kIaPd) {
    put_status(body, kNoPrefixes, "no prefixes are delegated");
  } else {
    put_status(body, kNoAddresses, "all addresses of this NIC are in its first IA_NA");
  }
  put_option(out, association.kind, body.view());
}

void put_associations(ByteWriter& out, const Guest& guest, const Request& request) {
  bool given = !guest.address(Family::kV6);
  for (const auto& association : request.associations) {
    const bool gets = association.kind == kIaNa && !given;
    given = given || gets;
    put_association(out, guest, association, gets);
  }
}

// Nothing when it asks about no address at all (section 18.3.3).
std::optional<StatusCode> confirm(const Guest& guest, const Request& request) {
  bool any = false, all_ours = true;
  for (const auto& association : request.associations) {
    for (const auto& address : association.addresses) {
      any = true;
      all_ours = all_ours && is_own(guest, address);
    }
  }
  if (!any) return std::nullopt;
  return all_ours ? kSuccess : kNotOnLink;
}

void put_dns(ByteWriter& out, const Guest& guest) {
  ByteWriter servers;
  for (const auto& server : guest.dns) {
    if (server.family == Family::kV6 && servers.size() < 16 * kMostDns) servers.ip(server);
  }
  if (servers.size() > 0) put_option(out, kDns, servers.view());
}

}  // namespace

std::optional<Frame> answer_dhcp6(const Guest& guest, FrameView frame) {
  const auto message = parse_udp(frame);
  if (!message || message->source.family != Family::kV6 ||
      message->destination_port != kServerPort) {
    return std::nullopt;
  }
  const auto request = parse(message->payload);
  const auto own_id = server_id(guest);
  if (!request || !acceptable(*request, own_id)) return std::nullopt;

  const bool rapid = request->type == kSolicit && request->rapid;
  ByteWriter out;
  out.u8(request->type == kSolicit && !rapid ? kAdvertise : kReply)
      .u8(request->id >> 16)
      .u16(request->id);
  if (!request->client.empty()) put_option(out, kClientId, request->client);
  put_option(out, kServerId, own_id);
  if (rapid) put_option(out, kRapidCommit, {});
  switch (request->type) {
    case kConfirm: {
      const auto status = confirm(guest, *request);
      if (!status) return std::nullopt;
      put_status(out, *status,
                 *status == kSuccess ? "the addresses are right" : "not the addresses of this NIC");
      break;
    }
    case kRelease:
    case kDecline:
      put_status(out, kSuccess, "noted");
      break;
    case kInformationRequest:
      break;
    default:
      put_associations(out, guest, *request);
  }
  put_dns(out, guest);
  const Ends ends{gateway_mac(guest.vni), guest.mac, gateway_link_local(guest.vni),
                  message->source};
  return make_udp(ends, kServerPort, kClientPort, out.view());
}

}  // namespace penstock::host
