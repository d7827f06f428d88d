#include "host/guestconf/router.h"

#include <algorithm>
#include <set>

#include "host/gateway.h"
#include "host/guestconf/bytes.h"
#include "host/guestconf/packet.h"

namespace penstock::host {
namespace {

constexpr std::uint8_t kSolicitation = 133, kAdvertisement = 134;
enum Option : std::uint8_t { kSourceLinkLayer = 1, kPrefix = 3, kMtu = 5, kDns = 25 };
constexpr std::uint8_t kManaged = 0x80, kOther = 0x40;      // of the message
constexpr std::uint8_t kOnLink = 0x80, kAutonomous = 0x40;  // of a prefix
constexpr std::uint32_t kValid = 2'592'000,
                        kPreferred = 604'800;           // seconds, RFC 4861 section 6.2.1
constexpr std::int64_t kLongestRouterLifetime = 9'000;  // seconds, likewise
constexpr std::size_t kMostDns = 8;

// All options are as long as they say, and none says 0 (a receiver would never get past it).
bool options_fit(ByteReader in, bool* names_source) {
  while (in.ok() && !in.empty()) {
    const auto type = in.u8();
    const std::size_t units = in.u8();
    if (units == 0) return false;
    if (type == kSourceLinkLayer) *names_source = true;
    in.skip(units * 8 - 2);
  }
  return in.ok();
}

IpPrefix prefix_of(const IpAddress& address, std::uint8_t length) {
  IpPrefix prefix{address, length};
  for (std::size_t bit = length; bit < 128; ++bit) {
    prefix.address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
  }
  return prefix;
}

void put_prefixes(ByteWriter& out, const Guest& guest) {
  std::set<IpPrefix> told;
  for (const auto& [address, length] : guest.addresses) {
    // A host address (128) has no subnet to speak of.
    if (address.family != Family::kV6 || length == 128) continue;
    const auto prefix = prefix_of(address, length);
    if (!told.insert(prefix).second) continue;
    const bool self_made = length == 64 && eui64_address(prefix, guest.mac) == address;
    out.u8(kPrefix).u8(4).u8(length).u8(kOnLink | (self_made ? kAutonomous : 0));
    out.u32(kValid).u32(kPreferred).u32(0).ip(prefix.address);
  }
}

void put_dns(ByteWriter& out, const Guest& guest) {
  std::vector<IpAddress> servers;
  for (const auto& server : guest.dns) {
    if (server.family == Family::kV6 && servers.size() < kMostDns) servers.push_back(server);
  }
  if (servers.empty()) return;
  out.u8(kDns).u8(static_cast<unsigned>(1 + 2 * servers.size())).u16(0);
  out.u32(static_cast<std::uint32_t>(3 * guest.ra_interval.count()));  // RFC 8106 section 5.1
  for (const auto& server : servers) out.ip(server);
}

}  // namespace

bool is_router_solicitation(FrameView frame) {
  const auto packet = parse_icmp6(frame);
  if (!packet) return false;
  ByteReader in(packet->message);
  const auto type = in.u8(), code = in.u8();
  in.skip(6);
  bool names_source = false;
  if (!in.ok() || type != kSolicitation || code != 0 || !options_fit(in, &names_source))
    return false;
  const bool unspecified = packet->source == IpAddress{Family::kV6, {}};
  return !(unspecified && names_source);
}

std::optional<Frame> router_advertisement(const Guest& guest) {
  if (!guest.address(Family::kV6)) return std::nullopt;
  const auto lifetime =
      guest.gateway(Family::kV6)
          ? std::min<std::int64_t>(3 * guest.ra_interval.count(), kLongestRouterLifetime)
          : 0;
  ByteWriter out;
  out.u8(kAdvertisement).u8(0).u16(0).u8(64).u8(kManaged | kOther);
  out.u16(static_cast<unsigned>(lifetime)).u32(0).u32(0);
  out.u8(kSourceLinkLayer).u8(1).mac(gateway_mac(guest.vni));
  if (guest.mtu >= 1280) out.u8(kMtu).u8(1).u16(0).u32(static_cast<std::uint32_t>(guest.mtu));
  put_prefixes(out, guest);
  put_dns(out, guest);
  // To all nodes at layer 3, to this guest alone at layer 2 (RFC 6085): the next port has another
  // gateway or MTU.
  const IpAddress all_nodes{Family::kV6, {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  return make_icmp6({gateway_mac(guest.vni), guest.mac, gateway_link_local(guest.vni), all_nodes},
                    out.view());
}

}  // namespace penstock::host
