// The guest of these tests, and a way to damage frames.
#pragma once

#include <random>

#include "host/gateway.h"
#include "host/guestconf/bytes.h"
#include "host/guestconf/guest.h"
#include "host/guestconf/packet.h"

namespace penstock::host {

inline IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

inline Guest web() {
  Guest guest;
  guest.port = PortId{7};
  guest.vni = Vni{0x010203};
  guest.mac = *Mac::parse("02:00:00:00:00:05");
  guest.hostname = "web-1";
  guest.addresses = {{ip("10.0.1.5"), 24}, {ip("fd00:1::5"), 64}};
  guest.gateways = {ip("10.0.1.1"), ip("fd00:1::1")};
  guest.dns = {ip("10.0.1.2"), ip("fd00:1::2")};
  guest.mtu = 1400;
  return guest;
}

inline const IpAddress kGuestLinkLocal = ip("fe80::ff:fe00:5");

// Calls `answer` with cut and damaged copies of the frame, and with noise: it must come back from
// each.
template <typename Answer>
void torture(const Frame& frame, Answer answer) {
  for (std::size_t length = 0; length <= frame.size(); ++length)
    answer(FrameView(frame).first(length));
  std::mt19937 dice(1);
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = frame;
    for (unsigned hits = 1 + dice() % 8; hits > 0; --hits)
      damaged[dice() % damaged.size()] = std::byte(dice());
    if (dice() % 4 == 0) damaged.resize(dice() % damaged.size());
    answer(damaged);
  }
}

}  // namespace penstock::host
