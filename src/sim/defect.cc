#include "sim/defect.h"

#include <algorithm>
#include <array>

namespace penstock::sim {
namespace {

constexpr std::array kDefects{
    DefectInfo{Defect::kAckBeforeApply, "ack-before-apply",
               "a host acknowledges what it has just received"},
    DefectInfo{Defect::kSkipDelta, "skip-delta", "the server forgets to send one change"},
    DefectInfo{Defect::kSwallowFullMap, "swallow-full-map",
               "a full map looks like one that took the entry"},
    DefectInfo{Defect::kReuseGeneration, "reuse-generation",
               "a new policy comes into force under the old generation"},
    DefectInfo{Defect::kLoseWrite, "lose-write", "the store answers committed and keeps nothing"},
    DefectInfo{Defect::kForgetRequestIds, "forget-request-ids",
               "the store does not know a repeated request again"},
    DefectInfo{Defect::kOverwritePolicy, "overwrite-policy",
               "memory of a policy in use is written to"},
    DefectInfo{Defect::kDetachUnseen, "attach-nothing",
               "attaching reports success and does nothing"},
    DefectInfo{Defect::kWrongNetwork, "wrong-network",
               "a port is written with another network's number"},
    DefectInfo{Defect::kIgnoreRemovals, "ignore-removals",
               "what the server takes away from a host stays there"},
};

}  // namespace

std::span<const DefectInfo> defects() {
  return kDefects;
}

std::optional<Defect> find_defect(std::string_view name) {
  const auto found = std::ranges::find(kDefects, name, &DefectInfo::name);
  if (found == kDefects.end()) return std::nullopt;
  return found->defect;
}

}  // namespace penstock::sim
