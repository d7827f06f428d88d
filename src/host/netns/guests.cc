#include "host/netns/guests.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "host/netns/guest_config.h"
#include "host/netns/guest_dhcp.h"

namespace penstock::host {

using linux_net::LinkInfo;
using linux_net::NetlinkSocket;
using linux_net::NetNamespace;

namespace {

constexpr std::string_view kAliasStart = "penstock:port/";
constexpr std::string_view kNameStart = "ps-p";

// '@' stands in no tenant's and no VM's name, so this can be turned back.
std::string file_name(std::string id) {
  std::ranges::replace(id, '/', '@');
  return id;
}
std::string id_of_file(std::string name) {
  std::ranges::replace(name, '@', '/');
  return name;
}

bool safe_id(const std::string& id) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return !id.empty() && id.size() <= 200 && id.front() != '.' && std::ranges::all_of(id, allowed);
}

}  // namespace

std::string device_name(PortId port) {
  return fmt::format("{}{}", kNameStart, port.value);
}

std::string device_alias(const GuestDevice& device) {
  return fmt::format("{}{} {}", kAliasStart, device.port.value, device.instance);
}

std::optional<GuestDevice> parse_device_alias(const std::string& alias) {
  if (!alias.starts_with(kAliasStart)) return std::nullopt;
  GuestDevice device;
  const char* begin = alias.data() + kAliasStart.size();
  const char* end = alias.data() + alias.size();
  const auto [after, error] = std::from_chars(begin, end, device.port.value);
  if (error != std::errc{} || after == end || *after != ' ') return std::nullopt;
  device.instance.assign(after + 1, end);
  return device;
}

Guests::Guests(std::string run_dir, NetlinkSocket host)
    : run_dir_(std::move(run_dir)), host_(std::move(host)) {}

Result<Guests> Guests::open(const std::string& run_dir) {
  std::error_code error;
  std::filesystem::create_directories(run_dir + "/netns", error);
  if (error) return fail_errno(error.value(), fmt::format("make the folder {}/netns", run_dir));
  return Guests(run_dir, PENSTOCK_TRY(NetlinkSocket::open()));
}

std::string Guests::namespace_path(const std::string& id) const {
  return fmt::format("{}/netns/{}", run_dir_, file_name(id));
}

Result<std::vector<InstanceInfo>> Guests::list() {
  std::map<std::string, InstanceInfo> found;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(run_dir_ + "/netns", error)) {
    const auto id = id_of_file(file.path().filename());
    found[id] = {id, linux_net::namespace_bound_at(file.path()), {}};
  }
  if (error) return fail_errno(error.value(), fmt::format("list {}/netns", run_dir_));
  const auto links = PENSTOCK_TRY(linux_net::list_links(host_));
  for (const auto& link : links) {
    const auto device = parse_device_alias(link.alias);
    if (!device || link.kind != "veth") continue;
    // Devices whose namespace file is gone are listed too, so that somebody removes them.
    auto& instance = found.try_emplace(device->instance, InstanceInfo{device->instance, false, {}})
                         .first->second;
    instance.ports.push_back({device->port, link.ifindex, true});
  }
  std::vector<InstanceInfo> sorted;
  for (auto& [id, instance] : found) {
    // Asked only where no outer end is: it costs a look into the guest.
    if (instance.running && instance.ports.empty())
      instance.departed = PENSTOCK_TRY(holder(id, links)) != Holder::kUs;
    std::ranges::sort(instance.ports, {}, &PortDevice::port);
    sorted.push_back(std::move(instance));
  }
  return sorted;
}

namespace {

bool is_outer_end(const LinkInfo& link) {
  return link.kind == "veth" && link.name.starts_with(kNameStart);
}

}  // namespace

auto Guests::holder(const std::string& id, const std::vector<LinkInfo>& host_links)
    -> Result<Holder> {
  const auto where = NetNamespace::open(namespace_path(id));
  if (!where) return Holder::kUs;  // gone this moment: the next look says
  auto guest = PENSTOCK_TRY(NetlinkSocket::open_in(*where));
  const auto inside = PENSTOCK_TRY(linux_net::list_links(guest));
  if (std::ranges::any_of(inside, is_outer_end)) return Holder::kNobody;
  bool has_nic = false;
  for (const auto& nic : inside) {
    if (nic.kind != "veth") continue;
    has_nic = true;
    for (const auto& outer : host_links) {
      // Numbers alone say nothing: every namespace counts from 1, and another host's do as ours.
      const auto device = parse_device_alias(outer.alias);
      const bool its = device ? device->instance == id : outer.alias.empty();
      if (is_outer_end(outer) && its && outer.peer == nic.ifindex && nic.peer == outer.ifindex)
        return Holder::kUs;
    }
  }
  return has_nic ? Holder::kOther : Holder::kUs;
}

