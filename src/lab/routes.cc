#include "lab/routes.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace penstock::lab {
namespace {

constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();

const Attachment* attached(const Node& node, std::size_t network) {
  const auto found = std::ranges::find(node.attachments, network, &Attachment::network);
  return found == node.attachments.end() ? nullptr : &*found;
}

// Routers between each network and `target`, over networks of the target's family.
std::vector<std::size_t> distances(const Topology& topology, std::size_t target) {
  const auto family = topology.networks[target].subnet.address.family;
  std::vector<std::size_t> far(topology.networks.size(), kFar);
  far[target] = 0;
  for (std::deque<std::size_t> next{target}; !next.empty(); next.pop_front()) {
    for (const auto& router : topology.routers) {
      if (!attached(router, next.front())) continue;
      for (const auto& other : router.attachments) {
        if (far[other.network] != kFar ||
            topology.networks[other.network].subnet.address.family != family)
          continue;
        far[other.network] = far[next.front()] + 1;
        next.push_back(other.network);
      }
    }
  }
  return far;
}

// The neighbouring router that is nearest to the target.
const Attachment* gateway(const Topology& topology, const Node& node, std::size_t target) {
  const auto far = distances(topology, target);
  const Attachment* best = nullptr;
  auto least = kFar;
  for (const auto& mine : node.attachments) {
    if (far[mine.network] == kFar) continue;
    for (const auto& router : topology.routers) {
      const auto* theirs = attached(router, mine.network);
      if (!theirs || router.name == node.name) continue;
      for (const auto& beyond : router.attachments) {
        if (far[beyond.network] == kFar || far[beyond.network] >= least) continue;
        least = far[beyond.network];
        best = theirs;
      }
    }
  }
  return best;
}

}  // namespace

std::vector<NextHop> routes_of(const Topology& topology, const Node& node) {
  std::vector<NextHop> routes;
  for (std::size_t i = 0; i < topology.networks.size(); ++i) {
    if (attached(node, i)) continue;
    if (const auto* next = gateway(topology, node, i))
      routes.push_back({topology.networks[i].subnet, next->address});
  }
  topology.each_node([&](const Node& system) {
    if (system.prefixes.empty() || system.name == node.name) return;
    const auto& home = system.attachments.front();
    const auto* next = attached(node, home.network) ? &home : gateway(topology, node, home.network);
    for (const auto& prefix : system.prefixes)
      if (next) routes.push_back({prefix, next->address});
  });
  if (node.kind == NodeKind::kRouter) return routes;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto first = [&]() -> const Attachment* {
      for (const auto& mine : node.attachments)
        for (const auto& router : topology.routers)
          if (const auto* theirs = attached(router, mine.network);
              theirs && theirs->address.family == family)
            return theirs;
      return nullptr;
    }();
    if (first) routes.push_back({{IpAddress{family, {}}, 0}, first->address});
  }
  return routes;
}

}  // namespace penstock::lab
