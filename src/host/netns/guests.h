// Instances that are network namespaces: the blocking half of the driver, a system call after the
// other.
//
// An instance "acme/web-1" is a namespace bound at <run>/netns/acme@web-1 (an empty file while it
// is stopped). Each NIC is a veth pair: "ps-p<port id>" in this program's namespace, with the alias
// "penstock:port/<port id> acme/web-1", and "eth0" in the guest's. That is all the state there is:
// after a restart it is read back from the kernel. Links without such an alias are never touched.
//
// Moving. A veth pair is a cable, and whoever holds its outer end has the guest. To let a guest go,
// the outer ends are laid down inside the guest's own namespace; the next host takes them from
// there into its own. The guest's end never moves: addresses, routes, sockets and processes notice
// nothing but a moment without carrier. The handle is the path of the namespace, which the other
// host must see: the hosts of a lab do. An end is in one place at any moment, whoever dies, so a
// guest is never with two hosts.
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
  // Kills the guest's processes, removes its devices and namespace. Nothing there is no error; a
  // guest that another host has runs on there.
  Status remove(const std::string& id);

  // --- moving
  // Switches the outer ends off.
  Status silence(const std::string& id);
  // Lays them down in the guest; nobody may run programs on them any more. Returns the handle.
  Result<std::string> let_go(const std::string& id);
  // prepare() for the guest that the handle names: our name for its namespace, and its cables.
  Result<InstanceInfo> take(const InstanceSpec&, const std::string& handle);
  // After a take() that came to nothing: the guest is free again, our name for it goes.
  void forget(const InstanceSpec&);

  // <run>/netns/<id with '/' as '@'>
  std::string namespace_path(const std::string& id) const;

 private:
  Guests(std::string run_dir, linux_net::NetlinkSocket);

  Result<linux_net::NetNamespace> make_namespace(const std::string& id);
  Result<PortDevice> make_nic(const InstanceSpec&, const NicSpec&, const linux_net::NetNamespace&,
                              linux_net::NetlinkSocket& guest);
  Status remove_devices(const std::string& id, const std::vector<NicSpec>& except);
  Status stop(const std::string& id);
  // Who has a guest whose namespace is there.
  enum class Holder {
    kUs,      // an outer end is here, or it has no NIC at all
    kNobody,  // they lie in the guest
    kOther,   // they are elsewhere
  };
  Result<Holder> holder(const std::string& id, const std::vector<linux_net::LinkInfo>& host_links);

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
