#include "host/overlay.h"

#include <algorithm>

#include <fmt/format.h>

#include "host/switch/switch_abi.h"
#include "net/address.h"

namespace penstock::host {
namespace {

constexpr std::string_view kName = "ps-vxlan";
constexpr std::string_view kAliasPrefix = "penstock:overlay/";
constexpr std::uint16_t kStandardPort = 4789;  // RFC 7348 section 5
// Ethernet, IP, UDP and VXLAN headers around a frame.
constexpr int kOverheadV4 = 50, kOverheadV6 = 70;

std::string alias_of(std::uint16_t port) {
  return fmt::format("{}{}", kAliasPrefix,
                     port);  // the port is not among a link's attributes in Link
}
bool ours(const Link& link) {
  return link.kind == "vxlan" && link.alias.starts_with(kAliasPrefix);
}

}  // namespace

Status Overlay::tell_switch(int ifindex) {
  const auto key = bytes_of(std::uint32_t{0});
  const auto value = bytes_of(static_cast<std::uint32_t>(ifindex));
  const auto held = PENSTOCK_TRY(kernel_.map_get(Map::kOverlay, key));
  if (held ? *held == value : ifindex == 0) return {};
  return kernel_.map_put(Map::kOverlay, key, value);
}

Status Overlay::put(const v1::SwitchIntent& intent) {
  // A host without an uplink: its networks reach nobody else, and that is what was asked for.
  if (intent.device().empty() && intent.local_vtep().empty()) return remove(intent.name());
  const auto vtep = IpAddress::parse(intent.local_vtep());
  if (!vtep) return fail_field("localVtep", vtep.error().message);
  if (intent.vxlan_port() < 0 || intent.vxlan_port() > 65535)
    return fail_field("vxlanPort", fmt::format("{} is not a UDP port", intent.vxlan_port()));
  Switch wanted;
  wanted.udp_port =
      intent.vxlan_port() == 0 ? kStandardPort : static_cast<std::uint16_t>(intent.vxlan_port());
  if (intent.underlay_mtu() > 0)
    wanted.mtu = intent.underlay_mtu() - (vtep->family == Family::kV4 ? kOverheadV4 : kOverheadV6);
  for (const auto& [name, other] : switches_)
    if (name != intent.name() && other.udp_port != wanted.udp_port)
      return fail(Code::kFailedPrecondition,
                  fmt::format("virtual switch {} uses UDP port {} on this host, {} wants {}", name,
                              other.udp_port, intent.name(), wanted.udp_port),
                  "give all virtual switches of a host the same vxlan port");

  const auto links = PENSTOCK_TRY(kernel_.links());
  if (!intent.device().empty() &&
      std::ranges::find(links, intent.device(), &Link::name) == links.end())
    return fail(Code::kNotFound, fmt::format("uplink {} of virtual switch {} is not there",
                                             intent.device(), intent.name()));
  switches_[intent.name()] = wanted;
  int mtu = 0;
  for (const auto& [name, other] : switches_) mtu = std::max(mtu, other.mtu);

  const VxlanSpec spec{std::string(kName), alias_of(wanted.udp_port), wanted.udp_port, mtu};
  const Link* device = nullptr;
  for (const auto& link : links) {
    if (!ours(link)) continue;
    if (link.alias == spec.alias)
      device = &link;
    else
      PENSTOCK_CHECK(kernel_.delete_link(link.ifindex));
  }
  Link made;
  if (!device) {
    made = PENSTOCK_TRY(kernel_.create_vxlan(spec));
    device = &made;
  }
  if (mtu > 0 && device->mtu != mtu) PENSTOCK_CHECK(kernel_.set_link_mtu(device->ifindex, mtu));
  if (!device->up) PENSTOCK_CHECK(kernel_.set_link_up(device->ifindex, true));
  PENSTOCK_CHECK(kernel_.attach({device->ifindex, Program::kFromOverlay}));
  PENSTOCK_CHECK(tell_switch(device->ifindex));
  ifindex_ = device->ifindex;
  return {};
}

Status Overlay::remove(const std::string& name) {
  switches_.erase(name);
  if (!switches_.empty()) return {};
  ifindex_ = 0;
  return sweep();
}

Status Overlay::sweep() {
  if (!switches_.empty()) return {};
  PENSTOCK_CHECK(tell_switch(0));
  for (const auto& link : PENSTOCK_TRY(kernel_.links()))
    if (ours(link)) PENSTOCK_CHECK(kernel_.delete_link(link.ifindex));
  return {};
}

bool Overlay::intact(const std::vector<Link>& links,
                     const std::vector<Attachment>& attachments) const {
  if (ifindex_ == 0) return true;
  const auto link = std::ranges::find(links, ifindex_, &Link::ifindex);
  return link != links.end() && link->up &&
         std::ranges::find(attachments, Attachment{ifindex_, Program::kFromOverlay}) !=
             attachments.end();
}

std::vector<std::string> Overlay::names() const {
  std::vector<std::string> out;
  for (const auto& [name, wanted] : switches_) out.push_back(name);
  return out;
}

}  // namespace penstock::host
