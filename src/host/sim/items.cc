#include "host/sim/items.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::host::items {
namespace {

v1::IntentItem keyed(std::string key) {
  v1::IntentItem item;
  item.set_key(std::move(key));
  return item;
}
std::string address_of(std::uint32_t id, std::uint32_t vni) {
  return fmt::format("10.{}.{}.{}", vni & 0xff, id >> 8 & 0xff, (id & 0xff));
}
std::string mac_of(std::uint32_t id) {
  return fmt::format("02:00:{:02x}:{:02x}:{:02x}:{:02x}", id >> 24, id >> 16 & 0xff, id >> 8 & 0xff,
                     id & 0xff);
}

}  // namespace

v1::IntentItem overlay(const std::string& name, const std::string& uplink,
                       const std::string& vtep) {
  auto item = keyed(switch_key(name));
  auto& out = *item.mutable_switch_();
  out.set_name(name);
  out.set_device(uplink);
  out.set_local_vtep(vtep);
  out.set_vxlan_port(4789);
  out.set_underlay_mtu(1500);
  return item;
}

v1::IntentItem network(std::uint32_t vni) {
  auto item = keyed(network_key(vni));
  auto& out = *item.mutable_network();
  out.set_vni(vni);
  out.set_tenant("acme");
  out.set_name(fmt::format("net-{}", vni));
  out.set_mtu(1450);
  auto& subnet = *out.add_subnets();
  subnet.set_cidr(fmt::format("10.{}.0.0/16", vni & 0xff));
  subnet.set_gateway(fmt::format("10.{}.255.1", vni & 0xff));
  return item;
}

v1::IntentItem group(std::uint64_t id, std::vector<std::pair<std::uint32_t, std::string>> members) {
  auto item = keyed(group_key(id));
  item.mutable_group()->set_id(id);
  for (const auto& [vni, address] : members) {
    auto& member = *item.mutable_group()->add_members();
    member.set_vni(vni);
    member.set_address(address);
  }
  return item;
}

v1::IntentItem firewall(std::uint64_t id, std::uint32_t tcp_port, std::uint64_t group) {
  auto item = keyed(policy_key(id));
  auto& out = *item.mutable_policy();
  out.set_id(id);
  out.set_profile(fmt::format("firewall-{}", id));
  out.set_level("standard");
  auto& filter = *out.mutable_filter();
  filter.set_default_out(v1::ALLOW);
  filter.set_default_in(v1::DENY);
  auto& rule = *filter.add_rules();
  rule.set_name("open");
  rule.set_direction(v1::FilterRule::IN);
  rule.set_action(v1::ALLOW);
  rule.add_protocols(6);
  auto& span = *rule.add_ports();
  span.set_low(tcp_port);
  span.set_high(tcp_port);
  if (group != 0) rule.add_from()->set_group(group);
  return item;
}

v1::IntentItem vm(const std::string& name, std::vector<std::uint32_t> ports, bool running) {
  auto item = keyed(instance_key("acme", name));
  auto& out = *item.mutable_instance();
  out.set_tenant("acme");
  out.set_name(name);
  out.set_driver("netns");
  out.set_running(running);
  for (const auto port : ports) out.add_ports(port);
  return item;
}

v1::IntentItem port(std::uint32_t id, const std::string& vm, std::uint32_t vni,
                    std::vector<std::uint64_t> policies) {
  auto item = keyed(port_key(id));
  auto& out = *item.mutable_port();
  out.set_id(id);
  out.set_tenant("acme");
  out.set_vm(vm);
  out.set_nic("eth0");
  out.set_vni(vni);
  out.set_mac(mac_of(id));
  out.add_addresses(address_of(id, vni));
  for (const auto policy : policies) {
    auto& step = *out.add_steps();
    step.set_policy(policy);
    step.set_kind("filter");
    step.set_enablement(fmt::format("acme/enable-{}", policy));
    step.set_profile(fmt::format("firewall-{}", policy));
    step.set_level("standard");
  }
  return item;
}

v1::IntentItem neighbor(std::uint32_t id, std::uint32_t vni, const std::string& vtep) {
  auto item = keyed(fmt::format("70/nbr/{}/{}", vni, id));
  auto& out = *item.mutable_neighbor();
  out.set_port_id(id);
  out.set_vni(vni);
  out.set_mac(mac_of(id));
  out.add_addresses(address_of(id, vni));
  out.set_vtep(vtep);
  return item;
}

v1::ServerMessage full(const Position& position, std::vector<v1::IntentItem> items,
                       bool new_incarnation) {
  std::ranges::sort(items, {}, [](const v1::IntentItem& item) { return item.key(); });
  v1::ServerMessage message;
  *message.mutable_position() = message_of(position);
  message.mutable_full()->set_new_incarnation(new_incarnation);
  for (auto& item : items) *message.mutable_full()->add_items() = std::move(item);
  return message;
}

v1::ServerMessage delta(std::int64_t previous, const Position& position,
                        std::vector<v1::IntentItem> put, std::vector<std::string> remove) {
  std::ranges::sort(put, {}, [](const v1::IntentItem& item) { return item.key(); });
  std::ranges::sort(remove);
  v1::ServerMessage message;
  *message.mutable_position() = message_of(position);
  message.mutable_delta()->set_previous_revision(previous);
  for (auto& item : put) *message.mutable_delta()->add_put() = std::move(item);
  for (auto& key : remove) message.mutable_delta()->add_remove(std::move(key));
  return message;
}

}  // namespace penstock::host::items
