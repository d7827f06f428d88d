// The switch's ports array (bpf/abi/port.h): which port sits in which slot, what every packet reads
// there, and the two policy words. A port keeps its slot, its lines and its generations across
// restarts of the agent: they are read back from the array itself.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "abi/port.h"
#include "base/error.h"
#include "host/arena.h"
#include "host/kernel.h"
#include "host/switch/switch_abi.h"
#include "net/address.h"

namespace penstock::host {

// What ps_port says of a port besides its policy.
struct PortFacts {
  PortId port;
  int ifindex = 0;
  Vni vni;
  std::uint32_t flags = 0;  // enum ps_port_flags
  Mac mac;
  std::uint16_t mtu = 0;
  std::optional<IpAddress> ip4, ip6;
};

class PortTable {
 public:
  // Generations are counted in the arena's mark. Both must outlive the table.
  PortTable(Kernel&, Arena&);

  // Reads the array: ports that an agent before us left.
  void load();

  std::optional<std::uint32_t> slot_of(PortId) const;
  std::vector<PortId> ports() const;  // sorted
  // The port's slot, a new one when it has none. A new slot is not in use (port_id 0) until
  // write(). kResourceExhausted: all slots are taken.
  Result<std::uint32_t> claim(PortId);
  // Writes what differs. A slot comes into use, or changes its network or MAC, through "not in
  // use": never half.
  void write(std::uint32_t slot, const PortFacts&);
  // Takes the slot out of use. It is given out again only after reclaim().
  void release(PortId);

  const ps_port& port(std::uint32_t slot) const { return array_[slot]; }
  std::uint32_t line(std::uint32_t slot, ps_direction) const;
  // Points a direction at a step list, 0 for none: one atomic store with a generation of its own.
  // Nothing happens when it points there already, unless `force` (its content is not to be
  // trusted).
  void set_line(std::uint32_t slot, ps_direction, std::uint32_t line, bool force = false);
  // What its services allow it. Flows go on as they are.
  void set_limits(std::uint32_t slot, const PortLimits&);
  // Has every flow of the port judged again.
  void bump(std::uint32_t slot);

  // After Kernel::synchronize(): released slots may be used again.
  void reclaim();
  bool has_released() const { return !released_.empty(); }

 private:
  std::uint32_t next_generation();

  Kernel& kernel_;
  Arena& arena_;
  std::span<ps_port> array_;
  std::map<PortId, std::uint32_t> slots_;
  std::set<std::uint32_t> free_;
  std::vector<std::uint32_t> released_;
};

}  // namespace penstock::host
