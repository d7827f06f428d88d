// Pings over a real path: it answers, it is too narrow, there is none.
#include "host/linux/underlay_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "net/linux/addresses.h"
#include "net/linux/links.h"
#include "net/linux/namespace.h"

namespace penstock::host {
namespace {

using linux_net::NetlinkSocket;
using linux_net::NetNamespace;

// Two namespaces and a veth between: 10.7.0.1 and fd07::1 here, .2 there.
struct Path {
  NetNamespace here = *NetNamespace::create_anonymous();
  NetNamespace there = *NetNamespace::create_anonymous();

  Status build(int mtu_there) {
    PENSTOCK_CHECK(here.run([&]() -> Status {
      auto socket = PENSTOCK_TRY(NetlinkSocket::open());
      PENSTOCK_CHECK(
          linux_net::create_veth(socket, {"u0", {}, 1500}, {"u1", {}, mtu_there}, there));
      return up(socket, "u0", "1");
    }));
    return there.run([&]() -> Status {
      auto socket = PENSTOCK_TRY(NetlinkSocket::open());
      return up(socket, "u1", "2");
    });
  }
  static Status up(NetlinkSocket& socket, const std::string& name, const std::string& last) {
    const auto link = PENSTOCK_TRY(linux_net::find_link(socket, name));
    PENSTOCK_CHECK(linux_net::set_link_up(socket, link.ifindex, true));
    PENSTOCK_CHECK(
        linux_net::add_address(socket, link.ifindex, *IpAddress::parse("10.7.0." + last), 24));
    return linux_net::add_address(socket, link.ifindex, *IpAddress::parse("fd07::" + last), 64);
  }
  // A device that has just come up loses packets for up to a second.
  v1::ProbeReport probe(std::vector<std::string> vteps, int bytes, int deadline_ms = 4'000) const {
    v1::ProbeReport report;
    EXPECT_TRUE(here.run([&]() -> Status {
      Tunables tunables;
      tunables.probe_deadline_ms = deadline_ms;
      RealRuntime runtime(tunables);
      UnderlayProbe underlay(runtime);
      v1::ProbeOrder order;
      order.set_id(7);
      order.set_bytes(bytes);
      for (const auto& vtep : vteps) order.add_vteps(vtep);
      underlay.probe(order, [&](v1::ProbeReport answer) {
        report = std::move(answer);
        runtime.stop();
      });
      runtime.run();
      return {};
    }));
    return report;
  }
};

TEST(UnderlayProbe, AFullPacketThereAndBack) {
  Path path;
  const auto built = path.build(1500);
  ASSERT_TRUE(built) << built.error().text();
  const auto report = path.probe({"10.7.0.2", "fd07::2"}, 1500);
  EXPECT_EQ(report.id(), 7u);
  ASSERT_EQ(report.answers_size(), 2);
  for (const auto& answer : report.answers()) {
    EXPECT_TRUE(answer.answered()) << answer.ShortDebugString();
    EXPECT_GT(answer.rtt_us(), 0);
  }
}

TEST(UnderlayProbe, SmallOnesPassAndFullOnesDoNot) {
  Path path;
  ASSERT_TRUE(path.build(1400));  // what is larger is dropped where it comes in
  const auto report = path.probe({"10.7.0.2"}, 1500);
  ASSERT_EQ(report.answers_size(), 1);
  EXPECT_FALSE(report.answers(0).answered());
  EXPECT_THAT(report.answers(0).problem(), ::testing::HasSubstr("1500"));
  EXPECT_TRUE(path.probe({"10.7.0.2"}, 1400).answers(0).answered());
}

TEST(UnderlayProbe, NobodyIsThere) {
  Path path;
  ASSERT_TRUE(path.build(1500));
  const auto report = path.probe({"10.7.0.9", "nonsense", "192.0.2.1"}, 1500, 400);
  ASSERT_EQ(report.answers_size(), 3);
  for (const auto& answer : report.answers()) {
    EXPECT_FALSE(answer.answered());
    EXPECT_NE(answer.problem(), "");
  }
  EXPECT_THAT(report.answers(2).problem(), ::testing::HasSubstr("unreachable"));
}

TEST(UnderlayProbe, MoreThanOwnDeviceTakes) {
  Path path;
  ASSERT_TRUE(path.build(1500));
  EXPECT_THAT(path.probe({"10.7.0.2"}, 4000).answers(0).problem(),
              ::testing::HasSubstr("own device"));
}

}  // namespace
}  // namespace penstock::host
