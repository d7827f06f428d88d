#include "host/guestconf/dhcp4.h"

#include <algorithm>

#include "host/gateway.h"
#include "host/guestconf/bytes.h"
#include "host/guestconf/packet.h"

namespace penstock::host {
namespace {

constexpr std::uint16_t kServerPort = 67, kClientPort = 68;
constexpr std::uint32_t kCookie = 0x63825363;
constexpr std::size_t kLeastBytes =
    300;  // of a BOOTP message; some relays and clients drop shorter ones
constexpr std::size_t kMostDns = 8;
constexpr std::uint16_t kBroadcastFlag = 0x8000;

enum Type : std::uint8_t {
  kDiscover = 1,
  kOffer,
  kRequest,
  kDecline,
  kAck,
  kNak,
  kRelease,
  kInform
};
// RFC 2132; 121: RFC 3442.
enum Option : std::uint8_t {
  kPad = 0,
  kSubnetMask = 1,
  kRouter = 3,
  kDns = 6,
  kHostname = 12,
  kMtu = 26,
  kRequestedAddress = 50,
  kLeaseTime = 51,
  kMessageType = 53,
  kServerId = 54,
  kParameterList = 55,
  kRenewalTime = 58,
  kRebindingTime = 59,
  kClientId = 61,
  kClasslessRoutes = 121,
  kEnd = 255,
};

struct Request {
  std::uint32_t id = 0;
  std::uint16_t flags = 0;
  IpAddress client_address;  // ciaddr: the address it uses already; 0.0.0.0: none
  Mac hardware;
  std::uint8_t type = 0;
  std::optional<IpAddress> requested, server;
  FrameView wanted;     // codes it asks for; empty: it leaves that to us
  FrameView client_id;  // sent back (RFC 6842)

