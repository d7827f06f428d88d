// How each kind of item is applied and removed. What an item leans on marks it again when it
// changes.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "host/reconciler.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

std::string_view after(std::string_view key, std::string_view prefix) {
  return key.starts_with(prefix) ? key.substr(prefix.size()) : std::string_view{};
}
std::uint64_t number_after(std::string_view key, std::string_view prefix) {
  const auto text = after(key, prefix);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

// The key the item should have by its content; empty: no kind this build knows.
std::string key_of(const v1::IntentItem& item) {
  switch (item.item_case()) {
    case v1::IntentItem::kSwitch:
      return switch_key(item.switch_().name());
    case v1::IntentItem::kNetwork:
      return network_key(item.network().vni());
    case v1::IntentItem::kGroup:
      return group_key(item.group().id());
    case v1::IntentItem::kPolicy:
      return policy_key(item.policy().id());
    case v1::IntentItem::kInstance:
      return instance_key(item.instance().tenant(), item.instance().name());
    case v1::IntentItem::kPort:
      return port_key(item.port().id());
    case v1::IntentItem::kNeighbor:
      return fmt::format("70/nbr/{}/{}", item.neighbor().vni(), item.neighbor().port_id());
    case v1::IntentItem::ITEM_NOT_SET:
      break;
  }
  return {};
}

Result<std::vector<IpAddress>> parse_addresses(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<IpAddress> out;
  for (int i = 0; i < texts.size(); ++i) {
    const auto address = IpAddress::parse(texts[i]);
    if (!address) return fail_field(fmt::format("addresses[{}]", i), address.error().message);
    out.push_back(*address);
  }
  return out;
}

}  // namespace

auto Reconciler::apply_item(const std::string& key, const v1::IntentItem& item)
    -> Result<Progress> {
  if (key_of(item) != key) {
    if (item.item_case() == v1::IntentItem::ITEM_NOT_SET)
      return fail(Code::kUnimplemented,
                  fmt::format("{}: this host does not know this kind of item", key),
                  "upgrade the host");
    return fail(Code::kInvalidArgument,
                fmt::format("{}: the item's content says {}", key, key_of(item)));
  }
  Status status;
  switch (item.item_case()) {
    case v1::IntentItem::kSwitch:
      status = overlay_.put(item.switch_());
      if (status)
        for (const auto& [other, why] : troubles_)
          if (other.starts_with("20/net/")) mark(other);
      break;
    case v1::IntentItem::kNetwork:
      status = apply_network(key, item.network());
      break;
    case v1::IntentItem::kGroup:
      status = apply_group(key, item.group());
      break;
    case v1::IntentItem::kPolicy:
      status = apply_policy(item.policy());
      break;
    case v1::IntentItem::kInstance:
      return apply_instance(item.instance());
    case v1::IntentItem::kPort:
      status = apply_port(item.port());
      break;
    case v1::IntentItem::kNeighbor:
      status = apply_neighbor(key, item.neighbor());
      break;
    case v1::IntentItem::ITEM_NOT_SET:
      break;
  }
  PENSTOCK_CHECK(status);
  return Progress::kDone;
}

auto Reconciler::remove_item(const std::string& key) -> Result<Progress> {
  Status status;
  if (const auto name = after(key, "10/switch/"); !name.empty()) {
    status = overlay_.remove(std::string(name));
  } else if (const auto vni = number_after(key, "20/net/")) {
    status = tables_.set_network(key, Vni(static_cast<std::uint32_t>(vni)), {});
  } else if (const auto group = number_after(key, "30/group/")) {
    if (PENSTOCK_TRY(tables_.set_group(key, switch_number(group), {}))) ports_->judge_again(group);
  } else if (const auto policy = number_after(key, "40/policy/")) {
    policies_.remove(policy);
  } else if (const auto id = after(key, "50/vm/"); !id.empty()) {
    const auto progress = PENSTOCK_TRY(instances_->remove(std::string(id)));
    return progress == Instances::Progress::kDone ? Progress::kDone : Progress::kWorking;
  } else if (const auto port = number_after(key, "60/port/")) {
    const PortId id(static_cast<std::uint32_t>(port));
    status = ports_->remove(id);
    if (observer_.gone) observer_.gone(id);
  } else {
    status = tables_.clear(key);
    // Of a port of ours: its VM leaves no more (leaving()).
    const auto slash = key.rfind('/');
    const auto id = static_cast<std::uint32_t>(number_after(key, key.substr(0, slash + 1)));
    if (const auto* own = intent_.port(id)) mark(instance_key(own->tenant(), own->vm()));
  }
  PENSTOCK_CHECK(status);
  return Progress::kDone;
}

