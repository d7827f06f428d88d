#include "tests/packets/packet.h"

#include <gtest/gtest.h>

namespace penstock::packets {
namespace {

constexpr auto kMacs = "02:00:00:00:00:01 > 02:00:00:00:00:02";

TEST(PacketBuilder, ChecksumsAreRight) {
  EXPECT_EQ(
      describe(Packet(kMacs).ip("10.0.0.1 > 10.0.0.2").tcp(1000, 80, SYN).payload(7).frame()),
      "02:00:00:00:00:01 > 02:00:00:00:00:02 ip4 10.0.0.1 > 10.0.0.2 tcp 1000 > 80 SYN seq 1000");
  EXPECT_EQ(
      describe(Packet(kMacs).ip("fd00::1 > fd00::2").icmp(128, 0, 0x10001).payload(5).frame()),
      "02:00:00:00:00:01 > 02:00:00:00:00:02 ip6 fd00::1 > fd00::2 icmpv6 type 128 code 0");
}

TEST(PacketBuilder, WrongChecksumIsSeen) {
  auto frame = Packet(kMacs).ip("10.0.0.1 > 10.0.0.2").icmp(8, 0).payload(8).frame();
  frame.back() ^= 1;
  EXPECT_NE(describe(frame).find("BAD CHECKSUM"), std::string::npos);
}

}  // namespace
}  // namespace penstock::packets
