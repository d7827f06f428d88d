// A kind of service step: what one insertion mode does to a port's traffic. A new mode is a new
// folder under compile/steps and one line in its registry; nothing here or in the compiler knows
// modes by name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "model/problems.h"
#include "model/snapshot.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

using Json = nlohmann::ordered_json;

// What a plan may ask of the tenant and the deployment while it is resolved for one tenant.
class StepContext {
 public:
  virtual ~StepContext() = default;
  // Id of the group of the tenant's VMs with these labels.
  virtual std::uint64_t group(const v1::LabelSelector&) const = 0;
  // CIDRs of the tenant's network; empty: no such network.
  virtual std::vector<std::string> subnets(std::string_view network) const = 0;
};

// One level of one profile: parameters put in, everything parsed, peers still by name.
class StepPlan {
 public:
  virtual ~StepPlan() = default;
  // True: the policy differs from tenant to tenant (its rules name VMs by label, or networks).
  virtual bool per_tenant() const = 0;
  // The selectors that become groups, by selector_text().
  virtual const std::map<std::string, v1::LabelSelector>& groups() const = 0;
  virtual bool names_networks() const = 0;
  // Fills the part of the policy that this kind of step has.
  virtual void compile(const StepContext&, v1::PolicyIntent& policy) const = 0;
  // One line a rule, in order, for people.
  virtual std::vector<std::string> explain() const = 0;
};

class StepKind {
 public:
  virtual ~StepKind() = default;
  virtual std::string_view name()
      const = 0;  // "filter": the name of the mode's field in ServiceDefinitionSpec
  // The configuration as a vendor wrote it, placeholders and all.
  virtual void validate(const v1::ServiceDefinitionSpec&, Problems&) const = 0;
  // Parameter values put in. Problems that come from a value have the field "parameters.NAME",
  // others their path in the definition ("spec.filter.rules[0]"); on problems the plan is nullptr.
  virtual std::shared_ptr<const StepPlan> plan(const v1::ServiceDefinitionSpec&, const Json& values,
                                               Problems&) const = 0;
};

class StepKinds {
 public:
  void add(std::unique_ptr<StepKind> kind);
  const StepKind* find(std::string_view name) const;  // nullptr: not in this build
  std::vector<std::string> names() const;

 private:
  std::map<std::string, std::unique_ptr<StepKind>, std::less<>> kinds_;
};

// Field name of the mode that is set ("filter"), or empty.
std::string mode_of(const v1::ServiceDefinitionSpec&);

}  // namespace penstock