Status Reconciler::apply_network(const std::string& key, const v1::NetworkIntent& network) {
  std::vector<IpAddress> gateways;
  for (int i = 0; i < network.subnets_size(); ++i) {
    const auto& text = network.subnets(i).gateway();
    if (text.empty()) continue;
    const auto gateway = IpAddress::parse(text);
    if (!gateway) return fail_field(fmt::format("subnets[{}].gateway", i), gateway.error().message);
    gateways.push_back(*gateway);
  }
  PENSTOCK_CHECK(tables_.set_network(key, Vni(network.vni()), gateways));
  for (const auto& [other, item] : intent_.items())
    if (item->has_port() && item->port().vni() == network.vni()) {
      mark(instance_key(item->port().tenant(), item->port().vm()));
      mark(other);
    }
  if (!network.virtual_switch().empty() && !intent_.find_switch(network.virtual_switch()))
    return fail(Code::kUnavailable,
                fmt::format("virtual switch {} is not on this host", network.virtual_switch()));
  return {};
}

Status Reconciler::apply_group(const std::string& key, const v1::GroupIntent& group) {
  std::vector<std::pair<Vni, IpAddress>> members;
  for (int i = 0; i < group.members_size(); ++i) {
    const auto address = IpAddress::parse(group.members(i).address());
    if (!address) return fail_field(fmt::format("members[{}].address", i), address.error().message);
    members.emplace_back(Vni(group.members(i).vni()), *address);
  }
  const auto changed = tables_.set_group(key, switch_number(group.id()), members);
  // Also after an error: part of it may have been written.
  if (!changed || *changed) ports_->judge_again(group.id());
  PENSTOCK_CHECK(changed);
  return {};
}

Status Reconciler::apply_policy(const v1::PolicyIntent& policy) {
  const auto* before = policies_.find(policy.id());
  const auto images = before ? before->image : std::array<std::uint32_t, 2>{};
  auto status = policies_.put(policy);
  const auto* now = policies_.find(policy.id());
  // Ports that use it: get the new images, or say why they cannot.
  if (!status || (now && now->image != images))
    for (const auto& [key, item] : intent_.items())
      if (item->has_port() &&
          std::ranges::any_of(item->port().steps(), [&](const v1::StepIntent& step) {
            return step.policy() == policy.id();
          }))
        mark(key);
  return status;
}

