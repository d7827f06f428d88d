// Real devices under the programs: VMs are network namespaces behind veths; two hosts are two
// processes whose underlay is a veth pair.
#pragma once

#include <functional>
#include <string>

#include "tests/packets/two_ports.h"

namespace penstock::packets {

// Namespaces made with `ip netns` are bound in a private folder, so nothing is left behind.
void private_netns_folder();

// A port whose device's other end is in namespace v<id>, configured as a guest would.
void add_vm(World& world, PortSpec spec);

bool ping(std::uint32_t from, const std::string& to,
          const std::string& options = "-c 2 -i 0.02 -W 1");

// Sends `megabytes` by TCP; true when all of them arrived. The server ends by itself.
bool transfer(std::uint32_t from, std::uint32_t to, const std::string& address, int port,
              int megabytes);

struct TwoHostsSpec {
  Family underlay = Family::kV4;
  int underlay_mtu = 1600;
  // What stands on host 1 (this process) and on host 2; the MACs and addresses of the VM of host n
  // are 02:00:00:00:00:0n, 10.0.0.n and fd00::n. The default is a VM in namespace v<n>.
  std::function<void(World&, int number)> populate;
  std::function<void(World&)> far_begins;  // before host 1 does anything
  std::function<void(World&)> near;
  std::function<bool(World&)> far_ends;  // what host 2 has seen
};
// Ends with both hosts gone.
void on_two_hosts(const TwoHostsSpec&);

// Ethernet, IP, UDP and VXLAN headers around a frame.
inline int overhead(Family underlay) {
  return underlay == Family::kV6 ? 70 : 50;
}
inline PortSpec vm_of_host(int number) {
  return {.id = static_cast<std::uint32_t>(number),
          .mac = "02:00:00:00:00:0" + std::to_string(number),
          .addresses = {"10.0.0." + std::to_string(number), "fd00::" + std::to_string(number)}};
}
// Packets dropped for any reason, but for what the switch consumes on purpose.
std::string drops_of(World&);
// A counter of a device: "tx.packets", "rx.dropped", as `ip -s -j link` names them.
std::uint64_t device_counter(const std::string& device, const std::string& counter);

}  // namespace penstock::packets
