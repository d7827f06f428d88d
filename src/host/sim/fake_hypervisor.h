// A driver that runs instances in memory. FakeMachines outlives the agent, as running guests
// outlive a daemon's crash; a FakeHypervisor is one agent's handle on it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/runtime.h"
#include "host/hypervisor.h"
#include "host/sim/fake_kernel.h"

namespace penstock::host {

// Guests between two hosts, by handle: what the hosts of one world share.
struct FakeTransit;

struct FakeMachines {
  struct Machine {
    InstanceSpec spec;
    std::map<PortId, int> devices;  // ifindex
    bool sending = false;           // the guest's first packet may have left
    std::uint64_t guest = 0;        // tells one life of a guest from another, on all hosts
    bool departed = false;          // let go; the guest is in transit or elsewhere
  };
  explicit FakeMachines(FakeKernel& k) : kernel(k) {}

  FakeKernel& kernel;
  std::map<std::string, Machine> machines;
  Duration work_time{1'000'000};   // of one operation
  std::set<std::string> broken;    // ensure_instance and arrive of these fail
  FakeTransit* transit = nullptr;  // without: guests cannot move
  int ensures = 0, made = 0, removed = 0;
  std::function<void()> changed;       // the agent's
  std::function<void()> after_change;  // invariants are looked at there

  // The guest dies by itself.
  void kill(const std::string& id);
  void reboot();
};

struct FakeTransit {
  struct Guest {
    std::string id;
    const FakeMachines* from = nullptr;
  };
  std::map<std::uint64_t, Guest> guests;  // that no host has, by number
  std::map<std::uint64_t, const FakeMachines*> holders;
  std::uint64_t next = 1;
};

class FakeHypervisor final : public Hypervisor {
 public:
  FakeHypervisor(Runtime& runtime, FakeMachines& machines)
      : runtime_(runtime), machines_(machines) {}
  ~FakeHypervisor() override { machines_.changed = nullptr; }

  Result<std::vector<InstanceInfo>> list() override;
  void ensure_instance(const InstanceSpec&,
                       std::function<Status(const InstanceInfo&)> devices_ready, Done) override;
  void remove_instance(const std::string& id, Done) override;
  void on_changed(std::function<void()> callback) override {
    machines_.changed = std::move(callback);
  }
  void depart(const std::string& id, std::function<void()> silent, Handed) override;
  void arrive(const InstanceSpec&, const std::string& handle,
              std::function<Status(const InstanceInfo&)> devices_ready, Done) override;
  void take_back(const InstanceSpec&, std::function<Status(const InstanceInfo&)> devices_ready,
                 Done) override;

 private:
  Status ensure_now(const InstanceSpec&,
                    const std::function<Status(const InstanceInfo&)>& devices_ready);
  Status arrive_now(const InstanceSpec&, const std::string& handle,
                    const std::function<Status(const InstanceInfo&)>& devices_ready);

  Runtime& runtime_;
  FakeMachines& machines_;
};

}  // namespace penstock::host
