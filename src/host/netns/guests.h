// Instances that are network namespaces: the blocking half of the driver, a system call after the
// other.
//
// An instance "acme/web-1" is a namespace bound at <run>/netns/acme@web-1 (an empty file while it
// is stopped). Each NIC is a veth pair: "ps-p<port id>" in this program's namespace, with the alias
// "penstock:port/<port id> acme/web-1", and "eth0" in the guest's. That is all the state there is:
// after a restart it is read back from the kernel. Links without such an alias are never touched.
//
// Threading: one thread at a time. Methods wait for the kernel, up to milliseconds: not for the
// strand, except list().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/hypervisor.h"
#include "net/linux/links.h"
#include "net/linux/namespace.h"
#include "net/linux/netlink_socket.h"

namespace penstock::host {

class Guests {
 public:
  // Makes <run>/netns. Works in the network namespace of the calling thread from now on.
  static Result<Guests> open(const std::string& run_dir);

  // Sorted by id; ports sorted by their number.
  Result<std::vector<InstanceInfo>> list();
  // Namespace and devices as the spec says, new ones switched off at both ends; devices that are no
  // longer wanted are removed. A stopped instance has no devices, and its processes are killed.
  Result<InstanceInfo> prepare(const InstanceSpec&);
  // Addresses, routes, DHCP client; devices switched on. After prepare() of the same spec.
  Status start(const InstanceSpec&);
  // Kills the guest's processes, removes its devices and namespace. Nothing there is no error.
  Status remove(const std::string& id);

  // <run>/netns/<id with '/' as '@'>
  std::string namespace_path(const std::string& id) const;

 private:
  Guests(std::string run_dir, linux_net::NetlinkSocket);

  Result<linux_net::NetNamespace> make_namespace(const std::string& id);
  Result<PortDevice> make_nic(const InstanceSpec&, const NicSpec&, const linux_net::NetNamespace&,
                              linux_net::NetlinkSocket& guest);
  Status remove_devices(const std::string& id, const std::vector<NicSpec>& except);
  Status stop(const std::string& id);

  std::string run_dir_;
  linux_net::NetlinkSocket host_;
};

// What the alias of a host-side device says; absent for devices that are not a guest's.
struct GuestDevice {
  PortId port;
  std::string instance;
  bool operator==(const GuestDevice&) const = default;
};
std::string device_alias(const GuestDevice&);
std::optional<GuestDevice> parse_device_alias(const std::string&);
std::string device_name(PortId);  // "ps-p7"

}  // namespace penstock::host
