// A guest's side of its NIC: addresses, routes and switches, set from outside as a guest's own
// start-up would.
#pragma once

#include "base/error.h"
#include "host/hypervisor.h"
#include "net/linux/namespace.h"
#include "net/linux/netlink_socket.h"

namespace penstock::host {

// IPv6 switches of a NIC that is still down: no duplicate address detection (an address is one
// NIC's by decree, and the second of waiting would be lost at each start), router advertisements
// heard only in DHCP mode.
Status set_guest_switches(const linux_net::NetNamespace&, const NicSpec&);
// Addresses and default routes of a NIC in static mode, brought to the spec: what is missing is
// added, other addresses and default routes of the NIC are removed. The NIC must be up.
Status set_guest_addresses(linux_net::NetlinkSocket& guest, int ifindex, const NicSpec&);

}  // namespace penstock::host
