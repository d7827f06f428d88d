// Brings the host to its intent: desired against observed, step by step, for ever.
//
// Order. Items are applied in the order of their keys (switch, network, group, policy, instance,
// port, neighbor), then what is no longer wanted goes in the opposite order. So a policy is in
// place before a port is steered to it, and a port is cut off before its policy goes. A port never
// becomes live without the policy it should have (ports.h).
//
// Failure. An item that fails is told as NotReady and tried again with back-off and jitter; the
// others go on. Every step may be repeated, and a crash between any two leaves a state from which
// the next start goes on: start() reads back what the kernel and the drivers hold, the first pass
// claims what is wanted, and what nobody claimed is removed. Things without our mark (alias, pinned
// maps) are never touched.
//
// Threading: the strand. A turn works off at most reconcile_batch items, then lets others run;
// instance operations go on by themselves and never hold up the rest.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/runtime.h"
#include "host/arena.h"
#include "host/instances.h"
#include "host/intent.h"
#include "host/kernel.h"
#include "host/overlay.h"
#include "host/policy_table.h"
#include "host/ports.h"
#include "host/switch_tables.h"

namespace penstock::host {

// Why an item is not applied.
struct Trouble {
  std::string reason;  // CamelCase
  std::string message;
  bool final = false;  // no retry until it changes
  int tries = 0;
  MonoTime retry_at;
};

class Reconciler {
 public:
  // The intent, kernel and drivers must outlive it.
  Reconciler(Runtime&, Log&, Kernel&, Instances::Drivers, const Intent&);
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;

  // Reads back what is there. Once, before anything else. On an error nothing works: the switch is
  // not loaded.
  Status start();

  // The intent has changed in these items (all of it, after start): works them off, the first batch
  // within this call.
  void apply(const std::vector<std::string>& changed);
  void apply_all();

  // Called at the end of a turn when all changes were worked off, or when the set of troubled items
  // changed by itself.
  void on_progress(std::function<void(bool worked_off)> callback) {
    progress_ = std::move(callback);
  }

  // Told of every port that has a device and is programmed, again when something about it changes,
  // and of ports that go: for whoever answers guests (DHCP, router advertisements).
  struct PortObserver {
    std::function<void(const v1::PortIntent&, const v1::NetworkIntent&, int ifindex)> ready;
    std::function<void(PortId)> gone;
  };
  void observe_ports(PortObserver observer) { observer_ = std::move(observer); }

  const std::map<std::string, Trouble>& troubles() const { return troubles_; }
  std::vector<v1::NotReady> not_ready() const;
  // The newest intent that this kernel has seen, of this or an earlier life of the agent.
  bool kernel_is_newer_than(const Position&) const;

  // --- steps of a move (host/mover.h). kUnavailable: something else is being done with the
  // instance, try again.
  void depart(const std::string& id, Hypervisor::Handed);
  void arrive(const v1::InstanceIntent&, const std::string& handle, Hypervisor::Done);
  void take_back(const v1::InstanceIntent&, Hypervisor::Done);

  // For explain.
  const Ports& ports() const { return *ports_; }
  const Instances& instances() const { return *instances_; }
  const PolicyTable& policies() const { return policies_; }
  const Arena& arena() const { return arena_; }
  const RuleCounts& rule_counts() const { return counts_; }
  const Overlay& overlay() const { return overlay_; }

 private:
  enum class Progress { kDone, kWorking };

  void mark(const std::string& key);
  void turn();
  void turn_soon();
  void flush_floods();
  void finish_drain();
  void work_on(const std::string& key);
  Result<Progress> apply_item(const std::string& key, const v1::IntentItem&);
  Result<Progress> remove_item(const std::string& key);
  Status apply_network(const std::string& key, const v1::NetworkIntent&);
  Status apply_group(const std::string& key, const v1::GroupIntent&);
  Status apply_policy(const v1::PolicyIntent&);
  Result<Progress> apply_instance(const v1::InstanceIntent&);
  Status apply_port(const v1::PortIntent&);
  Status apply_neighbor(const std::string& key, const v1::NeighborIntent&);
  Status program_port(const v1::PortIntent&);
  Result<InstanceSpec> spec_of(const v1::InstanceIntent&) const;
  std::string driver_of(const v1::InstanceIntent&) const;
  bool leaving(const v1::InstanceIntent&) const;

  void trouble(const std::string& key, const Error&);
  void waiting(const std::string& key, std::string reason, std::string message);
  void arm_retry();
  void retry_due();

  Status devices_ready(const InstanceInfo&);
  void look_soon();
  void audit();
  void arm_audit();
  void arm_reclaim();
  void sweep();
  void note_position();

  Runtime& runtime_;
  Log& log_;
  Kernel& kernel_;
  const Intent& intent_;
  Instances::Drivers drivers_;
  Arena arena_;
  RuleCounts counts_;
  PolicyTable policies_;
  SwitchTables tables_;
  Overlay overlay_;
  std::optional<Ports> ports_;
  std::optional<Instances> instances_;

  std::set<std::string> to_apply_, to_remove_;
  std::map<std::string, Trouble> troubles_;
  std::set<std::string> flood_troubles_;     // networks whose broadcast list could not be written
  std::map<std::string, std::string> told_;  // troubles as on_progress last told them
  std::function<void(bool)> progress_;
  PortObserver observer_;
  bool turn_posted_ = false;
  bool changes_pending_ = false;  // on_progress owes a "worked off"
  bool swept_ = false;
  bool look_pending_ = false;
  std::optional<TimerId> retry_timer_, audit_timer_, reclaim_timer_;
  MonoTime retry_timer_at_;
};

}  // namespace penstock::host
