// Compiled policies, idle in the arena until a port's step list names them, and the step lists.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/tunables.h"
#include "host/arena.h"
#include "host/kernel.h"
#include "host/policy_rules.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

// Everything one direction of one port keeps in the arena: its step list, and the images the list
// names, so that an image stays as long as a list that a program may be reading.
struct HeldSteps {
  std::uint32_t line = 0;  // of the step list; 0: no service
  std::vector<std::uint32_t> images;
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
  };

  PolicyTable(Arena&, const Tunables&);

  // Compiles the policy and puts it into the arena. On an error the policy that was there stays as
  // it was.
  Status put(const v1::PolicyIntent&);
  void remove(std::uint64_t id);
  const Policy* find(std::uint64_t id) const;

  // Makes the step list of one direction, held once for the caller; steps in order for OUT,
  // backwards for IN. kUnavailable: a policy is not there (yet). kUnimplemented: a kind of step
  // this build does not know.
  Status hold_steps(const google::protobuf::RepeatedPtrField<v1::StepIntent>&, ps_direction,
                    HeldSteps&);
  void release(const HeldSteps&);

  // Restart: what the list at `line` of a running port uses, held once for the caller. kInternal:
  // it is damaged, nothing is held.
  Status adopt(std::uint32_t line, HeldSteps&);

 private:
  Arena& arena_;
  const Tunables& tunables_;
  std::map<std::uint64_t, Policy> policies_;
};

}  // namespace penstock::host
