// The host's tunnel end: one vxlan device in collect_md mode, shared by all virtual switches of the
// host (which tunnel a packet takes is the switch's decision, per packet).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/kernel.h"
#include "penstock/v1/host.pb.h"

namespace penstock::host {

class Overlay {
 public:
  explicit Overlay(Kernel& kernel) : kernel_(kernel) {}

  // Makes the device, or takes over the one an agent before us left, and tells the switch.
  // kNotFound: the uplink is not there. kFailedPrecondition: another switch of this host wants
  // another UDP port.
  Status put(const v1::SwitchIntent&);
  Status remove(const std::string& name);
  // Removes devices of ours that no switch wants.
  Status sweep();

  // Whether the device and its program are as put() left them; true when there should be none.
  bool intact(const std::vector<Link>&, const std::vector<Attachment>&) const;
  int ifindex() const { return ifindex_; }
  std::vector<std::string> names() const;

 private:
  struct Switch {
    std::uint16_t udp_port = 0;
    int mtu = 0;
  };
  Status tell_switch(int ifindex);

  Kernel& kernel_;
  std::map<std::string, Switch> switches_;
  int ifindex_ = 0;  // 0: none
};

}  // namespace penstock::host
