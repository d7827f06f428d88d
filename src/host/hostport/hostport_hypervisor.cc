#include "host/hostport/hostport_hypervisor.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "base/real_runtime.h"
#include "host/linux/link_watch.h"
#include "host/netns/guest_config.h"
#include "host/netns/guests.h"
#include "net/linux/links.h"
#include "net/linux/namespace.h"
#include "net/linux/netlink_socket.h"

namespace penstock::host {
namespace {

using linux_net::LinkInfo;
using linux_net::NetlinkSocket;
using linux_net::NetNamespace;

// Not the alias of a guest's device: its driver would take it for one of its own.
constexpr std::string_view kAliasStart = "penstock:hostport/";

std::string alias_of(PortId port, const std::string& instance) {
  return fmt::format("{}{} {}", kAliasStart, port.value, instance);
}

std::optional<GuestDevice> device_of(const LinkInfo& link) {
  if (link.kind != "veth" || !link.alias.starts_with(kAliasStart)) return std::nullopt;
  GuestDevice device;
  const auto* begin = link.alias.data() + kAliasStart.size();
  const auto* end = link.alias.data() + link.alias.size();
  const auto [after, error] = std::from_chars(begin, end, device.port.value);
  if (error != std::errc{} || after == end || *after != ' ') return std::nullopt;
  device.instance.assign(after + 1, end);
  return device;
}

}  // namespace

struct HostPortHypervisor::Impl {
  RealRuntime& runtime;
  NetlinkSocket socket;
  LinkWatch watch;
  std::vector<InstanceInfo> seen;

  Result<std::vector<InstanceInfo>> look() {
    std::map<std::string, InstanceInfo> found;
    for (const auto& link : PENSTOCK_TRY(linux_net::list_links(socket))) {
      const auto device = device_of(link);
      if (!device) continue;
      auto& instance = found[device->instance];
      instance.id = device->instance;
      instance.running = true;
      instance.ports.push_back({device->port, link.ifindex, false});
    }
    std::vector<InstanceInfo> out;
    for (auto& [id, instance] : found) out.push_back(std::move(instance));
    return out;
  }

  Status remove(const std::string& id, const std::vector<NicSpec>& except) {
    for (const auto& link : PENSTOCK_TRY(linux_net::list_links(socket))) {
      const auto device = device_of(link);
      if (!device || device->instance != id) continue;
      if (std::ranges::find(except, device->port, &NicSpec::port) != except.end()) continue;
      const auto gone = linux_net::delete_link(socket, link.ifindex);
      if (!gone && gone.error().code != Code::kNotFound) return gone;
    }
    return {};
  }

  // Both ends, down when they are new.
  Result<PortDevice> make(const std::string& id, const NicSpec& nic) {
    const auto outer = device_name(nic.port), inner = "ps-" + nic.name;
    if (inner.size() > linux_net::kLinkNameMax)
      return fail(Code::kInvalidArgument,
                  fmt::format("{}: {} is too long a name for a link", id, inner));
    auto there = linux_net::find_link(socket, outer);
    if (!there && there.error().code != Code::kNotFound) return std::unexpected(there.error());
    if (there && !there->alias.empty() && there->alias != alias_of(nic.port, id))
      return fail(Code::kAlreadyExists, fmt::format("a link {} exists and is not ours", outer),
                  "rename or remove it; it was left alone");
    if (there) {
      const auto in = linux_net::find_link(socket, inner);
      const bool fits = in && in->peer == there->ifindex && in->mac == nic.mac &&
                        (nic.mtu == 0 || in->mtu == nic.mtu);
      if (!fits) {
        PENSTOCK_CHECK(linux_net::delete_link(socket, there->ifindex));
        there = fail(Code::kNotFound, "replaced");
      }
    }
    if (!there) {
      const auto here = PENSTOCK_TRY(NetNamespace::current());
      PENSTOCK_CHECK(
          linux_net::create_veth(socket, {outer, {}, nic.mtu}, {inner, nic.mac, nic.mtu}, here));
      there = linux_net::find_link(socket, outer);
      if (!there) return std::unexpected(there.error());
    }
    PENSTOCK_CHECK(linux_net::set_link_alias(socket, there->ifindex, alias_of(nic.port, id)));
    (void)linux_net::write_net_sysctl(fmt::format("ipv6/conf/{}/disable_ipv6", outer), "1");
    for (const auto* key : {"accept_dad", "accept_ra"})
      (void)linux_net::write_net_sysctl(fmt::format("ipv6/conf/{}/{}", inner, key), "0");
    return PortDevice{nic.port, there->ifindex, false};
  }

