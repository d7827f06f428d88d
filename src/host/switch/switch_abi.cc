#include "host/switch/switch_abi.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace penstock::host {
namespace {

constexpr std::array kDropReasons{
#define PS_REASON_ROW(NAME, name, help) ReasonInfo{#name, help},
    PS_DROP_REASONS(PS_REASON_ROW)
#undef PS_REASON_ROW
};
constexpr std::array kCounters{
#define PS_COUNTER_ROW(NAME, name, help) ReasonInfo{#name, help},
    PS_COUNTERS(PS_COUNTER_ROW)
#undef PS_COUNTER_ROW
};

IpAddress address_from(std::uint8_t family, const std::uint8_t (&bytes)[16]) {
  IpAddress address{family == 6 ? Family::kV6 : Family::kV4, {}};
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

}  // namespace

ps_address_key address_key(std::uint32_t scope, const IpAddress& address) {
  ps_address_key key{};
  key.scope = scope;
  key.family = static_cast<std::uint8_t>(address.family);
  std::ranges::copy(address.bytes, key.address);
  return key;
}

ps_endpoint_key endpoint_key(Vni vni, const Mac& mac) {
  ps_endpoint_key key{};
  key.vni = vni.value;
  std::ranges::copy(mac.bytes, key.mac);
  return key;
}

ps_vtep vtep(const IpAddress& address) {
  ps_vtep value{};
  value.family = static_cast<std::uint8_t>(address.family);
  std::ranges::copy(address.bytes, value.address);
  return value;
}

ps_endpoint local_endpoint(std::uint32_t slot, PortId port) {
  ps_endpoint value{};
  value.kind = PS_ENDPOINT_LOCAL;
  value.slot = slot;
  value.port_id = port.value;
  return value;
}

ps_endpoint remote_endpoint(PortId port, const IpAddress& host) {
  ps_endpoint value{};
  value.kind = PS_ENDPOINT_REMOTE;
  value.port_id = port.value;
  value.vtep = vtep(host);
  return value;
}

ps_endpoint gateway_endpoint() {
  ps_endpoint value{};
  value.kind = PS_ENDPOINT_GATEWAY;
  return value;
}

ps_neighbor neighbor(const Mac& mac, bool router) {
  ps_neighbor value{};
  std::ranges::copy(mac.bytes, value.mac);
  value.flags = router ? PS_NEIGHBOR_ROUTER : 0;
  return value;
}

IpAddress eui64_link_local(const Mac& mac) {
  IpAddress address{Family::kV6, {}};
  const auto& m = mac.bytes;
  address.bytes = {0xfe, 0x80, 0,    0,    0,    0,    0,   0, static_cast<std::uint8_t>(m[0] ^ 2),
                   m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  return address;
}

Mac mac_of(const ps_endpoint_key& key) {
  Mac mac;
  std::ranges::copy(key.mac, mac.bytes.begin());
  return mac;
}

IpAddress address_of(const ps_address_key& key) {
  return address_from(key.family, key.address);
}
IpAddress address_of(const ps_vtep& value) {
  return address_from(value.family, value.address);
}

Result<ps_flood> flood(std::span<const std::uint32_t> local_slots,
                       std::span<const IpAddress> remote_hosts) {
  if (local_slots.size() > PS_FLOOD_LOCAL_MAX || remote_hosts.size() > PS_FLOOD_REMOTE_MAX)
    return fail(
        Code::kResourceExhausted,
        fmt::format("a network can have {} ports on one host and {} other hosts, not {} and {}",
                    PS_FLOOD_LOCAL_MAX, PS_FLOOD_REMOTE_MAX, local_slots.size(),
                    remote_hosts.size()));
  ps_flood value{};
  value.local_count = static_cast<std::uint32_t>(local_slots.size());
  value.remote_count = static_cast<std::uint32_t>(remote_hosts.size());
  std::ranges::copy(local_slots, value.local);
  std::ranges::transform(remote_hosts, value.remote, vtep);
  return value;
}

Result<ps_group_list> group_list(std::span<const std::uint32_t> groups) {
  if (groups.size() > PS_MAX_GROUPS_PER_ADDRESS)
    return fail(Code::kResourceExhausted,
                fmt::format("an address can be in {} groups that rules name, not {}",
                            PS_MAX_GROUPS_PER_ADDRESS, groups.size()));
  ps_group_list value{};
  std::ranges::copy(groups, value.group);
  std::sort(value.group, value.group + groups.size());
  return value;
}

Result<Bytes> step_list(std::span<const ps_step> steps, std::uint16_t required) {
  if (steps.size() > PS_STEPS_MAX)
    return fail(Code::kResourceExhausted,
                fmt::format("a port can have {} steps in one direction, not {}", PS_STEPS_MAX,
                            steps.size()));
  ps_step_list header{};
  header.magic = PS_STEP_LIST_MAGIC;
  header.count = static_cast<std::uint16_t>(steps.size());
  header.required = required;
  const std::size_t used = sizeof(header) + steps.size_bytes();
  Bytes bytes((used + 63) / 64 * 64);
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), steps.data(), steps.size_bytes());
  return bytes;
}

