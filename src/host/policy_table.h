// Compiled policies, idle in the arena until a port's step list names them, and the step lists.
//
// Each port counts a policy's rules for itself, so that a tenant's numbers are its own; of a policy
// with many rules all ports of a tenant share one range. Counts begin when the service comes on and
// outlive the agent. When a policy changes, rules that keep their name and text keep their counts.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/tunables.h"
#include "host/arena.h"
#include "host/kernel.h"
#include "host/policy_rules.h"
#include "host/rule_counts.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

struct HeldStep {
  std::uint32_t number = 0;  // of the policy, in the switch
  std::uint32_t image = 0;   // line
  std::uint32_t counts = 0;  // first index of its counts; 0: not counted
  std::uint32_t count = 0;   // its rules and the default action
  bool operator==(const HeldStep&) const = default;
};

// Everything one direction of one port keeps in the switch: its step list, and what the list names,
// so that an image stays as long as a list that a program may be reading.
struct HeldSteps {
  std::uint32_t line = 0;  // of the step list; 0: no service
  std::vector<HeldStep> steps;
  bool operator==(const HeldSteps&) const = default;
};

class PolicyTable {
 public:
  struct Policy {
    std::array<std::uint32_t, 2> image{};             // lines, [PS_OUT], [PS_IN]
    std::array<std::vector<std::uint32_t>, 2> index;  // of each rule in the profile's list
    std::set<std::uint64_t> groups;
    std::string content;  // serialized filter: tells an unchanged policy
    std::size_t bytes = 0;
    // By place in the counts (0: the default action): what the rule is, name and text.
    std::array<std::vector<std::size_t>, 2> text;
    // Of the policy that it took the place of.
    std::array<std::uint32_t, 2> image_before{};
    std::array<std::vector<std::size_t>, 2> text_before;
  };

  PolicyTable(Arena&, RuleCounts&, const Tunables&);

  // Compiles the policy and puts it into the arena. On an error the policy that was there stays as
  // it was.
  Status put(const v1::PolicyIntent&);
  void remove(std::uint64_t id);
  const Policy* find(std::uint64_t id) const;

  // Makes the step list of one direction of the port, held once for the caller; steps in order for
  // OUT, backwards for IN. `now`: what the direction holds, whose counts go on. kUnavailable: a
  // policy is not there (yet). kUnimplemented: a kind of step this build does not know.
  Status hold_steps(const v1::PortIntent&, ps_direction, const HeldSteps& now, HeldSteps&);
  void release(const HeldSteps&);

  // Restart: what the list at `line` of a running port uses, held once for the caller. kInternal:
  // it is damaged, nothing is held.
  Status adopt(std::uint32_t line, HeldSteps&);

 private:
  std::uint32_t hold_counts(const v1::PortIntent&, ps_direction, const Policy&, std::uint64_t id,
                            const HeldStep& wanted, const HeldSteps& now);

  Arena& arena_;
  RuleCounts& counts_;
  const Tunables& tunables_;
  std::map<std::uint64_t, Policy> policies_;
  // Ranges that the ports of a tenant share; those that nobody holds any more are forgotten late.
  std::map<std::tuple<std::string, std::uint64_t, std::uint32_t>, std::uint32_t> shared_;
};

}  // namespace penstock::host
