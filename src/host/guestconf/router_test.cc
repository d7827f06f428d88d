#include "host/guestconf/router.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "host/guestconf/test_guest.h"

namespace penstock::host {
namespace {

Frame solicitation(const IpAddress& source, bool names_source) {
  ByteWriter out;
  out.u8(133).u8(0).u16(0).u32(0);
  if (names_source) out.u8(1).u8(1).mac(web().mac);
  return make_icmp6({web().mac, *Mac::parse("33:33:00:00:00:02"), source, ip("ff02::2")},
                    out.view());
}

struct Advertisement {
  int flags = 0, lifetime = 0;
  std::multimap<int, std::string> options;  // after type and length
};
Advertisement read(const std::optional<Frame>& frame) {
  Advertisement advertisement;
  EXPECT_TRUE(frame);
  if (!frame) return advertisement;
  EXPECT_EQ(ByteReader(*frame).mac(), web().mac);
  const auto message = parse_icmp6(*frame);
  EXPECT_TRUE(message);
  EXPECT_EQ(message->source, ip("fe80::50:53ff:fe01:203"));
  EXPECT_EQ(message->destination, ip("ff02::1"));
  ByteReader in(message->message);
  EXPECT_EQ(in.u8(), 134);
  in.skip(4);
  advertisement.flags = in.u8();
  advertisement.lifetime = in.u16();
  in.skip(8);
  while (in.ok() && !in.empty()) {
    const auto type = in.u8();
    std::string text;
    for (const auto byte : in.bytes(in.u8() * 8U - 2))
      text += fmt::format("{:02x}", std::to_integer<int>(byte));
    advertisement.options.emplace(type, text);
  }
  EXPECT_TRUE(in.ok());
  return advertisement;
}
std::string option(const Advertisement& a, int type) {
  const auto found = a.options.find(type);
  return found == a.options.end() ? "none" : found->second;
}

TEST(RouterAdvertisement, SaysRouterPrefixMtuAndDns) {
  const auto said = read(router_advertisement(web()));
  EXPECT_EQ(said.flags, 0xc0);
  EXPECT_EQ(said.lifetime, 600);
  EXPECT_EQ(option(said, 1), "025053010203");
  EXPECT_EQ(option(said, 5), "000000000578");
  // On link, not for self-made addresses.
  EXPECT_EQ(option(said, 3),
            "4080"
            "00278d00"
            "00093a80"
            "00000000"
            "fd000001000000000000000000000000");
  EXPECT_EQ(option(said, 25),
            "0000"
            "00000258"
            "fd000001000000000000000000000002");
}

TEST(RouterAdvertisement, OffersSelfMadeAddressesOnlyWhereTheyAreTheGuestsOwn) {
  auto guest = web();
  guest.addresses[1].first = ip("fd00:1::ff:fe00:5");
  EXPECT_EQ(option(read(router_advertisement(guest)), 3).substr(0, 4), "40c0");
}

TEST(RouterAdvertisement, WithoutAGatewayItIsNoDefaultRouter) {
  auto guest = web();
  guest.gateways.pop_back();
  EXPECT_EQ(read(router_advertisement(guest)).lifetime, 0);
}

TEST(RouterAdvertisement, EachPrefixOnceAndNoneForHostAddresses) {
  auto guest = web();
  guest.addresses.push_back({ip("fd00:1::6"), 64});
  guest.addresses.push_back({ip("fd00:2::6"), 128});
  EXPECT_EQ(read(router_advertisement(guest)).options.count(3), 1U);
}

TEST(RouterAdvertisement, AGuestWithoutIpv6HearsNothing) {
  auto guest = web();
  guest.addresses.pop_back();
  EXPECT_FALSE(router_advertisement(guest));
}

TEST(RouterSolicitation, ValidityByTheRfc) {
  EXPECT_TRUE(is_router_solicitation(solicitation(kGuestLinkLocal, true)));
  EXPECT_TRUE(is_router_solicitation(solicitation(ip("::"), false)));
  EXPECT_FALSE(is_router_solicitation(solicitation(ip("::"), true)));
  auto routed = solicitation(kGuestLinkLocal, true);
  routed[14 + 7] = std::byte{254};  // hop limit
  EXPECT_FALSE(is_router_solicitation(routed));
  auto damaged = solicitation(kGuestLinkLocal, true);
  damaged.back() ^= std::byte{1};
  EXPECT_FALSE(is_router_solicitation(damaged));
  auto endless = solicitation(kGuestLinkLocal, true);
  endless[14 + 40 + 9] =
      std::byte{0};  // an option of length 0, with the checksum of the whole mended
  endless = make_icmp6({web().mac, web().mac, kGuestLinkLocal, ip("ff02::2")},
                       FrameView(endless).subspan(14 + 40));
  EXPECT_FALSE(is_router_solicitation(endless));
}

TEST(RouterSolicitation, DamagedFramesDoNoHarm) {
  torture(solicitation(kGuestLinkLocal, true),
          [](FrameView frame) { (void)is_router_solicitation(frame); });
}

}  // namespace
}  // namespace penstock::host
