// The links half of the Kernel seam (host/kernel.h) over route netlink, in the network namespace
// this program runs in.
//
// Threading: the strand's. Notifications arrive through the strand's own event loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "host/kernel.h"
#include "host/linux/link_watch.h"
#include "net/linux/netlink_socket.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class LinkNetlink {
 public:
  // The runtime and the log must outlive it.
  static Result<std::unique_ptr<LinkNetlink>> open(RealRuntime&, Log&);

  Result<std::vector<Link>> links();
  // As Kernel::create_vxlan. Our own device (same name and alias, same port) is taken over: its MTU
  // is set and it is switched on. kAlreadyExists: a foreign link has the name. kUnavailable: the
  // UDP port is taken, by a foreign vxlan device (named in the message) or a socket.
  Result<Link> create_vxlan(const VxlanSpec&);
  Status delete_link(int ifindex);
  Status set_link_up(int ifindex, bool up);
  Status set_link_mtu(int ifindex, int mtu);
  // See LinkWatch.
  void on_links_changed(std::function<void()>);

 private:
  LinkNetlink(linux_net::NetlinkSocket, LinkWatch);

  linux_net::NetlinkSocket socket_;
  LinkWatch watch_;
};

}  // namespace penstock::host
