#include "host/ports.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "host/intent.h"
#include "host/switch/switch_abi.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

constexpr std::array kDirections{PS_OUT, PS_IN};

struct Parsed {
  PortFacts facts;
  Member member;
};

Result<Parsed> parse(const v1::PortIntent& intent, const v1::NetworkIntent& network,
                     const PortDevice* device) {
  Parsed out;
  out.member.port = PortId(intent.id());
  out.member.vni = Vni(intent.vni());
  const auto mac = Mac::parse(intent.mac());
  if (!mac) return fail_field("mac", mac.error().message);
  out.member.mac = *mac;
  for (int i = 0; i < intent.addresses_size(); ++i) {
    const auto address = IpAddress::parse(intent.addresses(i));
    if (!address) return fail_field(fmt::format("addresses[{}]", i), address.error().message);
    out.member.addresses.push_back(*address);
    auto& first = address->family == Family::kV4 ? out.facts.ip4 : out.facts.ip6;
    if (!first) first = *address;
  }
  out.facts.port = out.member.port;
  out.facts.vni = out.member.vni;
  out.facts.mac = out.member.mac;
  out.facts.mtu = static_cast<std::uint16_t>(std::clamp(network.mtu(), 0, 65535));
  out.facts.ifindex = device ? device->ifindex : 0;
  if (device && device->peer_in_other_namespace) out.facts.flags |= PS_PORT_PEER;
  if (intent.dhcp()) out.facts.flags |= PS_PORT_PUNT_DHCP | PS_PORT_PUNT_RS;
  return out;
}

std::uint64_t limit_of(std::int64_t given) {
  return given < 0 ? 0 : static_cast<std::uint64_t>(given);
}

void note(Status& outcome, Status next) {
  if (outcome && !next) outcome = std::move(next);
}

}  // namespace

Ports::Ports(Kernel& kernel, Arena& arena, PolicyTable& policies, SwitchTables& tables, Log& log)
    : kernel_(kernel), policies_(policies), tables_(tables), log_(log), table_(kernel, arena) {}

void Ports::load() {
  table_.load();
  for (const auto port : table_.ports()) {
    auto& state = states_[port];
    const auto slot = *table_.slot_of(port);
    state.ifindex = static_cast<int>(table_.port(slot).ifindex);
    state.live = state.ifindex != 0;
    for (const auto direction : kDirections) {
      const auto status = policies_.adopt(table_.line(slot, direction), state.steps[direction]);
      if (status) continue;
      state.damaged[direction] = true;
      log_.error("port {}: {}", port.value, status.error().message);
    }
  }
}

Status Ports::put_policy(const v1::PortIntent& intent, std::uint32_t slot, State& state) {
  std::array<HeldSteps, 2> wanted;
  for (const auto direction : kDirections) {
    auto status =
        policies_.hold_steps(intent, direction, state.steps[direction], wanted[direction]);
    if (status) continue;
    if (direction == PS_IN) policies_.release(wanted[PS_OUT]);
    return status;
  }
  state.groups.clear();
  for (const auto& step : intent.steps())
    if (const auto* policy = policies_.find(step.policy()))
      state.groups.insert(policy->groups.begin(), policy->groups.end());
  for (const auto direction : kDirections) {
    table_.set_line(slot, direction, wanted[direction].line, state.damaged[direction]);
    state.damaged[direction] = false;
    policies_.release(std::exchange(state.steps[direction], std::move(wanted[direction])));
  }
  PortLimits limits;
  for (const auto& step : intent.steps()) {
    if (step.observe()) continue;  // it drops nothing
    const auto& of = step.limits();
    limits.add({.bits_per_second = limit_of(of.rate_bits_per_second()),
                .connections = limit_of(of.connections()),
                .connections_per_second = limit_of(of.connections_per_second())},
               switch_number(step.policy()));
  }
  table_.set_limits(slot, limits);
  return {};
}