Result<NetNamespace> Guests::make_namespace(const std::string& id) {
  const auto path = namespace_path(id);
  if (linux_net::namespace_bound_at(path)) return NetNamespace::open(path);
  auto made = PENSTOCK_TRY(NetNamespace::create_bound(path));
  auto guest = PENSTOCK_TRY(NetlinkSocket::open_in(made));
  const auto lo = PENSTOCK_TRY(linux_net::find_link(guest, "lo"));
  PENSTOCK_CHECK(linux_net::set_link_up(guest, lo.ifindex, true));
  return made;
}

Status Guests::remove_devices(const std::string& id, const std::vector<NicSpec>& except) {
  for (const auto& link : PENSTOCK_TRY(linux_net::list_links(host_))) {
    const auto device = parse_device_alias(link.alias);
    if (!device || device->instance != id || link.kind != "veth") continue;
    if (std::ranges::find(except, device->port, &NicSpec::port) != except.end()) continue;
    const auto removed = linux_net::delete_link(host_, link.ifindex);
    if (!removed && removed.error().code != Code::kNotFound) return removed;
  }
  return {};
}

Result<PortDevice> Guests::make_nic(const InstanceSpec& spec, const NicSpec& nic,
                                    const NetNamespace& where, NetlinkSocket& guest) {
  const auto name = device_name(nic.port);
  const auto alias = device_alias({nic.port, spec.id});
  const auto guest_links = PENSTOCK_TRY(linux_net::list_links(guest));
  auto outside = linux_net::find_link(host_, name);
  if (!outside && outside.error().code != Code::kNotFound) return std::unexpected(outside.error());
  if (const auto laid_down = std::ranges::find(guest_links, name, &LinkInfo::name);
      !outside && laid_down != guest_links.end() && is_outer_end(*laid_down)) {
    const auto here = PENSTOCK_TRY(NetNamespace::current());
    PENSTOCK_CHECK(linux_net::move_link(guest, laid_down->ifindex, here));
    return make_nic(spec, nic, where, guest);
  }
  const auto peer_of = [&](const LinkInfo& host_link) {
    return std::ranges::find_if(guest_links, [&](const LinkInfo& inside) {
      return inside.kind == "veth" && inside.peer == host_link.ifindex &&
             inside.ifindex == host_link.peer;
    });
  };
  if (outside) {
    const auto inside = peer_of(*outside);
    const bool fits = inside != guest_links.end() && inside->name == nic.name;
    // Without an alias but leading into this guest: made by us just before a crash.
    const bool ours = parse_device_alias(outside->alias) ||
                      (outside->alias.empty() && inside != guest_links.end());
    if (!ours) {
      return fail(Code::kAlreadyExists, fmt::format("a link {} exists and is not ours", name),
                  "rename or remove it; it was left alone");
    }
    if (fits) {
      if (inside->mac != nic.mac) {
        PENSTOCK_CHECK(linux_net::set_link_up(guest, inside->ifindex, false));
        PENSTOCK_CHECK(linux_net::set_link_mac(guest, inside->ifindex, nic.mac));
      }
      if (nic.mtu != 0 && inside->mtu != nic.mtu) {
        PENSTOCK_CHECK(linux_net::set_link_mtu(guest, inside->ifindex, nic.mtu));
      }
      if (nic.mtu != 0 && outside->mtu != nic.mtu) {
        PENSTOCK_CHECK(linux_net::set_link_mtu(host_, outside->ifindex, nic.mtu));
      }
    } else {
      PENSTOCK_CHECK(linux_net::delete_link(host_, outside->ifindex));
      outside = fail(Code::kNotFound, "replaced");
    }
  }
  if (!outside) {
    PENSTOCK_CHECK(
        linux_net::create_veth(host_, {name, {}, nic.mtu}, {nic.name, nic.mac, nic.mtu}, where));
    outside = linux_net::find_link(host_, name);
    if (!outside) return std::unexpected(outside.error());
  }
  if (outside->alias != alias)
    PENSTOCK_CHECK(linux_net::set_link_alias(host_, outside->ifindex, alias));
  // The host has no business on the guest's wire: no addresses, no neighbour or multicast chatter
  // of its own. Hosts without IPv6 lack the file.
  (void)linux_net::write_net_sysctl(fmt::format("ipv6/conf/{}/disable_ipv6", name), "1");
  PENSTOCK_CHECK(set_guest_switches(where, nic));
  return PortDevice{nic.port, outside->ifindex, true};
}

Status Guests::stop(const std::string& id) {
  const auto path = namespace_path(id);
  if (linux_net::namespace_bound_at(path)) {
    const auto links = PENSTOCK_TRY(linux_net::list_links(host_));
    if (PENSTOCK_TRY(holder(id, links)) != Holder::kOther)
      PENSTOCK_CHECK(linux_net::kill_processes_in(PENSTOCK_TRY(NetNamespace::open(path))));
  }
  PENSTOCK_CHECK(remove_devices(id, {}));
  PENSTOCK_CHECK(linux_net::remove_bound_namespace(path));
  forget_dhcp_clients(run_dir_, file_name(id));
  return {};
}