Result<InstanceSpec> Reconciler::spec_of(const v1::InstanceIntent& instance) const {
  InstanceSpec spec;
  spec.id = fmt::format("{}/{}", instance.tenant(), instance.name());
  spec.running = instance.running();
  for (const auto id : instance.ports()) {
    const auto* port = intent_.port(id);
    if (!port)
      return fail(Code::kUnavailable, fmt::format("{}: port {} is not known yet", spec.id, id));
    const auto* network = intent_.network(port->vni());
    if (!network)
      return fail(Code::kUnavailable,
                  fmt::format("{}: network {} is not known yet", spec.id, port->vni()));
    NicSpec nic;
    nic.port = PortId(id);
    nic.name = port->nic();
    const auto mac = Mac::parse(port->mac());
    if (!mac) return fail_field(fmt::format("port {} mac", id), mac.error().message);
    nic.mac = *mac;
    nic.mtu = network->mtu();
    nic.mode = port->dhcp() ? AddressMode::kDhcp : AddressMode::kStatic;
    const auto addresses = PENSTOCK_TRY(parse_addresses(port->addresses()));
    for (const auto& address : addresses) {
      auto length =
          static_cast<std::uint8_t>(address.width());  // outside every subnet: a host address
      for (const auto& subnet : network->subnets()) {
        const auto prefix = IpPrefix::parse(subnet.cidr());
        if (!prefix) return fail_field("cidr", prefix.error().message);
        if (!prefix->contains(address)) continue;
        length = prefix->length;
        const auto gateway = IpAddress::parse(subnet.gateway());
        const auto same_family = [&](const IpAddress& other) {
          return other.family == address.family;
        };
        if (gateway && std::ranges::none_of(nic.gateways, same_family))
          nic.gateways.push_back(*gateway);
        break;
      }
      nic.addresses.emplace_back(address, length);
    }
    spec.nics.push_back(std::move(nic));
  }
  return spec;
}

std::string Reconciler::driver_of(const v1::InstanceIntent& instance) const {
  if (!instance.driver().empty() || drivers_.empty()) return instance.driver();
  // The host itself is a member of a network only where somebody said so.
  for (const auto& [name, driver] : drivers_)
    if (name != "host") return name;
  return {};
}

void Reconciler::depart(const std::string& id, Hypervisor::Handed handed) {
  instances_->depart(
      id,
      [this, id](const std::vector<PortDevice>& devices) {
        for (const auto& device : devices) {
          if (auto status = ports_->unplug(device); !status)
            log_.warning("port {} of {}: {}", device.port.value, id, status.error().message);
          if (observer_.gone) observer_.gone(device.port);
        }
        flush_floods();
      },
      std::move(handed));
}

void Reconciler::arrive(const v1::InstanceIntent& instance, const std::string& handle,
                        Hypervisor::Done done) {
  auto spec = spec_of(instance);
  if (!spec) return done(std::unexpected(spec.error()));
  instances_->arrive(driver_of(instance), *spec, handle,
                     [this, spec = *spec, done = std::move(done)](Status status) {
                       // The devices have been given back: no program of ours may go with them.
                       for (const auto& nic : spec.nics) {
                         const auto slot = ports_->table().slot_of(nic.port);
                         if (status || !slot) continue;
                         const auto ifindex = ports_->table().port(*slot).ifindex;
                         if (ifindex != 0)
                           (void)ports_->unplug({nic.port, static_cast<int>(ifindex), true});
                       }
                       done(std::move(status));
                     });
}

void Reconciler::take_back(const v1::InstanceIntent& instance, Hypervisor::Done done) {
  auto spec = spec_of(instance);
  if (!spec) return done(std::unexpected(spec.error()));
  instances_->take_back(driver_of(instance), *spec, std::move(done));
}

// A host hears of its own VM as a neighbor while that moves away: where it may speak from too.
bool Reconciler::leaving(const v1::InstanceIntent& instance) const {
  return std::ranges::any_of(instance.ports(), [this](std::uint32_t id) {
    const auto* port = intent_.port(id);
    return port && intent_.items().contains(fmt::format("70/nbr/{}/{}", port->vni(), id));
  });
}

auto Reconciler::apply_instance(const v1::InstanceIntent& instance) -> Result<Progress> {
  const auto spec = PENSTOCK_TRY(spec_of(instance));
  const auto driver = driver_of(instance);
  // It left, and what is wanted here is no move's: the VM was made or placed here anew before this
  // host heard that it had gone.
  if (!instance.arriving() && instances_->departed(spec.id) && !leaving(instance)) {
    PENSTOCK_TRY(instances_->remove(spec.id));
    return Progress::kWorking;
  }
  const auto progress = PENSTOCK_TRY(instance.arriving() ? instances_->expect(driver, spec)
                                                         : instances_->ensure(driver, spec));
  if (progress == Instances::Progress::kWorking) return Progress::kWorking;
  for (const auto& nic : spec.nics) {
    const auto key = port_key(nic.port.value);
    const bool has_device = instances_->device(nic.port) != nullptr;
    if (troubles_.contains(key) || ports_->live(nic.port) != has_device) mark(key);
  }
  return Progress::kDone;
}

