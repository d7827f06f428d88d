#include <algorithm>

#include <fmt/format.h>

#include "lab/graph/graph.h"

namespace penstock::lab {
namespace {

// Mermaid's ids are words; ours have '-' and '/'.
std::string id(std::string_view prefix, std::string name) {
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c); }, '_');
  return fmt::format("{}_{}", prefix, name);
}

std::string vm_lines(const Graph& graph, const std::vector<GraphVm>& vms, std::string_view indent) {
  std::string out;
  for (const auto& vm : vms) {
    std::string networks;
    for (const auto index : vm.networks)
      networks += (networks.empty() ? "" : ", ") + graph.virtual_networks[index].name;
    out += fmt::format("{}{}[\"{}<br/><small>{}</small>\"]\n", indent, id("vm", vm.name), vm.name,
                       networks);
  }
  return out;
}

}  // namespace

std::string graph_mermaid(const Graph& graph) {
  auto out = fmt::format("---\ntitle: lab {}\n---\nflowchart TB\n", graph.title);
  for (const auto& network : graph.networks)
    out += fmt::format("  {}([\"{}<br/>{}\"])\n", id("net", network.name), network.name,
                       network.subnet);
  for (const auto& node : graph.nodes) {
    const auto node_id = id("node", node.name);
    if (node.kind == NodeKind::kHost) {
      out += fmt::format("  subgraph {}[\"{}\"]\n{}  end\n", node_id, node.name,
                         node.vms.empty() ? fmt::format("    {}_empty[\"no VMs\"]\n", node_id)
                                          : vm_lines(graph, node.vms, "    "));
    } else if (node.kind == NodeKind::kRouter) {
      out += fmt::format("  {}{{{{\"{}\"}}}}\n", node_id, node.name);
    } else {
      out +=
          fmt::format("  {}[\"{}<br/><small>{}</small>\"]\n", node_id, node.name, name(node.kind));
    }
  }
  out += vm_lines(graph, graph.unplaced, "  ");
  for (const auto& node : graph.nodes) {
    for (const auto& link : node.links) {
      const auto label = link.address + (link.impairment.empty() ? "" : "<br/>" + link.impairment);
      const auto network = id("net", graph.networks[link.network].name);
      const bool above = node.kind == NodeKind::kRouter;  // routers on top of the picture
      out += fmt::format("  {} {}|\"{}\"| {}\n", above ? id("node", node.name) : network,
                         link.impairment.empty() ? "---" : "-.-", label,
                         above ? network : id("node", node.name));
    }
    if (!node.behind.empty())
      out += fmt::format("  {} --- {}\n", id("node", node.behind), id("node", node.name));
  }
  return out;
}

}  // namespace penstock::lab
