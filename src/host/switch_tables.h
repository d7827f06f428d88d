// All maps of the switch that say who is where: derived from ports, neighbours, networks and
// groups. Each set_* call names the item that owns the entries and gives all of them; only
// differences reach the kernel. On an error the rest is still written, and the same call tries
// again.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "host/kernel.h"
#include "host/map_mirror.h"
#include "net/address.h"

namespace penstock::host {

// A NIC as its network sees it.
struct Member {
  PortId port;
  Vni vni;
  Mac mac;
  std::vector<IpAddress> addresses;
  bool operator==(const Member&) const = default;
};

class SwitchTables {
 public:
  explicit SwitchTables(Kernel&);

  Status load();

  // Which source addresses a port may use. Before its device is let in.
  Status set_allowed(const std::string& owner, const Member&);
  // The device's packets are those of the slot's port: the moment from which the programs let it
  // speak.
  Status set_device(const std::string& owner, int ifindex, std::uint32_t slot);
  // Others reach the port.
  Status set_local(const std::string& owner, const Member&, std::uint32_t slot);
  // A NIC on the host behind `vtep`; its frames may come from `also` too. When it was behind
  // another one, frames from there stay welcome until the second sweep() from now: hosts do not
  // learn of a move at the same time.
  Status set_remote(const std::string& owner, const Member&, const IpAddress& vtep,
                    const std::optional<IpAddress>& also = {});
  Status set_network(const std::string& owner, Vni, const std::vector<IpAddress>& gateways);
  // True when the switch's view changed, so that flows of ports that use the group must be judged
  // again.
  // `number` is what the switch knows the group by: within a VNI it means one group.
  Result<bool> set_group(const std::string& owner, std::uint32_t number,
                         const std::vector<std::pair<Vni, IpAddress>>& members);
  // The device's packets are dropped from now on, and nobody is sent to it.
  Status clear(const std::string& owner);

  // Broadcast lists are gathered and written once for many changes. What could not be written, by
  // network.
  std::vector<std::pair<Vni, Error>> flush_floods();
  // Erases what no owner has said, and forgets old places. Not before every item has been looked at
  // once.
  Status sweep();

  const MapMirror& devices() const { return devices_; }

 private:
  struct Listener {  // of a network's broadcasts: a local slot or another host
    Vni vni;
    bool local = false;
    std::uint32_t slot = 0;
    IpAddress vtep;
    bool operator==(const Listener&) const = default;
  };
  struct Listeners {
    std::map<std::uint32_t, int> slots;
    std::map<IpAddress, int> vteps;
  };
  void listen(const std::string& owner, const Listener*);
  Status keep_old_place(const std::string& owner, const MapMirror::Entries& next);

  MapMirror devices_, allowed_, endpoints_, neighbors_, floods_, groups_;
  std::map<std::string, MapMirror::Entries> remote_;  // endpoints on other hosts, by owner
  std::map<std::string, int> moved_;                  // owners with an old place -> sweeps since
  std::map<std::string, Listener> listening_;
  std::map<Vni, Listeners> listeners_;
  std::set<Vni> floods_dirty_;
};

}  // namespace penstock::host
