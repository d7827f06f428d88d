#include <fmt/format.h>

#include "lab/graph/graph.h"

namespace penstock::lab {
namespace {

std::string networks_of(const Graph& graph, const GraphVm& vm) {
  std::string text;
  for (const auto index : vm.networks)
    text += (text.empty() ? "" : ", ") + graph.virtual_networks[index].name;
  return text;
}

void add_inside(const Graph& graph, const GraphNode& node, std::string& out) {
  for (const auto& vm : node.vms)
    out += fmt::format("    {:<14} {:<20} on {}\n", "vm", vm.name, networks_of(graph, vm));
  for (const auto& device : graph.nodes)
    if (device.behind == node.name) out += fmt::format("    {:<14} {}\n", "device", device.name);
}

}  // namespace

std::string graph_text(const Graph& graph) {
  auto out = fmt::format("lab {}: {}\n", graph.title, graph.summary());
  for (std::size_t i = 0; i < graph.networks.size(); ++i) {
    out += fmt::format("\n{} {}\n", graph.networks[i].name, graph.networks[i].subnet);
    for (const auto& node : graph.nodes) {
      for (const auto& link : node.links) {
        if (link.network != i) continue;
        const auto more =
            fmt::format("{}{}", node.cluster.empty() ? "" : "  cluster " + node.cluster,
                        link.impairment.empty() ? "" : "  ! " + link.impairment);
        out += fmt::format("  {:<16} {:<20} {:<{}}{}\n", name(node.kind), node.name, link.address,
                           more.empty() ? 0 : 18, more);
        // A node is on several networks, but its VMs are told once.
        if (&link == &node.links.front()) add_inside(graph, node, out);
      }
    }
  }
  if (!graph.unplaced.empty()) out += "\non no host\n";
  for (const auto& vm : graph.unplaced)
    out += fmt::format("  {:<16} {:<20} on {}\n", "vm", vm.name, networks_of(graph, vm));
  if (!graph.virtual_networks.empty()) out += "\nvirtual networks\n";
  for (std::size_t i = 0; i < graph.virtual_networks.size(); ++i) {
    std::string hosts;
    for (const auto& node : graph.nodes)
      for (const auto& vm : node.vms)
        if (std::ranges::find(vm.networks, i) != vm.networks.end()) {
          hosts += (hosts.empty() ? "" : ", ") + node.name;
          break;
        }
    out += fmt::format("  {:<20} {:<32} on {}\n", graph.virtual_networks[i].name,
                       graph.virtual_networks[i].subnets, hosts.empty() ? "no host" : hosts);
  }
  return out;
}

}  // namespace penstock::lab
