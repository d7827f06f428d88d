// What goes wrong: one thing at a time is begun, many may last. Which kinds there are at all is
// drawn once a world, so that some worlds know only crashes and others only bad disks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/clients.h"
#include "sim/host_node.h"

namespace penstock::sim {

class Accidents {
 public:
  Accidents(SimClock&, Trace&, ServerNode&, std::vector<std::unique_ptr<HostNode>>&, Clients&);

  void one();
  // Ends everything that lasts, starts everything that is down.
  void heal();

 private:
  struct Kind {
    std::string name;
    std::function<void()> happen;
  };
  HostNode& some_host();
  void later(Duration least, Duration most, Task);
  void heal_host(HostNode&);

  SimClock& clock_;
  Trace& trace_;
  ServerNode& server_;
  std::vector<std::unique_ptr<HostNode>>& hosts_;
  Clients& clients_;
  std::vector<Kind> kinds_;  // of this world
};

}  // namespace penstock::sim
