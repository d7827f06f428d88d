// The links of a running lab: what is bad about them, set and taken back while packets flow.
#pragma once

#include <array>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "lab/folder.h"
#include "lab/links/line.h"
#include "lab/topology.h"
#include "link/abi.h"

namespace penstock::lab {

struct LinkState {
  std::string link, node, network;
  Impairments impairments;
  bool broken = false;  // frames should wait, but the relay is gone: nothing passes
  std::array<link_count, LINK_WAYS> counts{};  // since it was first set; zero before
  std::array<LineCounts, LINK_WAYS> lines{};   // since the relay began
};

class Links {
 public:
  Links(const Folder& folder, const Topology& topology) : folder_(folder), topology_(topology) {}

  // In the order of the topology.
  Result<std::vector<LinkState>> list() const;
  // The links' whole new state. All or, on an error, none of them. Frames under way arrive. With
  // `restart_dice` the counters and the numbers of frames begin at zero.
  Status set(const std::vector<LinkSetting>&, bool restart_dice) const;
  // What one link is set to.
  Result<Impairments> get(const std::string& link) const;

 private:
  Result<Json> read_file() const;
  // `restart_dice`: of these links.
  Status apply(const Json& before, const Json& after,
               const std::set<std::string>& restart_dice) const;
  Status start_relay() const;
  // The kernel's side of one link.
  Status apply_program(const std::string& link, const Json& setting, bool restart_dice) const;
  // Single frames on networks with impaired links, whatever the nodes like on the others.
  Status set_segments(const Json& before, const Json& after) const;

  const Folder& folder_;
  const Topology& topology_;
};

}  // namespace penstock::lab
