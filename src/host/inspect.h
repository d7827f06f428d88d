// What a switch enforces, read from its bytes alone: for invariants of the simulation, tests and
// explain. It asks nobody what was meant.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "compile/policy/decode.h"
#include "host/kernel.h"
#include "net/address.h"

namespace penstock::host {

struct InspectedStep {
  std::uint32_t policy = 0;  // switch_number() of its id in the intent
  bool observe = false;      // it drops nothing
  policy::DecodedPolicy rules;
};

struct InspectedDirection {
  std::uint32_t generation = 0;
  std::uint32_t line = 0;  // of the step list; 0: no service
  std::string damage;      // the bytes make no sense: the switch drops everything; empty: fine
  std::vector<InspectedStep> steps;  // in the order in which they run
};

struct InspectedPort {
  std::uint32_t slot = 0;
  int ifindex = 0;
  bool device_exists = false;
  bool programs = false;  // both are attached to the device
  bool let_in = false;    // the device leads to this slot: its packets are judged as this port's
  std::array<InspectedDirection, 2> direction;  // [PS_OUT], [PS_IN]

  // The guest can reach others.
  bool forwards() const { return device_exists && programs && let_in; }
  // Policies a packet passes, by their number in the switch; a damaged direction lets nothing pass
  // and counts as all.
  std::vector<std::uint32_t> policies(int direction) const;
};

Result<std::map<PortId, InspectedPort>> inspect(Kernel&);

// Everything the switch holds that a difference between two hosts could be seen in, without what
// may differ between equal ones (slots, lines, generations, ifindexes): a host that converged step
// by step must equal one that synchronized afresh.
Result<std::string> canonical_state(Kernel&);

}  // namespace penstock::host
