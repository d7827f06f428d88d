// The DHCP client of a namespace guest: busybox's udhcpc, as small guests have it.
#pragma once

#include <string>

#include "base/error.h"
#include "host/hypervisor.h"
#include "net/linux/namespace.h"

namespace penstock::host {

bool dhcp_client_runs(const linux_net::NetNamespace&, const std::string& run_dir,
                      const std::string& guest, const NicSpec&);
// Runs a client on the NIC in the guest's namespace, unless one runs there already (a pid file
// below <run>/dhcp says which). It is not our child: it outlives this program, as the guest does,
// and ends with the guest. What it learns about names goes to <run>/dhcp/<guest>.resolv.conf.
// kUnimplemented: there is no busybox on this host.
Status start_dhcp_client(const linux_net::NetNamespace&, const std::string& run_dir,
                         const std::string& guest, const NicSpec&);
// Ends it, for a NIC that goes to static addresses. None there is no error.
Status stop_dhcp_client(const linux_net::NetNamespace&, const std::string& run_dir,
                        const std::string& guest, const NicSpec&);
// Takes over clients that run in the guest since it was on another host, by their files in
// `folder`.
void adopt_dhcp_clients(const std::string& folder, const std::string& run_dir,
                        const std::string& guest);
// Files of all clients of the guest.
void forget_dhcp_clients(const std::string& run_dir, const std::string& guest);

}  // namespace penstock::host
