#include <algorithm>

#include <fmt/format.h>

#include "model/labels.h"
#include "model/validate/validate.h"

namespace penstock {
namespace {

constexpr std::size_t kDeviceNameMost = 15;  // IFNAMSIZ - 1

void check_uplink(const v1::Uplink& uplink, const std::string& at, Problems& problems) {
  check_name(uplink.name(), problems, field_path(at, "name"));
  const auto& device = uplink.device();
  if (device.empty() || device.size() > kDeviceNameMost || device == "." || device == ".." ||
      std::ranges::any_of(
          device, [](unsigned char c) { return c <= ' ' || c == '/' || c == ':' || c > '~'; }))
    problems.add(field_path(at, "device"),
                 fmt::format("\"{}\" is not the name of a network device", device.substr(0, 40)),
                 "like \"eth0\", at most 15 characters");
  if (const auto address = IpAddress::parse(uplink.address()); !address)
    problems.add(field_path(at, "address"), address.error());
  if (uplink.mtu() != 0 && (uplink.mtu() < 576 || uplink.mtu() > 65535))
    problems.add(field_path(at, "mtu"), fmt::format("{} is not an MTU", uplink.mtu()),
                 "576 to 65535; 0: that of the device");
}

void check_switches(const v1::HostSpec& spec, Problems& problems) {
  std::set<std::string> names;
  std::map<std::pair<std::string, int>, std::string> taken;
  for (int i = 0; i < spec.switches_size(); ++i) {
    const auto& s = spec.switches(i);
    const auto at = field_path("spec.switches", static_cast<std::size_t>(i));
    check_name(s.name(), problems, field_path(at, "name"));
    check_unique(names, s.name(), problems, field_path(at, "name"));
    if (std::ranges::find(spec.uplinks(), s.uplink(), &v1::Uplink::name) == spec.uplinks().end())
      problems.add(field_path(at, "uplink"),
                   fmt::format("\"{}\" is not among the uplinks", s.uplink()));
    if (s.vxlan_port() < 0 || s.vxlan_port() > 65535)
      problems.add(field_path(at, "vxlanPort"), fmt::format("{} is not a port", s.vxlan_port()),
                   "1 to 65535; 0: 4789");
    const int port = s.vxlan_port() ? s.vxlan_port() : 4789;
    const auto [it, fresh] = taken.emplace(std::pair(s.uplink(), port), s.name());
    if (!fresh)
      problems.add(
          field_path(at, "vxlanPort"),
          fmt::format("the switch {} has port {} on this uplink already", it->second, port));
  }
}

}  // namespace

void validate(const v1::Host& host, const ValidateContext& context, Problems& problems) {
  const auto& spec = host.spec();
  if (!spec.cluster().empty())
    check_exists<v1::Cluster>(context.snapshot, "", spec.cluster(), problems, "spec.cluster");
  if (spec.uplinks().empty())
    problems.add("spec.uplinks", "is required: other hosts reach this one through it");
  std::set<std::string> names, addresses;
  for (int i = 0; i < spec.uplinks_size(); ++i) {
    const auto at = field_path("spec.uplinks", static_cast<std::size_t>(i));
    check_uplink(spec.uplinks(i), at, problems);
    check_unique(names, spec.uplinks(i).name(), problems, field_path(at, "name"));
    check_unique(addresses, spec.uplinks(i).address(), problems, field_path(at, "address"));
  }
  check_switches(spec, problems);
  context.snapshot.each<v1::Host>([&](const v1::Host& other) {
    if (other.metadata().name() == host.metadata().name()) return;
    for (const auto& uplink : other.spec().uplinks())
      if (addresses.contains(uplink.address()))
        problems.add("spec.uplinks", fmt::format("{} is the address of host {}", uplink.address(),
                                                 other.metadata().name()));
  });
}

}  // namespace penstock
