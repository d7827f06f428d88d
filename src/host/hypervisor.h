// What runs virtual machines on a host: network-namespace instances today, libvirt/QEMU as the next
// driver. The reconciler says which instances should be there; a driver knows how. Nothing above it
// may assume a namespace or a veth.
//
// Threading: called on the strand; completions and events come on the strand. Slow work happens in
// the adapter.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/address.h"

namespace penstock::host {

// How the guest gets its addresses.
enum class AddressMode { kStatic, kDhcp };

struct NicSpec {
  PortId port;
  std::string name;  // in the guest: "eth0"
  Mac mac;
  int mtu = 0;
  AddressMode mode = AddressMode::kStatic;
  std::vector<std::pair<IpAddress, std::uint8_t>> addresses;  // with prefix length
  std::vector<IpAddress> gateways;  // default routes, at most one a family
  bool operator==(const NicSpec&) const = default;
};

struct InstanceSpec {
  std::string id;  // "acme/web-1", unique on the host
  bool running = true;
  std::vector<NicSpec> nics;
  bool operator==(const InstanceSpec&) const = default;
};

// A device of the host's namespace that leads to a NIC.
struct PortDevice {
  PortId port;
  int ifindex = 0;
  bool peer_in_other_namespace = false;  // a veth: bpf_redirect_peer may skip the host's stack
  bool operator==(const PortDevice&) const = default;
};

struct InstanceInfo {
  std::string id;
  bool running = false;
  std::vector<PortDevice> ports;
  // The guest was let go (depart) and waits for a host, or another host has it: nothing of it may
  // be made or ended here until somebody says which.
  bool departed = false;
  bool operator==(const InstanceInfo&) const = default;
};

class Hypervisor {
 public:
  virtual ~Hypervisor() = default;
  using Done = std::function<void(Status)>;

  // Instances this driver made (and only those), sorted by id.
  virtual Result<std::vector<InstanceInfo>> list() = 0;
  // Makes the instance or brings it to the spec. Its port devices exist when `devices_ready` runs,
  // and no packet of the guest can have left before it returns: the switch puts the ports' policy
  // in place there (DESIGN 3.16). A stopped instance has no devices, so it is not called for one.
  virtual void ensure_instance(const InstanceSpec&,
                               std::function<Status(const InstanceInfo&)> devices_ready, Done) = 0;
  // Removes the instance and its devices; one that is not there is no error.
  virtual void remove_instance(const std::string& id, Done) = 0;
  // An instance or a device appeared, changed or died without us; nullptr ends it.
  virtual void on_changed(std::function<void()>) = 0;

  // --- moving a running guest to the same driver on another host. At any moment one host has the
  // guest, or none: a driver lets a guest be taken only when it has been let go and nobody else has
  // taken it. Each step may be repeated, also by a driver's next life. A driver that cannot move
  // guests leaves these alone.
  using Handed = std::function<void(Result<std::string> handle)>;
  // A guest of this spec will come: makes ready what takes time. Nothing of it runs.
  virtual void expect_instance(const InstanceSpec&, Done done) { done({}); }
  // Lets the guest go without ending it. `silent` runs when it can send and receive nothing any
  // more and its devices are still there; after it they go. The handle is what its new host needs;
  // for a guest that was let go before, the same again.
  virtual void depart(const std::string& id, std::function<void()>, Handed handed) {
    handed(fail(Code::kUnimplemented, id + ": this driver cannot move guests"));
  }
  // Takes the guest that `handle` names, as ensure_instance() would bring it up, but running on. On
  // an error it is as free as before.
  virtual void arrive(const InstanceSpec& spec, const std::string& /*handle*/,
                      std::function<Status(const InstanceInfo&)>, Done done) {
    done(fail(Code::kUnimplemented, spec.id + ": this driver cannot move guests"));
  }
  // The old host's: takes back a guest that it let go; one that it still has is no error.
  // kFailedPrecondition: another host has it.
  virtual void take_back(const InstanceSpec& spec,
                         std::function<Status(const InstanceInfo&)> devices_ready, Done done) {
    ensure_instance(spec, std::move(devices_ready), std::move(done));
  }
};

}  // namespace penstock::host
