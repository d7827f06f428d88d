// The links half of the kernel seam in real namespaces. The agent's own namespace is that of the
// thread that opens it: each test runs on a thread inside a namespace without a name, which ends
// with it.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "base/real_runtime.h"
#include "host/linux/link_netlink.h"
#include "net/linux/links.h"

namespace penstock::host {
namespace {

using linux_net::NetlinkSocket;
using linux_net::NetNamespace;
using namespace std::chrono_literals;

template <typename Work>
void in_own_namespace(Work work) {
  const auto where = NetNamespace::create_anonymous();
  ASSERT_TRUE(where) << where.error().text();
  EXPECT_TRUE(where->run([&]() -> Status {
    work();
    return {};
  }));
}

struct Agent {
  RealRuntime runtime{Tunables{}};
  NullLog log;
  std::unique_ptr<LinkNetlink> links = *LinkNetlink::open(runtime, log);
  NetlinkSocket stranger = *NetlinkSocket::open();
};

const VxlanSpec kSpec{
    .name = "ps-vx", .alias = "penstock:switch/vs1", .udp_port = 4789, .mtu = 1450};

TEST(LinkNetlink, VxlanIsMadeOnceAndTakenOverAfterARestart) {
  in_own_namespace([] {
    Agent agent;
    const auto made = agent.links->create_vxlan(kSpec);
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_EQ(made->alias, kSpec.alias);
    EXPECT_EQ(made->kind, "vxlan");
    EXPECT_EQ(made->mtu, 1450);
    EXPECT_TRUE(made->up);
    Agent restarted;
    auto other_mtu = kSpec;
    other_mtu.mtu = 1400;
    const auto again = restarted.links->create_vxlan(other_mtu);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->ifindex, made->ifindex);
    EXPECT_EQ(again->mtu, 1400);
    auto other_port = kSpec;
    other_port.udp_port = 4800;
    const auto moved = restarted.links->create_vxlan(other_port);
    ASSERT_TRUE(moved) << moved.error().text();
    EXPECT_EQ(linux_net::find_link(agent.stranger, "ps-vx")->vxlan_port, 4800);
  });
}

TEST(LinkNetlink, AForeignVxlanDeviceOnThePortIsNamedAndLeftAlone) {
  in_own_namespace([] {
    Agent agent;
    ASSERT_TRUE(linux_net::create_vxlan(agent.stranger, {"flannel.1", 4789, 0}));
    const auto refused = agent.links->create_vxlan(kSpec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
    EXPECT_EQ(refused.error().message,
              "create vxlan ps-vx: UDP port 4789 is in use by vxlan device flannel.1");
    EXPECT_TRUE(linux_net::find_link(agent.stranger, "flannel.1"));
    EXPECT_FALSE(linux_net::find_link(agent.stranger, "ps-vx"));
  });
}

TEST(LinkNetlink, ADeviceHalfMadeBeforeACrashIsFinished) {
  in_own_namespace([] {
    Agent agent;
    ASSERT_TRUE(linux_net::create_vxlan(agent.stranger, {kSpec.name, kSpec.udp_port, 0}));
    const auto made = agent.links->create_vxlan(kSpec);
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_EQ(made->alias, kSpec.alias);
    EXPECT_TRUE(made->up);
  });
}

TEST(LinkNetlink, AForeignLinkOfTheSameNameIsLeftAlone) {
  in_own_namespace([] {
    Agent agent;
    ASSERT_TRUE(linux_net::create_bridge(agent.stranger, "ps-vx"));
    const auto refused = agent.links->create_vxlan(kSpec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
    EXPECT_EQ(linux_net::find_link(agent.stranger, "ps-vx")->kind, "bridge");
  });
}

TEST(LinkNetlink, AProgramOnTheUdpPortIsReportedAndNothingIsLeft) {
  in_own_namespace([] {
    Agent agent;
    linux_net::Fd taken(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(4789);
    ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const auto refused = agent.links->create_vxlan(kSpec);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
    EXPECT_EQ(refused.error().message,
              "create vxlan ps-vx: UDP port 4789 is in use by another program");
    EXPECT_FALSE(linux_net::find_link(agent.stranger, "ps-vx"));
  });
}

TEST(LinkNetlink, ChangesAreToldTogetherOnTheStrand) {
  in_own_namespace([] {
    Agent agent;
    int told = 0;
    // Goes on when `reached`, looking every now and then; a slow machine only takes longer.
    std::function<void(std::function<bool()>, std::function<void()>)> when = [&](auto reached,
                                                                                 auto then) {
      if (reached()) return then();
      agent.runtime.after(5ms, [&when, reached, then] { when(reached, then); });
    };
    agent.links->on_links_changed([&] { ++told; });
    agent.runtime.post([&] {
      for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(linux_net::create_bridge(agent.stranger, "br" + std::to_string(i)));
      }
      when([&] { return told > 0; },
           [&] {
             EXPECT_EQ(told, 1);
             // Later changes are told too, and none after the listener is gone.
             ASSERT_TRUE(linux_net::create_bridge(agent.stranger, "late"));
             when([&] { return told == 2; },
                  [&] {
                    agent.links->on_links_changed(nullptr);
                    ASSERT_TRUE(linux_net::create_bridge(agent.stranger, "later"));
                    agent.runtime.after(100ms, [&] { agent.runtime.stop(); });
                  });
           });
    });
    agent.runtime.run();
    EXPECT_EQ(told, 2);
    EXPECT_EQ(agent.links->links()->size(), 53U);  // 52 bridges and lo
  });
}

}  // namespace
}  // namespace penstock::host
