#include "host/linux/link_netlink.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/real_runtime.h"
#include "net/linux/links.h"

namespace penstock::host {

using linux_net::LinkInfo;
using linux_net::NetlinkSocket;

namespace {

Link to_link(const LinkInfo& info) {
  return {.ifindex = info.ifindex,
          .name = info.name,
          .kind = info.kind,
          .alias = info.alias,
          .mac = info.mac,
          .mtu = info.mtu,
          .up = info.up};
}

// The alias cannot be part of the message that makes a device: one that is as new, still off and
// without an alias was made by an agent that ended before it could go on.
bool is_ours(const LinkInfo& link, const VxlanSpec& spec) {
  return link.name == spec.name && link.kind == "vxlan" &&
         (link.alias == spec.alias || (link.alias.empty() && link.vxlan_collect_md && !link.up));
}

// A vxlan device takes its UDP port when it is switched on, and two of them share one only if
// neither collects metadata: so every other vxlan device on the port is a conflict, on or off.
Status check_conflicts(const std::vector<LinkInfo>& links, const VxlanSpec& spec) {
  for (const auto& link : links) {
    const bool ours = is_ours(link, spec);
    if (link.name == spec.name && !ours) {
      return fail(Code::kAlreadyExists,
                  fmt::format("create vxlan {}: a {} of that name exists and is not ours",
                              spec.name, link.kind.empty() ? "link" : link.kind + " device"),
                  "rename or remove it; it was left alone");
    }
    if (!ours && link.kind == "vxlan" && link.vxlan_port == spec.udp_port) {
      return fail(Code::kUnavailable,
                  fmt::format("create vxlan {}: UDP port {} is in use by vxlan device {}",
                              spec.name, spec.udp_port, link.name),
                  "give the virtual switch another UDP port, or remove that device");
    }
  }
  return {};
}

}  // namespace

LinkNetlink::LinkNetlink(NetlinkSocket socket, LinkWatch watch)
    : socket_(std::move(socket)), watch_(std::move(watch)) {}

Result<std::unique_ptr<LinkNetlink>> LinkNetlink::open(RealRuntime& runtime, Log& log) {
  auto socket = PENSTOCK_TRY(NetlinkSocket::open());
  auto watch = PENSTOCK_TRY(LinkWatch::open(runtime, log));
  return std::unique_ptr<LinkNetlink>(new LinkNetlink(std::move(socket), std::move(watch)));
}

Result<std::vector<Link>> LinkNetlink::links() {
  std::vector<Link> links;
  for (const auto& info : PENSTOCK_TRY(linux_net::list_links(socket_)))
    links.push_back(to_link(info));
  return links;
}

Result<Link> LinkNetlink::create_vxlan(const VxlanSpec& spec) {
  const auto before = PENSTOCK_TRY(linux_net::list_links(socket_));
  PENSTOCK_CHECK(check_conflicts(before, spec));
  auto old = std::ranges::find(before, spec.name, &LinkInfo::name);
  const bool fits =
      old != before.end() && old->vxlan_port == spec.udp_port && old->vxlan_collect_md;
  if (!fits) {
    // Neither port nor mode of a vxlan device can be changed in place.
    if (old != before.end()) PENSTOCK_CHECK(linux_net::delete_link(socket_, old->ifindex));
    PENSTOCK_CHECK(linux_net::create_vxlan(socket_, {spec.name, spec.udp_port, spec.mtu}));
  }
  auto link = PENSTOCK_TRY(linux_net::find_link(socket_, spec.name));
  const auto finish = [&]() -> Status {
    PENSTOCK_CHECK(linux_net::set_link_alias(socket_, link.ifindex, spec.alias));
    if (spec.mtu != 0 && link.mtu != spec.mtu) {
      PENSTOCK_CHECK(linux_net::set_link_mtu(socket_, link.ifindex, spec.mtu));
    }
    // No addresses, neighbour or multicast chatter of the host itself on it. Hosts without IPv6
    // lack the file.
    (void)linux_net::write_net_sysctl(fmt::format("ipv6/conf/{}/disable_ipv6", spec.name), "1");
    return linux_net::set_link_up(socket_, link.ifindex, true);
  };
  if (const auto done = finish(); !done) {
    if (!fits) (void)linux_net::delete_link(socket_, link.ifindex);
    if (done.error().message.ends_with("Address already in use")) {
      return fail(Code::kUnavailable,
                  fmt::format("create vxlan {}: UDP port {} is in use by another program",
                              spec.name, spec.udp_port),
                  "find it with: ss -lunp; or give the virtual switch another UDP port");
    }
    return std::unexpected(Error(done.error()).in(fmt::format("create vxlan {}", spec.name)));
  }
  return to_link(PENSTOCK_TRY(linux_net::find_link(socket_, spec.name)));
}

Status LinkNetlink::delete_link(int ifindex) {
  return linux_net::delete_link(socket_, ifindex);
}
Status LinkNetlink::set_link_up(int ifindex, bool up) {
  return linux_net::set_link_up(socket_, ifindex, up);
}
Status LinkNetlink::set_link_mtu(int ifindex, int mtu) {
  return linux_net::set_link_mtu(socket_, ifindex, mtu);
}
void LinkNetlink::on_links_changed(std::function<void()> changed) {
  watch_.on_change(std::move(changed));
}

}  // namespace penstock::host
