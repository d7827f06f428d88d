#include "host/port_table.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/ensure.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

// Single stores, so that a program never reads half a field.
template <typename T>
void store(T& field, T value) {
  if (field != value) __atomic_store_n(&field, value, __ATOMIC_RELAXED);
}

template <std::size_t N, typename Source>
void store_bytes(std::uint8_t (&field)[N], const Source& bytes) {
  if (!std::equal(field, field + N, bytes.begin())) std::copy_n(bytes.begin(), N, field);
}

void set_in_use(ps_port& port, std::uint32_t id) {
  __atomic_store_n(&port.port_id, id, __ATOMIC_RELEASE);
}

}  // namespace

PortTable::PortTable(Kernel& kernel, Arena& arena)
    : kernel_(kernel),
      arena_(arena),
      array_(reinterpret_cast<ps_port*>(kernel.ports().data()),
             kernel.ports().size() / sizeof(ps_port)) {}

void PortTable::load() {
  slots_.clear();
  free_.clear();
  auto mark = arena_.mark();
  for (std::uint32_t slot = 0; slot < array_.size(); ++slot) {
    auto& port = array_[slot];
    for (const auto word : port.policy)
      mark.generation = std::max(mark.generation, PS_POLICY_GENERATION(word));
    // A slot without an owner, or a second one of the same port: left by a crash in the middle of
    // write() or release().
    if (port.port_id == 0 || !slots_.emplace(PortId(port.port_id), slot).second) {
      set_in_use(port, 0);
      free_.insert(slot);
    }
  }
  mark.magic = AgentMark::kMagic;
  arena_.set_mark(mark);
}

std::optional<std::uint32_t> PortTable::slot_of(PortId port) const {
  const auto found = slots_.find(port);
  if (found == slots_.end()) return std::nullopt;
  return found->second;
}

std::vector<PortId> PortTable::ports() const {
  std::vector<PortId> out;
  for (const auto& [port, slot] : slots_) out.push_back(port);
  return out;
}

Result<std::uint32_t> PortTable::claim(PortId port) {
  if (const auto known = slot_of(port)) return *known;
  if (free_.empty() && !released_.empty()) {
    PENSTOCK_CHECK(kernel_.synchronize());
    reclaim();
  }
  if (free_.empty())
    return fail(
        Code::kResourceExhausted,
        fmt::format("port {}: all {} ports of the switch are in use", port.value, array_.size()),
        "raise the host's tunable ports_max");
  const auto slot = *free_.begin();
  free_.erase(free_.begin());
  slots_[port] = slot;
  std::memset(static_cast<void*>(&array_[slot]), 0, sizeof(ps_port));
  return slot;
}

void PortTable::write(std::uint32_t slot, const PortFacts& facts) {
  auto& port = array_[slot];
  const bool other_identity = port.port_id != facts.port.value || port.vni != facts.vni.value ||
                              !std::ranges::equal(port.mac, facts.mac.bytes);
  if (other_identity && port.port_id != 0) set_in_use(port, 0);
  store(port.ifindex, static_cast<std::uint32_t>(facts.ifindex));
  store(port.vni, facts.vni.value);
  store(port.flags, facts.flags);
  store(port.mtu, facts.mtu);
  store_bytes(port.mac, facts.mac.bytes);
  store_bytes(port.ip4, facts.ip4.value_or(IpAddress{}).bytes);
  store_bytes(port.ip6, facts.ip6.value_or(IpAddress{}).bytes);
  if (other_identity) set_in_use(port, facts.port.value);
}

void PortTable::release(PortId id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return;
  auto& port = array_[found->second];
  set_in_use(port, 0);
  port.ifindex = 0;
  // The policy words stay: a program that found the port in use a moment ago must still meet its
  // policy.
  released_.push_back(found->second);
  slots_.erase(found);
}

std::uint32_t PortTable::line(std::uint32_t slot, ps_direction direction) const {
  return PS_POLICY_LINE(load_policy(array_[slot], direction));
}

void PortTable::set_line(std::uint32_t slot, ps_direction direction, std::uint32_t line,
                         bool force) {
  auto& port = array_[slot];
  if (!force && PS_POLICY_LINE(load_policy(port, direction)) == line) return;
  store_policy(port, direction, PS_POLICY(next_generation(), line));
}

void PortTable::set_limits(std::uint32_t slot, const PortLimits& limits) {
  store_limits(array_[slot], limits);
}

void PortTable::bump(std::uint32_t slot) {
  auto& port = array_[slot];
  for (const auto direction : {PS_OUT, PS_IN})
    store_policy(port, direction, PS_POLICY(next_generation(), line(slot, direction)));
}

std::uint32_t PortTable::next_generation() {
  auto mark = arena_.mark();
  mark.magic = AgentMark::kMagic;
  if (++mark.generation == 0) mark.generation = 1;
  arena_.set_mark(mark);
  return mark.generation;
}

void PortTable::reclaim() {
  free_.insert(released_.begin(), released_.end());
  released_.clear();
}

}  // namespace penstock::host