void store_policy(ps_port& port, ps_direction direction, std::uint64_t policy) {
  // Release: the step list the word points at is in place before the word.
  __atomic_store_n(&port.policy[direction], policy, __ATOMIC_RELEASE);
}

std::uint64_t load_policy(const ps_port& port, ps_direction direction) {
  return __atomic_load_n(&port.policy[direction], __ATOMIC_ACQUIRE);
}

void PortLimits::add(const StepLimits& limits, std::uint32_t number) {
  const std::array<std::uint64_t, PS_LIMIT_KINDS> given{limits.bits_per_second, limits.connections,
                                                        limits.connections_per_second};
  for (std::size_t kind = 0; kind < given.size(); ++kind) {
    if (given[kind] == 0 || (most[kind] != 0 && most[kind] <= given[kind])) continue;
    most[kind] = given[kind];
    profile[kind] = number;
  }
}

void store_limits(ps_port& port, const PortLimits& limits) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  // Single stores: programs read while this writes. Of a limit and its profile they may meet one
  // old and one new.
  const auto store = [](auto& field, auto value) {
    const auto fits = static_cast<std::remove_reference_t<decltype(field)>>(value);
    if (field == fits) return false;
    __atomic_store_n(&field, fits, __ATOMIC_RELEASE);
    return true;
  };
  auto& to = port.limits;
  const auto rate = limits.most[PS_LIMIT_RATE], opens = limits.most[PS_LIMIT_OPENS];
  const auto cost =
      rate == 0 ? 0.0L : 8.0L * kSecond * (1 << PS_RATE_SHIFT) / static_cast<long double>(rate);
  if (store(to.byte_cost,
            std::min<std::uint64_t>(PS_BYTE_COST_MOST, static_cast<std::uint64_t>(cost))))
    for (auto& word : to.paid_until_ns) store(word, 0);
  if (store(to.open_cost_ns, opens == 0 ? 0 : kSecond / std::min(opens, kSecond)))
    store(to.opens_until_ns, 0);
  store(to.connections, std::min<std::uint64_t>(limits.most[PS_LIMIT_CONNECTIONS], UINT32_MAX));
  std::uint16_t limited = 0;
  for (std::size_t kind = 0; kind < PS_LIMIT_KINDS; ++kind) {
    store(to.profile[kind], limits.profile[kind]);
    if (limits.most[kind] != 0) limited |= static_cast<std::uint16_t>(PS_LIMITED(kind));
  }
  store(port.limited, limited);
}

ps_config switch_config(const Tunables& tunables) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  ps_config config{};
  const auto& t = tunables;
  const auto set = [](auto& timeouts, std::int64_t fresh, std::int64_t answered,
                      std::int64_t established, std::int64_t closing, std::int64_t closed) {
    timeouts[PS_FLOW_NEW] = fresh * kSecond;
    timeouts[PS_FLOW_ANSWERED] = answered * kSecond;
    timeouts[PS_FLOW_ESTABLISHED] = established * kSecond;
    timeouts[PS_FLOW_CLOSING] = closing * kSecond;
    timeouts[PS_FLOW_CLOSED] = closed * kSecond;
  };
  set(config.tcp_timeout_ns, t.flow_tcp_new_s, t.flow_tcp_answered_s, t.flow_tcp_established_s,
      t.flow_tcp_closing_s, t.flow_tcp_closed_s);
  set(config.udp_timeout_ns, t.flow_udp_new_s, t.flow_udp_answered_s, t.flow_udp_answered_s,
      t.flow_udp_new_s, t.flow_udp_new_s);
  set(config.other_timeout_ns, t.flow_other_s, t.flow_other_s, t.flow_other_s, t.flow_other_s,
      t.flow_other_s);
  config.denied_timeout_ns = t.flow_denied_s * kSecond;
  config.fragment_timeout_ns = t.flow_fragment_s * kSecond;
  config.port_flow_quota = static_cast<std::uint32_t>(t.flow_port_quota);
  config.flood_copies = static_cast<std::uint32_t>(t.flood_copies_max);
  config.events_per_s = static_cast<std::uint32_t>(t.flow_log_per_s);
  config.rejects_per_s = static_cast<std::uint32_t>(t.rejects_per_s);
  return config;
}

std::span<const ReasonInfo> drop_reasons() {
  return kDropReasons;
}
std::span<const ReasonInfo> switch_counters() {
  return kCounters;
}

}  // namespace penstock::host
