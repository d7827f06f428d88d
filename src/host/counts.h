// What the kernel seam takes and gives when the switch's counts are asked for (bpf/abi/counts.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "abi/counts.h"
#include "net/address.h"

namespace penstock::host {

struct CountsWanted {
  struct Rules {
    std::uint32_t first = 0, count = 0;  // indexes in ps_rule_counts
  };
  struct Port {
    PortId port;
    std::uint32_t slot = 0;
  };
  std::vector<Rules> rules;
  std::vector<Port> ports;
};

// Sums over all CPUs; rules with everything that live flows have carried so far.
struct PortCounts {
  std::array<std::uint64_t, 2> packets{}, bytes{};  // [PS_OUT], [PS_IN]
  std::map<std::uint32_t, std::uint64_t> drops;     // packets by enum ps_drop_reason
  std::uint64_t flows = 0;                          // entries now
};
struct Counts {
  std::vector<std::vector<ps_rule_count>> rules;  // in the order of the question
  std::vector<PortCounts> ports;
};

}  // namespace penstock::host
