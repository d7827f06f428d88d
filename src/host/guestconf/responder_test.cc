#include "host/guestconf/responder.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "base/sim_runtime.h"
#include "host/guestconf/router.h"
#include "host/guestconf/test_guest.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct World {
  SimClock clock{1};
  SimRuntime runtime{clock, {}};
  NullLog log;
  std::vector<int> sent;  // ifindexes
  bool broken = false;
  Responder responder{runtime, log, [this](int ifindex, FrameView) -> Status {
                        if (broken) return fail(Code::kNotFound, "device gone");
                        sent.push_back(ifindex);
                        return {};
                      }};
};

ps_punted solicitation(std::uint32_t port) {
  ByteWriter out;
  out.u8(133).u8(0).u16(0).u32(0);
  const auto frame = make_icmp6(
      {web().mac, *Mac::parse("33:33:00:00:00:02"), kGuestLinkLocal, ip("ff02::2")}, out.view());
  ps_punted punted{};
  punted.port_id = port;
  punted.kind = PS_PUNT_ROUTER_SOLICITATION;
  punted.length = static_cast<std::uint16_t>(frame.size());
  std::memcpy(punted.frame, frame.data(), frame.size());
  return punted;
}

TEST(Responder, AdvertisesAtOnceThenAtIntervalsUntilRemoved) {
  World world;
  world.responder.put(web(), 11);
  EXPECT_EQ(world.sent, std::vector{11});
  world.clock.run_until({401s});
  EXPECT_EQ(world.sent.size(), 3U);
  world.responder.put(web(), 11);  // nothing new
  EXPECT_EQ(world.sent.size(), 3U);
  world.responder.put(web(), 12);  // its device is another one now
  EXPECT_EQ(world.sent.back(), 12);
  world.responder.remove(PortId{7});
  world.clock.run_until({2000s});
  EXPECT_EQ(world.sent.size(), 4U);
}

TEST(Responder, AnswersOnTheDeviceOfThePort) {
  World world;
  world.responder.put(web(), 11);
  world.sent.clear();
  world.responder.handed_over(solicitation(7));
  EXPECT_EQ(world.sent, std::vector{11});
  world.responder.handed_over(solicitation(8));
  auto wrong_kind = solicitation(7);
  wrong_kind.kind = PS_PUNT_DHCP4;
  world.responder.handed_over(wrong_kind);
  auto too_long = solicitation(7);
  too_long.length = PS_PUNT_BYTES + 1;
  world.responder.handed_over(too_long);
  world.broken = true;
  world.responder.handed_over(solicitation(7));
  EXPECT_EQ(world.sent.size(), 1U);
  const auto& counters = world.responder.counters();
  EXPECT_EQ(counters.answered, 1U);
  EXPECT_EQ(counters.unknown, 2U);
  EXPECT_EQ(counters.ignored, 1U);
  EXPECT_EQ(counters.failed, 1U);
}

TEST(GuestOf, TakesSubnetLengthGatewayAndDns) {
  v1::PortIntent port;
  port.set_id(7);
  port.set_vni(0x010203);
  port.set_vm("web-1");
  port.set_mac("02:00:00:00:00:05");
  port.add_addresses("10.0.1.5");
  port.add_addresses("fd00:1::5");
  v1::NetworkIntent network;
  network.set_mtu(1400);
  auto* v4 = network.add_subnets();
  v4->set_cidr("10.0.1.0/24");
  v4->set_gateway("10.0.1.1");
  v4->add_dns("10.0.1.2");
  auto* v6 = network.add_subnets();
  v6->set_cidr("fd00:1::/64");
  v6->set_gateway("fd00:1::1");
  v6->add_dns("fd00:1::2");
  const auto guest = guest_of(port, network);
  ASSERT_TRUE(guest) << guest.error().text();
  EXPECT_EQ(*guest, web());
  v6->set_gateway("nonsense");
  EXPECT_EQ(guest_of(port, network).error().details.at(0).field, "subnets[1].gateway");
}

}  // namespace
}  // namespace penstock::host
