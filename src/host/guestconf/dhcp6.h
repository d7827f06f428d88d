// DHCPv6 for one guest (RFC 8415, stateful addresses of IA_NA; DNS of RFC 3646): the answer to a
// frame follows from the guest's facts alone.
#pragma once

#include <optional>

#include "host/guestconf/guest.h"

namespace penstock::host {

// SOLICIT -> ADVERTISE (REPLY with rapid commit); REQUEST, RENEW, REBIND, CONFIRM, RELEASE,
// DECLINE, INFORMATION-REQUEST
// -> REPLY. The guest's IPv6 addresses go into its first IA_NA; further ones and temporary or
// delegated ones get "none available". Nothing when the frame is malformed or, by RFC 8415 section
// 16, to be discarded.
std::optional<Frame> answer_dhcp6(const Guest&, FrameView frame);

}  // namespace penstock::host