  Status start(const NicSpec& nic) {
    const auto outer = PENSTOCK_TRY(linux_net::find_link(socket, device_name(nic.port)));
    const auto inner = PENSTOCK_TRY(linux_net::find_link(socket, "ps-" + nic.name));
    PENSTOCK_CHECK(linux_net::set_link_up(socket, outer.ifindex, true));
    PENSTOCK_CHECK(linux_net::set_link_up(socket, inner.ifindex, true));
    // The way to everywhere else is the host's own.
    auto subnets_only = nic;
    subnets_only.gateways.clear();
    return set_guest_addresses(socket, inner.ifindex, subnets_only);
  }

  Status ensure(const InstanceSpec& spec,
                const std::function<Status(const InstanceInfo&)>& devices_ready) {
    if (!spec.running) return remove(spec.id, {});
    PENSTOCK_CHECK(remove(spec.id, spec.nics));
    InstanceInfo info{spec.id, true, {}, false};
    for (const auto& nic : spec.nics) {
      if (nic.mode == AddressMode::kDhcp)
        return fail(Code::kInvalidArgument,
                    fmt::format("{}: NIC {}: a host's addresses are static", spec.id, nic.name));
      info.ports.push_back(PENSTOCK_TRY(make(spec.id, nic)));
    }
    PENSTOCK_CHECK(devices_ready(info));
    for (const auto& nic : spec.nics) PENSTOCK_CHECK(start(nic));
    return {};
  }
};

HostPortHypervisor::HostPortHypervisor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HostPortHypervisor::~HostPortHypervisor() {
  impl_->watch.on_change(nullptr);
}

Result<std::unique_ptr<HostPortHypervisor>> HostPortHypervisor::open(RealRuntime& runtime,
                                                                     Log& log) {
  auto socket = PENSTOCK_TRY(NetlinkSocket::open());
  auto watch = PENSTOCK_TRY(LinkWatch::open(runtime, log));
  std::unique_ptr<Impl> impl(new Impl{runtime, std::move(socket), std::move(watch), {}});
  return std::unique_ptr<HostPortHypervisor>(new HostPortHypervisor(std::move(impl)));
}

Result<std::vector<InstanceInfo>> HostPortHypervisor::list() {
  auto found = impl_->look();
  if (found) impl_->seen = *found;
  return found;
}

void HostPortHypervisor::ensure_instance(const InstanceSpec& spec,
                                         std::function<Status(const InstanceInfo&)> devices_ready,
                                         Done done) {
  impl_->runtime.post([impl = impl_.get(), spec, devices_ready = std::move(devices_ready),
                       done = std::move(done)] { done(impl->ensure(spec, devices_ready)); });
}

void HostPortHypervisor::remove_instance(const std::string& id, Done done) {
  impl_->runtime.post(
      [impl = impl_.get(), id, done = std::move(done)] { done(impl->remove(id, {})); });
}

void HostPortHypervisor::on_changed(std::function<void()> changed) {
  if (!changed) return impl_->watch.on_change(nullptr);
  (void)list();
  impl_->watch.on_change([impl = impl_.get(), changed = std::move(changed)] {
    auto now = impl->look();
    if (now && *now == impl->seen) return;
    if (now) impl->seen = std::move(*now);
    changed();
  });
}

}  // namespace penstock::host
