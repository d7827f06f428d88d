#include "host/guestconf/dhcp4.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/guestconf/test_guest.h"

namespace penstock::host {
namespace {

struct Ask {
  std::uint8_t type = 1;
  IpAddress using_address{}, requested{}, server{};
  std::vector<std::uint8_t> wanted{};
  std::uint16_t flags = 0;
  Mac hardware = web().mac;
};

Frame ask(const Ask& a) {
  ByteWriter out;
  out.u8(1).u8(1).u8(6).u8(0).u32(0xcafe0001).u16(0).u16(a.flags).ip(a.using_address).zeroes(12);
  out.mac(a.hardware).zeroes(10 + 64 + 128).u32(0x63825363).u8(53).u8(1).u8(a.type);
  if (a.requested != IpAddress{}) out.u8(50).u8(4).ip(a.requested);
  if (a.server != IpAddress{}) out.u8(54).u8(4).ip(a.server);
  if (!a.wanted.empty())
    out.u8(55).u8(static_cast<unsigned>(a.wanted.size())).raw(std::as_bytes(std::span(a.wanted)));
  out.u8(255);
  const Mac all{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  return make_udp({web().mac, all, a.using_address, ip("255.255.255.255")}, 68, 67, out.view());
}

struct Answer {
  Mac to_mac;
  IpAddress from, to, client_address, your_address;
  std::uint32_t id = 0;
  std::map<int, std::string> options;  // as hexadecimal digits
  std::size_t bytes = 0;
};

std::optional<Answer> read(const std::optional<Frame>& frame) {
  if (!frame) return std::nullopt;
  const auto udp = parse_udp(*frame);
  EXPECT_TRUE(udp);
  EXPECT_EQ(udp->source_mac, gateway_mac(web().vni));
  EXPECT_EQ(udp->source_port, 67);
  EXPECT_EQ(udp->destination_port, 68);
  Answer answer{ByteReader(*frame).mac(), udp->source, udp->destination, {}, {}, 0, {},
                udp->payload.size()};
  ByteReader in(udp->payload);
  EXPECT_EQ(in.u8(), 2);
  in.skip(3);
  answer.id = in.u32();
  in.skip(4);
  answer.client_address = in.v4();
  answer.your_address = in.v4();
  in.skip(8);
  EXPECT_EQ(in.mac(), web().mac);
  in.skip(10 + 64 + 128);
  EXPECT_EQ(in.u32(), 0x63825363U);
  for (auto code = in.u8(); code != 255 && in.ok(); code = in.u8()) {
    for (const auto byte : in.bytes(in.u8()))
      answer.options[code] += fmt::format("{:02x}", std::to_integer<int>(byte));
  }
  EXPECT_TRUE(in.ok());
  return answer;
}
std::optional<Answer> answer(const Ask& a, const Guest& guest = web()) {
  return read(answer_dhcp4(guest, ask(a)));
}

TEST(Dhcp4, DiscoverGetsAnOfferWithEverything) {
  const auto offer = answer({.type = 1});
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->id, 0xcafe0001U);
  EXPECT_EQ(offer->your_address, ip("10.0.1.5"));
  EXPECT_EQ(offer->from, ip("10.0.1.1"));
  EXPECT_EQ(offer->to, ip("10.0.1.5"));
  EXPECT_EQ(offer->to_mac, web().mac);
  EXPECT_GE(offer->bytes, 300U);
  EXPECT_THAT(offer->options,
              testing::ElementsAre(testing::Pair(1, "ffffff00"), testing::Pair(3, "0a000101"),
                                   testing::Pair(6, "0a000102"), testing::Pair(12, "7765622d31"),
                                   testing::Pair(26, "0578"), testing::Pair(51, "00000e10"),
                                   testing::Pair(53, "02"), testing::Pair(54, "0a000101"),
                                   testing::Pair(58, "00000708"), testing::Pair(59, "00000c4e"),
                                   testing::Pair(121, "000a000101")));
}

TEST(Dhcp4, OnlyWhatTheClientAsksForIsAdded) {
  const auto offer = answer({.type = 1, .wanted = {1, 6}});
  EXPECT_TRUE(offer->options.contains(6));
  EXPECT_FALSE(offer->options.contains(3) || offer->options.contains(121) ||
               offer->options.contains(26));
}

TEST(Dhcp4, ABroadcastFlagIsHeeded) {
  const auto offer = answer({.type = 1, .flags = 0x8000});
  EXPECT_EQ(offer->to, ip("255.255.255.255"));
  EXPECT_EQ(offer->to_mac.text(), "ff:ff:ff:ff:ff:ff");
}

TEST(Dhcp4, RequestByTheStateTheClientIsIn) {
  const auto type = [](const std::optional<Answer>& a) { return a ? a->options.at(53) : "none"; };
  const auto own = ip("10.0.1.5"), other = ip("10.0.1.9"), us = ip("10.0.1.1");
  EXPECT_EQ(type(answer({.type = 3, .requested = own, .server = us})), "05");  // selecting
  EXPECT_EQ(type(answer({.type = 3, .requested = other, .server = us})), "06");
  EXPECT_EQ(type(answer({.type = 3, .requested = own, .server = other})),
            "none");                                               // chose another server
  EXPECT_EQ(type(answer({.type = 3, .requested = own})), "05");    // after a reboot
  EXPECT_EQ(type(answer({.type = 3, .requested = other})), "06");  // moved here from elsewhere
  EXPECT_EQ(type(answer({.type = 3})), "06");
  const auto renewed = answer({.type = 3, .using_address = own});
  EXPECT_EQ(type(renewed), "05");
  EXPECT_EQ(renewed->client_address, own);
  EXPECT_EQ(type(answer({.type = 3, .using_address = other})), "06");
}

TEST(Dhcp4, ARefusalCarriesNoConfiguration) {
  const auto refusal = answer({.type = 3, .requested = ip("10.0.1.9")});
  EXPECT_THAT(refusal->options,
              testing::ElementsAre(testing::Pair(53, "06"), testing::Pair(54, "0a000101")));
  EXPECT_EQ(refusal->to, ip("255.255.255.255"));
}

TEST(Dhcp4, InformGetsConfigurationWithoutALease) {
  const auto told = answer({.type = 8, .using_address = ip("10.0.1.5")});
  ASSERT_TRUE(told);
  EXPECT_EQ(told->your_address, IpAddress{});
  EXPECT_TRUE(told->options.contains(6));
  EXPECT_FALSE(told->options.contains(51));
  EXPECT_FALSE(answer({.type = 8, .using_address = ip("10.0.1.9")}));
}

TEST(Dhcp4, NoAnswerWhereNoneIsDue) {
  EXPECT_FALSE(answer({.type = 7, .using_address = ip("10.0.1.5")}));  // RELEASE
  EXPECT_FALSE(answer({.type = 4}));                                   // DECLINE
  EXPECT_FALSE(answer({.type = 2}));                                   // a server's own message
  EXPECT_FALSE(answer({.type = 1, .hardware = *Mac::parse("02:00:00:00:00:06")}));
  auto v6_only = web();
  v6_only.addresses.erase(v6_only.addresses.begin());
  EXPECT_FALSE(answer({.type = 1}, v6_only));
}

TEST(Dhcp4, AGatewayOutsideTheSubnetIsReachedOnTheLink) {
  auto alone = web();
  alone.addresses = {{ip("10.9.9.9"), 32}};
  const auto offer = answer({.type = 1}, alone);
  EXPECT_EQ(offer->options.at(1), "ffffffff");
  EXPECT_EQ(offer->options.at(121),
            "200a00010100000000"
            "000a000101");
}

TEST(Dhcp4, WithoutAGatewayThereIsNoRoute) {
  auto island = web();
  island.gateways.clear();
  const auto offer = answer({.type = 1}, island);
  EXPECT_FALSE(offer->options.contains(3) || offer->options.contains(121));
  EXPECT_EQ(offer->from, ip("169.254.255.254"));
}

TEST(Dhcp4, DamagedFramesDoNoHarm) {
  const Guest guest = web();
  torture(ask({.type = 3, .requested = ip("10.0.1.5"), .wanted = {1, 3, 6}}),
          [&](FrameView frame) { (void)answer_dhcp4(guest, frame); });
}

}  // namespace
}  // namespace penstock::host
