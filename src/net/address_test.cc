#include "net/address.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Mac, ParsesAndPrints) {
  EXPECT_EQ(Mac::parse("02:00:0A:ff:01:05")->text(), "02:00:0a:ff:01:05");
  for (const auto* bad : {"", "02:00:0a:ff:01", "02-00-0a-ff-01-05", "02:00:0a:ff:01:0g", "02:00:0a:ff:01:055"})
    EXPECT_FALSE(Mac::parse(bad)) << bad;
}

TEST(IpAddress, ParsesBothFamilies) {
  EXPECT_EQ(IpAddress::parse("10.0.1.5")->v4_host_order(), 0x0a000105u);
  EXPECT_EQ(IpAddress::parse("2001:DB8:0::1")->text(), "2001:db8::1");
  for (const auto* bad : {"", "10.0.1", "10.0.1.256", "::g", "10.0.1.5/24"}) EXPECT_FALSE(IpAddress::parse(bad)) << bad;
}

TEST(IpAddress, PlusCarries) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(2).text(), "10.0.1.1");
  EXPECT_EQ(IpAddress::parse("2001:db8::ffff")->plus(1).text(), "2001:db8::1:0");
}

TEST(IpPrefix, RefusesHostBitsWithTheNetworkAsHint) {
  const auto bad = IpPrefix::parse("10.1.2.3/8");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().hint, "did you mean \"10.0.0.0/8\"?");
  EXPECT_FALSE(IpPrefix::parse("10.0.0.0/33"));
  EXPECT_EQ(IpPrefix::parse("10.0.0.1")->text(), "10.0.0.1/32");
}

TEST(IpPrefix, ContainsAndOverlaps) {
  const auto net = *IpPrefix::parse("10.0.0.0/9");
  EXPECT_TRUE(net.contains(*IpAddress::parse("10.127.255.255")));
  EXPECT_FALSE(net.contains(*IpAddress::parse("10.128.0.0")));
  EXPECT_FALSE(net.contains(*IpAddress::parse("a00::")));
  EXPECT_TRUE(IpPrefix::parse("10.3.0.0/16")->overlaps(net));
  EXPECT_EQ(net.last().text(), "10.127.255.255");
}

TEST(PortRange, NamesTheMistake) {
  EXPECT_EQ(PortRange::parse("8000-8080")->text(), "8000-8080");
  EXPECT_EQ(PortRange::parse("22-8").error().message, "\"22-8\" is not a range: low end above high end");
  for (const auto* bad : {"", "-", "1-", "70000", "a"}) EXPECT_FALSE(PortRange::parse(bad)) << bad;
}

TEST(IpProtocol, ByNameAndNumber) {
  EXPECT_EQ(parse_ip_protocol("icmpv6"), 58);
  EXPECT_EQ(parse_ip_protocol("89"), 89);
  EXPECT_FALSE(parse_ip_protocol("256"));
  EXPECT_EQ(ip_protocol_text(6), "tcp");
}

}  // namespace
}  // namespace penstock