Status Reconciler::program_port(const v1::PortIntent& port) {
  const auto* network = intent_.network(port.vni());
  if (!network)
    return fail(Code::kUnavailable, fmt::format("network {} is not known yet", port.vni()));
  const PortId id(port.id());
  const auto* device = instances_->device(id);
  const auto* instance = intent_.instance(port.tenant(), port.vm());
  // Entries that an earlier stay of the VM left would mix with those that come with it.
  if (!device && instance && instance->arriving() && !ports_->table().slot_of(id))
    PENSTOCK_CHECK(kernel_.forget_flows(id));
  auto status = ports_->program(port, *network, device);
  if (device && ports_->live(device->port)) {
    if (observer_.ready) observer_.ready(port, *network, device->ifindex);
  } else if (observer_.gone) {
    observer_.gone(PortId(port.id()));
  }
  return status;
}

Status Reconciler::apply_port(const v1::PortIntent& port) {
  if (auto status = program_port(port); !status) {
    // For a policy that will not come, a port waits in vain: as final as the policy's own trouble,
    // which brings the port back when it ends.
    for (const auto& step : port.steps()) {
      const auto why = troubles_.find(policy_key(step.policy()));
      if (!policies_.find(step.policy()) && why != troubles_.end() && why->second.final)
        return fail(Code::kFailedPrecondition,
                    fmt::format("{}: profile {}, level {}: {}", step.enablement(), step.profile(),
                                step.level(), why->second.message));
    }
    return status;
  }
  if (instances_->device(PortId(port.id()))) return {};
  const auto* instance = intent_.instance(port.tenant(), port.vm());
  if (instance && (!instance->running() || instance->arriving())) return {};
  if (instances_->departed(fmt::format("{}/{}", port.tenant(), port.vm()))) return {};
  return fail(Code::kUnavailable,
              fmt::format("waiting for a device of {}/{}", port.tenant(), port.vm()));
}

Status Reconciler::apply_neighbor(const std::string& key, const v1::NeighborIntent& neighbor) {
  Member member;
  member.port = PortId(neighbor.port_id());
  member.vni = Vni(neighbor.vni());
  const auto mac = Mac::parse(neighbor.mac());
  if (!mac) return fail_field("mac", mac.error().message);
  member.mac = *mac;
  member.addresses = PENSTOCK_TRY(parse_addresses(neighbor.addresses()));
  const auto vtep = IpAddress::parse(neighbor.vtep());
  if (!vtep) return fail_field("vtep", vtep.error().message);
  std::optional<IpAddress> also;
  if (!neighbor.also_vtep().empty()) {
    const auto parsed = IpAddress::parse(neighbor.also_vtep());
    if (!parsed) return fail_field("also_vtep", parsed.error().message);
    also = *parsed;
  }
  return tables_.set_remote(key, member, *vtep, also);
}

Status Reconciler::devices_ready(const InstanceInfo& info) {
  for (const auto& device : info.ports) {
    const auto* port = intent_.port(device.port.value);
    if (!port)
      return fail(Code::kUnavailable,
                  fmt::format("{}: port {} was removed while its device was made", info.id,
                              device.port.value));
    // A live port keeps the policy it has; its own item tells the trouble. Another may not speak
    // without.
    if (auto status = program_port(*port); !status && !ports_->live(device.port))
      return std::unexpected(
          std::move(status).error().in(fmt::format("port {} of {}", device.port.value, info.id)));
  }
  flush_floods();
  return {};
}

}  // namespace penstock::host
