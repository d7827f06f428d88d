// Frames sent on a device, and descriptors waited for on the strand.
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include <arpa/inet.h>

#include <gtest/gtest.h>

#include "base/real_runtime.h"
#include "host/linux/frame_sender.h"
#include "host/linux/readable.h"
#include "net/linux/links.h"

namespace penstock::host {
namespace {

using linux_net::NetlinkSocket;
using linux_net::NetNamespace;
using namespace std::chrono_literals;

TEST(FrameSender, TheFrameComesOutOfTheOtherEndAsItWas) {
  const auto guest = *NetNamespace::create_anonymous();
  const auto host = *NetNamespace::create_anonymous();
  EXPECT_TRUE(host.run([&]() -> Status {
    auto socket_here = PENSTOCK_TRY(NetlinkSocket::open());
    auto socket_there = PENSTOCK_TRY(NetlinkSocket::open_in(guest));
    PENSTOCK_CHECK(linux_net::create_veth(socket_here, {"ps-p7", {}, 0}, {"eth0", {}, 0}, guest));
    const auto here = PENSTOCK_TRY(linux_net::find_link(socket_here, "ps-p7"));
    const auto there = PENSTOCK_TRY(linux_net::find_link(socket_there, "eth0"));
    auto sender = PENSTOCK_TRY(FrameSender::open(0x70730001));

    std::vector<std::byte> frame(60, std::byte{0x55});
    frame[12] = std::byte{0x88};
    frame[13] = std::byte{0xb5};  // local experimental (IEEE 802)
    EXPECT_EQ(sender.send(here.ifindex, frame).error().code, Code::kUnavailable);  // down
    PENSTOCK_CHECK(linux_net::set_link_up(socket_here, here.ifindex, true));
    PENSTOCK_CHECK(linux_net::set_link_up(socket_there, there.ifindex, true));

    linux_net::Fd listener;
    PENSTOCK_CHECK(guest.run([&]() -> Status {
      listener =
          linux_net::Fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(0x88b5)));
      return listener ? Status{} : fail_errno(errno, "listen");
    }));
    // A device that has just come up swallows frames until the kernel's deferred work has given it
    // a queue.
    int arrived = 0;
    for (int tries = 0; tries < 100 && arrived == 0; ++tries) {
      PENSTOCK_CHECK(sender.send(here.ifindex, frame));
      pollfd arrival{listener.get(), POLLIN, 0};
      arrived = poll(&arrival, 1, 50);
    }
    std::array<std::byte, 2048> buffer;
    EXPECT_EQ(recv(listener.get(), buffer.data(), buffer.size(), 0), 60);
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), buffer.begin()));

    EXPECT_EQ(sender.send(9999, frame).error().code, Code::kNotFound);
    EXPECT_EQ(sender.send(here.ifindex, std::span(frame).first(13)).error().code,
              Code::kInvalidArgument);
    return {};
  }));
}

TEST(Readable, CallsUntilItEnds) {
  RealRuntime runtime{Tunables{}};
  linux_net::Fd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  int called = 0;
  auto readable = std::make_unique<Readable>(runtime, event.get(), [&] {
    std::uint64_t value = 0;
    EXPECT_EQ(read(event.get(), &value, sizeof value), 8);
    ++called;
  });
  const auto raise = [&] {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(event.get(), &one, sizeof one), 8);
  };
  raise();
  runtime.after(20ms, [&] { raise(); });
  runtime.after(40ms, [&] {
    readable.reset();
    raise();
  });
  runtime.after(60ms, [&] { runtime.stop(); });
  runtime.run();
  EXPECT_EQ(called, 2);
}

}  // namespace
}  // namespace penstock::host