  bool wants(std::uint8_t code) const {
    return wanted.empty() ||
           std::ranges::find(wanted, static_cast<std::byte>(code)) != wanted.end();
  }
};

bool read_options(ByteReader in, Request& request) {
  while (in.ok() && !in.empty()) {
    const auto code = in.u8();
    if (code == kPad) continue;
    if (code == kEnd) break;
    const auto value = in.bytes(in.u8());
    ByteReader field(value);
    switch (code) {
      case kMessageType:
        request.type = field.u8();
        break;
      case kRequestedAddress:
        request.requested = field.v4();
        break;
      case kServerId:
        request.server = field.v4();
        break;
      case kParameterList:
        request.wanted = value;
        break;
      case kClientId:
        request.client_id = value;
        break;
      default:
        break;
    }
    if (!field.ok()) return false;
  }
  return in.ok() && request.type != 0;
}

std::optional<Request> parse(FrameView payload) {
  ByteReader in(payload);
  Request request;
  const auto op = in.u8(), hardware_type = in.u8(), hardware_length = in.u8();
  in.skip(1);
  request.id = in.u32();
  in.skip(2);
  request.flags = in.u16();
  request.client_address = in.v4();
  in.skip(8);  // yiaddr, siaddr
  const auto relay = in.v4();
  request.hardware = in.mac();
  in.skip(10 + 64 + 128);  // rest of chaddr, sname, file
  const auto cookie = in.u32();
  // A relay between a guest and its own host there cannot be.
  if (!in.ok() || op != 1 || hardware_type != 1 || hardware_length != 6 || cookie != kCookie ||
      relay != IpAddress{}) {
    return std::nullopt;
  }
  if (!read_options(in, request)) return std::nullopt;
  return request;
}

IpAddress mask_of(std::uint8_t length) {
  return IpAddress::v4(length == 0 ? 0 : ~std::uint32_t{0} << (32 - length));
}

// A network without a gateway needs a server address all the same. This one is link-local: a
// renewal sent to it goes nowhere, and the client's rebinding broadcast gets the answer.
IpAddress server_of(const Guest& guest) {
  const auto* gateway = guest.gateway(Family::kV4);
  return gateway ? *gateway : IpAddress::v4(0xa9fe'fffe);  // 169.254.255.254
}

// What REQUEST may get, by the state the client is in (RFC 2131 section 4.3.2). Nothing: not for
// us.
std::optional<Type> judge_request(const Request& request, const Guest& guest,
                                  const IpAddress& address) {
  if (request.server && *request.server != server_of(guest)) return std::nullopt;
  const bool in_use = request.client_address != IpAddress{};  // renewing, rebinding
  const auto asked = in_use ? request.client_address : request.requested.value_or(IpAddress{});
  return asked == address ? kAck : kNak;
}

void put_address(ByteWriter& out, Option code, const IpAddress& address) {
  out.u8(code).u8(4).ip(address);
}
void put_seconds(ByteWriter& out, Option code, std::chrono::seconds time) {
  out.u8(code).u8(4).u32(static_cast<std::uint32_t>(time.count()));
}

// RFC 3442: when it is there, a client ignores the router option, so the default route is in it
// too. The gateway is reached directly, also from an address that is alone in its subnet.
void put_routes(ByteWriter& out, const IpAddress& gateway, bool on_link) {
  out.u8(kClasslessRoutes).u8(on_link ? 5 : 14);
  if (!on_link) out.u8(32).ip(gateway).ip(IpAddress{});
  out.u8(0).ip(gateway);
}

void put_configuration(ByteWriter& out, const Guest& guest, const Request& request) {
  const auto& [address, length] = *guest.address(Family::kV4);
  put_address(out, kSubnetMask, mask_of(length));
  if (const auto* gateway = guest.gateway(Family::kV4)) {
    const auto mask = mask_of(length).v4_host_order();
    const bool on_link = (gateway->v4_host_order() & mask) == (address.v4_host_order() & mask);
    if (request.wants(kRouter)) put_address(out, kRouter, *gateway);
    if (request.wants(kClasslessRoutes)) put_routes(out, *gateway, on_link);
  }
  std::vector<IpAddress> dns;
  for (const auto& server : guest.dns) {
    if (server.family == Family::kV4 && dns.size() < kMostDns) dns.push_back(server);
  }
  if (!dns.empty() && request.wants(kDns)) {
    out.u8(kDns).u8(static_cast<unsigned>(4 * dns.size()));
    for (const auto& server : dns) out.ip(server);
  }
  if (guest.mtu >= 68 && request.wants(kMtu))
    out.u8(kMtu).u8(2).u16(static_cast<unsigned>(guest.mtu));
  const auto hostname = guest.hostname.substr(0, 63);
  if (!hostname.empty() && request.wants(kHostname)) {
    out.u8(kHostname).u8(static_cast<unsigned>(hostname.size())).text(hostname);
  }
}

Frame make_answer(const Guest& guest, const Request& request, Type type) {
  const auto& address = guest.address(Family::kV4)->first;
  const auto server = server_of(guest);
  const bool leases = request.type != kInform && type != kNak;
  ByteWriter out;
  out.u8(2).u8(1).u8(6).u8(0).u32(request.id).u16(0).u16(request.flags);
  out.ip(type == kAck ? request.client_address : IpAddress{});
  out.ip(leases ? address : IpAddress{});
  out.ip(type == kNak ? IpAddress{} : server);  // siaddr
  out.zeroes(4).mac(guest.mac).zeroes(10 + 64 + 128).u32(kCookie);
  out.u8(kMessageType).u8(1).u8(type);
  put_address(out, kServerId, server);
  if (!request.client_id.empty()) {
    out.u8(kClientId).u8(static_cast<unsigned>(request.client_id.size())).raw(request.client_id);
  }
  if (leases) {
    put_seconds(out, kLeaseTime, guest.lease);
    put_seconds(out, kRenewalTime, guest.lease / 2);
    put_seconds(out, kRebindingTime, guest.lease * 7 / 8);
  }
  if (type != kNak) put_configuration(out, guest, request);
  out.u8(kEnd);
  if (out.size() < kLeastBytes) out.zeroes(kLeastBytes - out.size());

  // RFC 2131 section 4.1: to the address it uses; or to all, when it says that it cannot hear
  // before it has one.
  Ends ends{gateway_mac(guest.vni), guest.mac, server, IpAddress::v4(0xffffffff)};
  const bool uses_one = request.client_address != IpAddress{} && type != kNak;
  if (uses_one)
    ends.destination = request.client_address;
  else if (type != kNak && !(request.flags & kBroadcastFlag))
    ends.destination = address;
  else
    ends.destination_mac = Mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  return make_udp(ends, kServerPort, kClientPort, out.view());
}

}  // namespace

std::optional<Frame> answer_dhcp4(const Guest& guest, FrameView frame) {
  const auto* own = guest.address(Family::kV4);
  const auto message = parse_udp(frame);
  if (!own || !message || message->source.family != Family::kV4 ||
      message->destination_port != kServerPort) {
    return std::nullopt;
  }
  const auto request = parse(message->payload);
  if (!request || request->hardware != guest.mac) return std::nullopt;
  switch (request->type) {
    case kDiscover:
      return make_answer(guest, *request, kOffer);
    case kRequest:
      if (const auto verdict = judge_request(*request, guest, own->first)) {
        return make_answer(guest, *request, *verdict);
      }
      return std::nullopt;
    case kInform:
      // Only to the address it claims when that is its own.
      if (request->client_address != own->first) return std::nullopt;
      return make_answer(guest, *request, kAck);
    default:
      return std::nullopt;  // RELEASE, DECLINE: there is no lease to give up
  }
}

}  // namespace penstock::host