Status Ports::connect(const Member& member, const PortDevice& device, std::uint32_t slot,
                      State& state) {
  const Connection wanted{member, device};
  if (state.connected == wanted) return {};
  state.connected.reset();
  const auto owner = port_key(member.port.value);
  PENSTOCK_CHECK(kernel_.attach({device.ifindex, Program::kFromPort}));
  PENSTOCK_CHECK(kernel_.attach({device.ifindex, Program::kToPort}));
  state.ifindex = device.ifindex;
  Status outcome = tables_.set_allowed(owner, member);
  auto let_in = tables_.set_device(owner, device.ifindex, slot);
  state.live = let_in.has_value();
  note(outcome, std::move(let_in));
  note(outcome, tables_.set_local(owner, member, slot));
  if (outcome) state.connected = wanted;
  return outcome;
}

Status Ports::program(const v1::PortIntent& intent, const v1::NetworkIntent& network,
                      const PortDevice* device) {
  const auto parsed = PENSTOCK_TRY(parse(intent, network, device));
  const bool is_new = !table_.slot_of(parsed.facts.port);
  const auto slot = PENSTOCK_TRY(table_.claim(parsed.facts.port));
  if (is_new) forget_counts(parsed.facts.port, slot);
  auto& state = states_[parsed.facts.port];
  auto policy = put_policy(intent, slot, state);
  // A port without the policy it should have stays out; one that is live keeps what it had.
  if (!policy && !state.live) return policy;
  table_.write(slot, parsed.facts);
  Status outcome = std::move(policy);
  if (device) {
    note(outcome, connect(parsed.member, *device, slot, state));
  } else {
    state.ifindex = 0;
    state.live = false;
    state.connected.reset();
    note(outcome, tables_.clear(port_key(parsed.facts.port.value)));
  }
  return outcome;
}

Status Ports::unplug(const PortDevice& device) {
  doubt(device.port);
  Status outcome = tables_.clear(port_key(device.port.value));
  note(outcome, kernel_.detach({device.ifindex, Program::kFromPort}));
  note(outcome, kernel_.detach({device.ifindex, Program::kToPort}));
  if (const auto state = states_.find(device.port); outcome && state != states_.end()) {
    state->second.ifindex = 0;
    state->second.live = false;
  }
  return outcome;
}

Status Ports::remove(PortId port) {
  const auto owner = port_key(port.value);
  doubt(port);  // also when it fails half-way and the port is wanted again before the next try
  PENSTOCK_CHECK(tables_.clear(owner));
  if (const auto slot = table_.slot_of(port)) forget_counts(port, *slot);
  table_.release(port);
  if (const auto state = states_.find(port); state != states_.end()) {
    for (const auto& steps : state->second.steps) policies_.release(steps);
    states_.erase(state);
  }
  return {};
}

void Ports::forget_counts(PortId port, std::uint32_t slot) {
  if (auto status = kernel_.forget_port_counts(port, slot); !status)
    log_.warning("counts of port {} go on from what was there: {}", port.value,
                 status.error().message);
}

const std::array<HeldSteps, 2>* Ports::steps(PortId port) const {
  const auto found = states_.find(port);
  return found == states_.end() ? nullptr : &found->second.steps;
}

void Ports::judge_again(std::uint64_t group) {
  for (const auto& [port, state] : states_)
    if (state.groups.contains(group))
      if (const auto slot = table_.slot_of(port)) table_.bump(*slot);
}

void Ports::doubt(PortId port) {
  if (const auto found = states_.find(port); found != states_.end())
    found->second.connected.reset();
}

bool Ports::live(PortId port) const {
  const auto found = states_.find(port);
  return found != states_.end() && found->second.live;
}

std::vector<Attachment> Ports::attachments() const {
  std::vector<Attachment> out;
  for (const auto& [port, state] : states_) {
    if (state.ifindex == 0) continue;
    out.push_back({state.ifindex, Program::kFromPort});
    out.push_back({state.ifindex, Program::kToPort});
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace penstock::host
