// DHCPv4 for one guest (RFC 2131, 2132, 3442): the answer to a frame follows from the guest's facts
// alone.
#pragma once

#include <optional>

#include "host/guestconf/guest.h"

namespace penstock::host {

// DISCOVER -> OFFER, REQUEST -> ACK or NAK, INFORM -> ACK. Nothing when the frame is malformed, not
// for us (another server was chosen), of another client hardware address, or needs no answer
// (RELEASE, DECLINE); or when the guest has no IPv4 address.
std::optional<Frame> answer_dhcp4(const Guest&, FrameView frame);

}  // namespace penstock::host
