// Keys and values of the switch's maps from C++ types. The layouts are those of bpf/abi/; nothing
// here knows an offset. All padding is zero, because the kernel compares keys byte by byte.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "abi/config.h"
#include "abi/events.h"
#include "abi/flow.h"
#include "abi/maps.h"
#include "abi/network.h"
#include "abi/port.h"
#include "abi/reasons.h"
#include "abi/steps.h"
#include "base/tunables.h"
#include "host/kernel.h"
#include "net/address.h"

namespace penstock::host {

template <typename T>
Bytes bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  Bytes bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// A value from a map's bytes; kInternal when the size is not T's (maps of another ABI version).
template <typename T>
Result<T> value_of(ByteView bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() != sizeof(T)) return fail(Code::kInternal, "map value has the wrong size");
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

ps_address_key address_key(std::uint32_t scope, const IpAddress&);
inline ps_address_key allowed_key(PortId port, const IpAddress& a) {
  return address_key(port.value, a);
}
inline ps_address_key network_key(Vni vni, const IpAddress& a) {
  return address_key(vni.value, a);
}
ps_endpoint_key endpoint_key(Vni, const Mac&);
ps_vtep vtep(const IpAddress&);
ps_endpoint local_endpoint(std::uint32_t slot, PortId);
ps_endpoint remote_endpoint(PortId, const IpAddress& host);
ps_endpoint gateway_endpoint();
ps_neighbor neighbor(const Mac&, bool router);

// The link-local address a NIC forms from its MAC (RFC 4291 appendix A).
IpAddress eui64_link_local(const Mac&);

// Inverse, for audits and explain.
Mac mac_of(const ps_endpoint_key&);
IpAddress address_of(const ps_address_key&);
IpAddress address_of(const ps_vtep&);

// Who gets broadcasts of a network. Longer lists than the layout holds: kResourceExhausted.
Result<ps_flood> flood(std::span<const std::uint32_t> local_slots,
                       std::span<const IpAddress> remote_hosts);
// At most PS_MAX_GROUPS_PER_ADDRESS groups, any order: stored ascending. More: kResourceExhausted.
Result<ps_group_list> group_list(std::span<const std::uint32_t> groups);

// A step list as arena bytes, padded with zeros to whole lines of 64. At most PS_STEPS_MAX steps.
Result<Bytes> step_list(std::span<const ps_step> steps, std::uint16_t required);

// The policy word of a port: one aligned store, seen whole by the programs.
void store_policy(ps_port&, ps_direction, std::uint64_t policy);
std::uint64_t load_policy(const ps_port&, ps_direction);

// Limits of a port, put together from those of its services: of each kind the strictest, and whose
// it is (the number in ps_step).
struct StepLimits {
  std::uint64_t bits_per_second = 0, connections = 0, connections_per_second = 0;  // 0: none
};
struct PortLimits {
  std::array<std::uint64_t, PS_LIMIT_KINDS> most{};
  std::array<std::uint32_t, PS_LIMIT_KINDS> profile{};
  void add(const StepLimits&, std::uint32_t number);
  bool operator==(const PortLimits&) const = default;
};
// Writes what differs. A bucket starts full when its limit changes; connections that are there
// stay.
void store_limits(ps_port&, const PortLimits&);

// What the programs are told before loading.
ps_config switch_config(const Tunables&);

struct ReasonInfo {
  std::string_view name, help;
};
std::span<const ReasonInfo> drop_reasons();     // indexed by enum ps_drop_reason
std::span<const ReasonInfo> switch_counters();  // indexed by enum ps_counter

// True for reasons that only say where a frame went (answered, punted, copied), not that something
// is wrong.
inline bool is_consumption(ps_drop_reason reason) {
  return ps_is_consumption(reason) != 0;
}

}  // namespace penstock::host
