// The hypervisor driver whose instances are the host itself, as member of virtual networks. All
// state is in the devices' names and aliases, and read back from there.
//
// Threading: the strand's. A host has one or two such NICs, made once: their few netlink requests
// are made in a turn of the strand of their own.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "host/hypervisor.h"

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class HostPortHypervisor final : public Hypervisor {
 public:
  // Works in this program's network namespace. Runtime and log must outlive it.
  static Result<std::unique_ptr<HostPortHypervisor>> open(RealRuntime&, Log&);
  ~HostPortHypervisor() override;

  Result<std::vector<InstanceInfo>> list() override;
  void ensure_instance(const InstanceSpec&,
                       std::function<Status(const InstanceInfo&)> devices_ready, Done) override;
  void remove_instance(const std::string& id, Done) override;
  void on_changed(std::function<void()>) override;

 private:
  struct Impl;
  explicit HostPortHypervisor(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::host
