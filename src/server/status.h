// What is applied where: the status of objects, made when they are read, from the snapshot and what
// hosts said. Nothing of it is stored.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compile/intent.h"
#include "model/availability.h"
#include "server/sessions.h"

namespace penstock {

// Items that matter, by host.
using Targets = std::map<std::string, std::vector<std::string>>;

// How far one host is with some items: the worst of them decides.
v1::HostRollout rollout_on(const HostSessions&, const std::string& host,
                           const std::vector<std::string>& items);
// How far all hosts are. `waiting` has at most 20 hosts, `every` all when asked.
v1::Rollout rollout_of(const HostSessions&, const Targets&, std::int64_t revision,
                       std::vector<v1::HostRollout>* every = nullptr);
// Everything that can be done is done on this host, or it will not be done until something changes.
bool terminal_on(const HostSessions&, const std::string& host,
                 const std::vector<std::string>& items);

// The enablement that a step is of; nullptr: gone.
std::shared_ptr<const v1::Enablement> enablement_of(const Snapshot&, const v1::StepIntent&);

class StatusBook {
 public:
  StatusBook(const HostSessions& sessions, Compiler& compiler)
      : sessions_(sessions), compiler_(compiler) {}

  // Fills status and metadata.resource_version of an object of this snapshot.
  void fill(const Snapshot&, const ObjectKey&, Message& object) const;
  v1::Rollout rollout(const Snapshot&, const ObjectKey&) const;
  Targets targets(const Snapshot& snapshot, const ObjectKey& key) const {
    return compiler_.items_of(snapshot, key);
  }
  v1::HostRollout rollout_on_host(const std::string& host,
                                  const std::vector<std::string>& items) const {
    return rollout_on(sessions_, host, items);
  }

 private:
  void fill_host(const Snapshot&, v1::Host&) const;
  void fill_network(const Snapshot&, const ObjectKey&, v1::VirtualNetwork&) const;
  void fill_vm(const Snapshot&, const ObjectKey&, v1::VirtualMachine&) const;
  void fill_profile(const Snapshot&, const ObjectKey&, v1::ServiceProfile&) const;
  void fill_enablement(const Snapshot&, const ObjectKey&, v1::Enablement&) const;
  static void not_in_force(const Snapshot&, v1::Enablement&);
  static void say_available(const Snapshot&, v1::Enablement&);
  // What the NIC has of the same profile through another enablement, which then goes first.
  std::optional<v1::StepIntent> step_instead(const Snapshot&, const ObjectKey&,
                                             const v1::Enablement&, const v1::VirtualMachine&,
                                             const v1::Nic&) const;

  const HostSessions& sessions_;
  Compiler& compiler_;
};

}  // namespace penstock
