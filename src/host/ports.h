// Ports of this host: from an item of the intent to slot, policy, device and table entries, in the
// order that leaves no window. A port becomes live (its guest can reach anybody) only after its
// policy is in place; a change of policy is one store a direction; a port that goes is cut off
// first.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "host/arena.h"
#include "host/hypervisor.h"
#include "host/kernel.h"
#include "host/policy_table.h"
#include "host/port_table.h"
#include "host/switch_tables.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

class Ports {
 public:
  Ports(Kernel&, Arena&, PolicyTable&, SwitchTables&, Log&);

  // Takes over the ports that an agent before us left, as they are.
  void load();

  // Brings the port to its item. `device` is null while it has none: then nobody is sent to it. An
  // error about its policy leaves a live port with the policy it had, and keeps another from
  // becoming live.
  Status program(const v1::PortIntent&, const v1::NetworkIntent&, const PortDevice* device);
  // The device is about to leave this host: cuts the port off and takes the programs from it.
  Status unplug(const PortDevice&);
  // Cuts the port off and gives up what it held.
  Status remove(PortId);
  // The members of a group changed: flows of every port whose policy names it are judged again.
  void judge_again(std::uint64_t group);

  // The guest's packets pass the programs under its policy.
  bool live(PortId) const;
  const PortTable& table() const { return table_; }
  // What its directions hold in the switch; nullptr: there is no such port.
  const std::array<HeldSteps, 2>* steps(PortId) const;
  // Somebody touched the port's device: the next program() connects it anew.
  void doubt(PortId);
  // Attachments that should be there, sorted.
  std::vector<Attachment> attachments() const;
  void reclaim() { table_.reclaim(); }

 private:
  struct Connection {
    Member member;
    PortDevice device;
    bool operator==(const Connection&) const = default;
  };
  struct State {
    std::array<HeldSteps, 2> steps;  // what the policy words point at
    std::array<bool, 2> damaged{};   // what they point at could not be read
    std::set<std::uint64_t> groups;
    int ifindex = 0;  // 0: no device
    bool live = false;
    // As connect() last left it without an error; a change of policy alone makes no system call.
    std::optional<Connection> connected;
  };
  Status put_policy(const v1::PortIntent&, std::uint32_t slot, State&);
  Status connect(const Member&, const PortDevice&, std::uint32_t slot, State&);
  void forget_counts(PortId, std::uint32_t slot);

  Kernel& kernel_;
  PolicyTable& policies_;
  SwitchTables& tables_;
  Log& log_;
  PortTable table_;
  std::map<PortId, State> states_;
};

}  // namespace penstock::host
