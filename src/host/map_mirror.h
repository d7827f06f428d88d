// One map of the switch: what it should hold, said by the owners of its entries, and what it does
// hold. Only differences are written. Several owners may claim one key (a MAC that moves between
// hosts, an address in several groups); `merge` makes the one value of it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/kernel.h"

namespace penstock::host {

class MapMirror {
 public:
  // By owner, in order of the owners' names. At least one.
  using Claims = std::map<std::string, Bytes>;
  using Merge = std::function<Result<Bytes>(const Claims&)>;
  using Entries = std::map<Bytes, Bytes>;

  // Without a merge the first owner's value holds. The kernel must outlive the mirror.
  MapMirror(Kernel&, Map, Merge = nullptr);

  // Reads what the map holds. Entries that nobody has claimed by the time of sweep() go.
  Status load();

  // These are the owner's entries now, all of them; empty: none. Writes what differs in the map. On
  // an error the rest is written all the same; the same call again, or sweep(), tries again. True:
  // something was written.
  Result<bool> set(const std::string& owner, const Entries&);
  // Erases what nobody claims, and tries again what failed.
  Status sweep();

  const Entries& held() const { return held_; }  // what the kernel has

 private:
  Result<bool> settle(const Bytes& key);

  Kernel& kernel_;
  Map map_;
  Merge merge_;
  Entries held_;
  std::map<Bytes, Claims> wanted_;
  std::map<std::string, std::vector<Bytes>> keys_of_;  // sorted
  // Keys whose write failed, by the owner whose call it was: an owner that gave a key up has no
  // other trace of it, and whoever claims the key still must not wait for ever.
  std::map<std::string, std::set<Bytes>> unsettled_;
};

}  // namespace penstock::host
