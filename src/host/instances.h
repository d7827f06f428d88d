// Instances by driver: what each should be, what it is, and one operation at a time for each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/hypervisor.h"

namespace penstock::host {

class Instances {
 public:
  using Drivers = std::map<std::string, Hypervisor*>;
  struct Hooks {
    // The instance's devices exist, the guest cannot send yet.
    std::function<Status(const InstanceInfo&)> devices_ready;
    // An operation has ended: look at the instance again.
    std::function<void(const std::string& id, Status)> finished;
  };
  enum class Progress { kDone, kWorking };

  // The drivers must outlive it, and call nothing afterwards.
  Instances(Drivers, Hooks);
  ~Instances();

  // Asks every driver what it has. Says which instances and ports are not as they were known
  // before.
  struct Differences {
    std::vector<std::string> instances;
    std::vector<PortId> ports;  // their devices went or changed
  };
  Result<Differences> look();

  // Brings the instance to its spec, or goes on doing so. kUnimplemented: no such driver on this
  // host.
  Result<Progress> ensure(const std::string& driver, const InstanceSpec&);
  Result<Progress> remove(const std::string& id);

  // --- moves, see host/hypervisor.h. kUnavailable: another operation is under way, try again.
  // Makes ready for a guest that is to come; one that is here already is brought to its spec.
  Result<Progress> expect(const std::string& driver, const InstanceSpec&);
  // `silent` gets the devices that the guest had; device() knows them no more by then.
  using Silent = std::function<void(const std::vector<PortDevice>&)>;
  void depart(const std::string& id, Silent silent, Hypervisor::Handed);
  void arrive(const std::string& driver, const InstanceSpec&, const std::string& handle,
              Hypervisor::Done);
  void take_back(const std::string& driver, const InstanceSpec&, Hypervisor::Done);
  bool departed(const std::string& id) const;

  const PortDevice* device(PortId) const;
  bool working(const std::string& id) const;
  std::vector<std::string> ids() const;
  std::vector<std::string> driver_names() const;

 private:
  struct Instance {
    std::string driver;
    std::optional<InstanceSpec> applied;
    bool working = false;
    bool running = false;
    bool departed = false;
    std::vector<PortDevice> ports;
  };
  using Take = std::function<void(Hypervisor&, std::function<Status(const InstanceInfo&)>,
                                  Hypervisor::Done)>;
  // `own`: it is this host's to have.
  void take(const std::string& driver, const InstanceSpec&, bool own, const Take&,
            Hypervisor::Done);
  void learn(Instance&, const InstanceInfo&);
  Result<Progress> begin_remove(const std::string& id, Instance&);

  Drivers drivers_;
  Hooks hooks_;
  std::map<std::string, Instance> instances_;
  std::map<std::string, std::optional<InstanceSpec>> expected_;
  std::map<PortId, PortDevice> devices_;
};

}  // namespace penstock::host
