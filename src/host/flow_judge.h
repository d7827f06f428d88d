// What step lists decide about flows that are under way: as the switch judges an entry again
// (bpf/lib/flow.h), natively and from copies, so that nothing the switch does meanwhile matters.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "abi/flow.h"
#include "abi/policy.h"
#include "base/error.h"
#include "host/kernel.h"
#include "host/policy_table.h"
#include "net/address.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

struct JudgingPolicy {
  std::array<std::vector<ps_line>, 2> image;        // [PS_OUT], [PS_IN]
  std::array<std::vector<std::uint32_t>, 2> index;  // of each rule in the profile's list
  std::set<std::uint64_t> groups;
  v1::PolicyIntent intent;

  // Compiled as PolicyTable::put() would.
  static Result<std::shared_ptr<const JudgingPolicy>> compile(const v1::PolicyIntent&,
                                                              const Tunables&);
  // Copied from what the switch holds.
  static Result<std::shared_ptr<const JudgingPolicy>> copy(const PolicyTable::Policy&,
                                                           const v1::PolicyIntent&, Kernel&);
};

struct JudgingStep {
  std::shared_ptr<const JudgingPolicy> policy;
  v1::StepIntent intent;
};
// In the order of the intent: as they are passed by what the VM sends, backwards by the rest.
using JudgingSteps = std::vector<JudgingStep>;

// The same decisions in this direction, whatever the flow and its groups.
bool same_decisions(const JudgingSteps&, const JudgingSteps&, ps_direction);

// Groups of an address in a network, ascending, 0 at the end, as the switch has them.
using GroupsOf = std::function<Result<ps_group_list>(const ps_address&, std::uint8_t family)>;

struct FlowVerdict {
  const JudgingStep* by = nullptr;  // that refuses it; nullptr: it is allowed
  std::uint32_t rule = PS_NO_RULE;  // of that step's policy in the flow's direction
  bool reject = false;
};

// By the flow's first packet, which its initiator sent.
Result<FlowVerdict> judge(const JudgingSteps&, const ps_flow_key&, const ps_flow&, const GroupsOf&);

}  // namespace penstock::host