Result<InstanceInfo> Guests::prepare(const InstanceSpec& spec) {
  if (!safe_id(spec.id))
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" cannot name an instance", spec.id));
  if (!spec.running) {
    PENSTOCK_CHECK(stop(spec.id));
    const auto path = namespace_path(spec.id);
    linux_net::Fd mark(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0444));
    if (!mark) return fail_errno(errno, fmt::format("create {}", path));
    return InstanceInfo{spec.id, false, {}};
  }
  const auto where = PENSTOCK_TRY(make_namespace(spec.id));
  if (PENSTOCK_TRY(holder(spec.id, PENSTOCK_TRY(linux_net::list_links(host_)))) == Holder::kOther)
    return fail(Code::kFailedPrecondition, fmt::format("{}: another host has it", spec.id));
  auto guest = PENSTOCK_TRY(NetlinkSocket::open_in(where));
  PENSTOCK_CHECK(remove_devices(spec.id, spec.nics));
  InstanceInfo info{spec.id, true, {}};
  for (const auto& nic : spec.nics)
    info.ports.push_back(PENSTOCK_TRY(make_nic(spec, nic, where, guest)));
  std::ranges::sort(info.ports, {}, &PortDevice::port);
  return info;
}

Status Guests::start(const InstanceSpec& spec) {
  if (!spec.running) return {};
  const auto where = PENSTOCK_TRY(NetNamespace::open(namespace_path(spec.id)));
  auto guest = PENSTOCK_TRY(NetlinkSocket::open_in(where));
  for (const auto& nic : spec.nics) {
    const auto outside = PENSTOCK_TRY(linux_net::find_link(host_, device_name(nic.port)));
    const auto inside = PENSTOCK_TRY(linux_net::find_link(guest, nic.name));
    PENSTOCK_CHECK(linux_net::set_link_up(host_, outside.ifindex, true));
    PENSTOCK_CHECK(linux_net::set_link_up(guest, inside.ifindex, true));
    if (nic.mode == AddressMode::kDhcp) {
      if (dhcp_client_runs(where, run_dir_, file_name(spec.id), nic)) continue;
      auto bare = nic;  // what was static before goes
      bare.addresses.clear();
      bare.gateways.clear();
      PENSTOCK_CHECK(set_guest_addresses(guest, inside.ifindex, bare));
      PENSTOCK_CHECK(start_dhcp_client(where, run_dir_, file_name(spec.id), nic));
    } else {
      PENSTOCK_CHECK(stop_dhcp_client(where, run_dir_, file_name(spec.id), nic));
      PENSTOCK_CHECK(set_guest_addresses(guest, inside.ifindex, nic));
    }
  }
  return {};
}

Status Guests::remove(const std::string& id) {
  return stop(id);
}

Status Guests::silence(const std::string& id) {
  for (const auto& link : PENSTOCK_TRY(linux_net::list_links(host_))) {
    const auto device = parse_device_alias(link.alias);
    if (device && device->instance == id && link.up)
      PENSTOCK_CHECK(linux_net::set_link_up(host_, link.ifindex, false));
  }
  return {};
}

Result<std::string> Guests::let_go(const std::string& id) {
  const auto path = namespace_path(id);
  const auto where = PENSTOCK_TRY(NetNamespace::open(path));
  for (const auto& link : PENSTOCK_TRY(linux_net::list_links(host_))) {
    const auto device = parse_device_alias(link.alias);
    if (device && device->instance == id)
      PENSTOCK_CHECK(linux_net::move_link(host_, link.ifindex, where));
  }
  return path;
}

Result<InstanceInfo> Guests::take(const InstanceSpec& spec, const std::string& handle) {
  if (!safe_id(spec.id))
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" cannot name an instance", spec.id));
  const auto path = namespace_path(spec.id);
  const auto where = PENSTOCK_TRY(NetNamespace::open(handle));
  if (linux_net::namespace_bound_at(path)) {
    if (PENSTOCK_TRY(NetNamespace::open(path)).inode() != where.inode())
      return fail(Code::kFailedPrecondition,
                  fmt::format("{}: this host has another guest of that name", spec.id));
  } else {
    PENSTOCK_CHECK(where.bind_at(path));
  }
  auto prepared = prepare(spec);
  if (!prepared) return prepared;
  // What the guest's DHCP clients are told apart by lies beside the old name of its namespace.
  const auto folder = std::filesystem::path(handle).parent_path().parent_path() / "dhcp";
  adopt_dhcp_clients(folder, run_dir_, file_name(spec.id));
  return prepared;
}

void Guests::forget(const InstanceSpec& spec) {
  const auto links = linux_net::list_links(host_);
  if (!links || !linux_net::namespace_bound_at(namespace_path(spec.id))) return;
  if (holder(spec.id, *links).value_or(Holder::kNobody) == Holder::kUs &&
      !(silence(spec.id) && let_go(spec.id)))
    return;  // still ours in part, which is said by every look
  (void)linux_net::remove_bound_namespace(namespace_path(spec.id));
}

}  // namespace penstock::host
