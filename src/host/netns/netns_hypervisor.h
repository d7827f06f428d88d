// The hypervisor driver whose instances are network namespaces: no guest kernel, started in
// milliseconds, real packets. For the lab, tests, containers; what an instance is on the host is
// said in guests.h.
//
// Threading: the strand's, as host/hypervisor.h says. Work in namespaces happens on one thread of
// its own, in the order of the calls.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "host/hypervisor.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class NetnsHypervisor final : public Hypervisor {
 public:
  // Instances live below `run_dir`, devices in this program's network namespace. Runtime and log
  // must outlive it.
  static Result<std::unique_ptr<NetnsHypervisor>> open(RealRuntime&, Log&,
                                                       const std::string& run_dir);
  // Waits for the work in hand; instances stay. Completions that have not run yet never will.
  ~NetnsHypervisor() override;

  Result<std::vector<InstanceInfo>> list() override;
  // A stopped instance has no devices: `devices_ready` is not called for one.
  void ensure_instance(const InstanceSpec&,
                       std::function<Status(const InstanceInfo&)> devices_ready, Done) override;
  void remove_instance(const std::string& id, Done) override;
  void on_changed(std::function<void()>) override;
  void depart(const std::string& id, std::function<void()> silent, Handed) override;
  void arrive(const InstanceSpec&, const std::string& handle,
              std::function<Status(const InstanceInfo&)> devices_ready, Done) override;

 private:
  struct Impl;
  explicit NetnsHypervisor(std::shared_ptr<Impl>);
  std::shared_ptr<Impl> impl_;
};

}  // namespace penstock::host
