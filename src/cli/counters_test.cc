#include "cli/counters_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing/world.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;

constexpr auto kVm =
    R"({"rules":[{"profile":"fw","level":"basic","rule":"default","flows":"3"},
       {"profile":"fw","level":"basic","rule":"no-ssh","ruleNumber":1,"flows":"2","packets":"40","bytes":"4000","lastHit":"2020-01-01T00:00:00Z"}],
       "nics":[{"vm":"web-1","nic":"eth0","packetsOut":"10","packetsIn":"20","bytesOut":"1000","bytesIn":"2000","flows":"1","drops":{"rate_limit":"7"}}],
       "incomplete":["host h3 is away"]})";

TEST(CountersVerb, OfAVm) {
  World world;
  world.on("GET /v1:counters?kind=VirtualMachine&tenant=acme&name=web-1", Json::parse(kVm));
  const auto ran = world.terminal.run("counters vm acme/web-1");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("vm acme/web-1: 1 of 1 rule hit, 5 new flows decided about; 7 "
                                 "packets dropped\n"));
  EXPECT_THAT(ran.out, HasSubstr("NIC eth0: out 10 packets, 1000 bytes; in 20 packets, 2000 bytes; "
                                 "1 connection\n"));
  EXPECT_THAT(ran.out, HasSubstr("  dropped 7 rate_limit: over the bits a second that the level"));
  EXPECT_THAT(ran.out, HasSubstr("fw (basic)  1 \"no-ssh\"  2      40       4000"));
  EXPECT_THAT(ran.out, HasSubstr("never"));
  EXPECT_THAT(ran.out, HasSubstr("incomplete: host h3 is away\n"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock explain vm/acme/web-1\n"));
  EXPECT_THAT(world.terminal.run("counters vm acme/web-1 -o json").out,
              HasSubstr("\"rate_limit\""));
}

TEST(CountersVerb, FollowsWithRates) {
  World world;
  world.on("GET /v1:counters?kind=VirtualMachine&tenant=acme&name=web-1", Json::parse(kVm));
  const auto ran = world.terminal.run("counters vm acme/web-1 -f --every 100ms --deadline 150ms");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("FLOWS/S"));
  EXPECT_THAT(ran.out, HasSubstr("  now: out 0 packets/s, 0 bit/s; in 0 packets/s, 0 bit/s\n"));
}

TEST(CountersVerb, OfAProfileAndOneRuleOfIt) {
  World world;
  world.on("GET /v1:counters?kind=ServiceProfile&name=fw", Json::parse(kVm));
  world.on("GET /v1:counters?kind=ServiceProfile&tenant=acme&name=fw", Json::parse("{}"));
  world.on("GET /v1/profiles/fw",
           Json::parse(
               R"({"kind":"ServiceProfile","metadata":{"name":"fw"},"spec":{"definition":"d"}})"));
  world.on("GET /v1/definitions/d",
           Json::parse(R"({"spec":{"filter":{"rules":[{"name":"no-ssh","action":"DENY"}]}}})"));
  EXPECT_THAT(world.terminal.run("counters profile/fw").out, HasSubstr("profile fw: 1 of 1 rule"));
  EXPECT_THAT(world.terminal.run("counters profile/fw --of-tenant acme").out,
              HasSubstr("profile fw: no service counts anything"));
  EXPECT_THAT(world.terminal.run("describe profile fw --rule 1").out,
              HasSubstr("counters (level basic): 2 flows, 40 packets, 4000 bytes, last hit"));
  EXPECT_EQ(world.terminal.run("counters host h1").exit, 2);
  EXPECT_EQ(world.terminal.run("counters profile/fw --every 1ms").exit, 2);
}

TEST(ShortNumber, FitsAColumn) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.5), "0.5");
  EXPECT_EQ(short_number(12), "12");
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(1'234), "1.2k");
  EXPECT_EQ(short_number(50'000'000), "50M");
  EXPECT_EQ(short_number(1e13), "10T");
}

}  // namespace
}  // namespace penstock::cli
