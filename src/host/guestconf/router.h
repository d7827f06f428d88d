// Router advertisements to one guest (RFC 4861, 4862, 8106).
#pragma once

#include <optional>

#include "host/guestconf/guest.h"

namespace penstock::host {

// Whether the frame is a valid router solicitation (RFC 4861 section 6.1.1).
bool is_router_solicitation(FrameView frame);

// Default router (unless the network has no IPv6 gateway: then lifetime 0), on-link prefixes, MTU,
// DNS servers. Addresses: "managed", that is by DHCPv6; a prefix is offered for self-made addresses
// only when the one the guest would make is the one it is allowed to use, since it may use no
// other. Nothing for a guest without IPv6 addresses.
std::optional<Frame> router_advertisement(const Guest&);

}  // namespace penstock::host
