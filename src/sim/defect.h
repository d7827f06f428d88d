// Defects that can be planted at the seams (kernel, store, stream), never in the product's code: a
// simulation that does not find them proves nothing by finding none.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace penstock::sim {

enum class Defect {
  kNone,
  kAckBeforeApply,    // a host acknowledges what it has just received
  kSkipDelta,         // the server forgets to send one change, and does not notice
  kSwallowFullMap,    // a map that is full looks like one that took the entry
  kReuseGeneration,   // a new policy comes into force under the old generation
  kLoseWrite,         // the store answers "committed" and keeps nothing
  kForgetRequestIds,  // the store does not know a repeated request again
  kOverwritePolicy,   // memory of a policy in use is given away
  kDetachUnseen,      // attaching reports success and does nothing
  kWrongNetwork,      // a port is written with another network's number
  kIgnoreRemovals,    // what the server takes away stays
};

struct DefectInfo {
  Defect defect;
  std::string_view name, help;
};
std::span<const DefectInfo> defects();
std::optional<Defect> find_defect(std::string_view name);

}  // namespace penstock::sim
