#include "lab/graph/graph.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::lab {
namespace {

using cli::at;
using cli::text_at;

std::string full_name(const Json& object) {
  return text_at(at(object, "metadata", "tenant")) + "/" + text_at(at(object, "metadata", "name"));
}

void add_virtual_networks(const std::vector<Json>& objects, Graph& graph) {
  for (const auto& object : objects) {
    if (text_at(at(object, "kind")) != "VirtualNetwork") continue;
    std::string subnets;
    for (const auto& subnet : at(object, "spec", "subnets"))
      subnets += (subnets.empty() ? "" : ", ") + text_at(at(subnet, "cidr"));
    graph.virtual_networks.push_back({full_name(object), std::move(subnets)});
  }
}

void add_vms(const std::vector<Json>& objects, Graph& graph) {
  for (const auto& object : objects) {
    if (text_at(at(object, "kind")) != "VirtualMachine") continue;
    GraphVm vm{full_name(object), {}};
    for (const auto& nic : at(object, "spec", "nics")) {
      const auto network =
          text_at(at(object, "metadata", "tenant")) + "/" + text_at(at(nic, "network"));
      const auto found =
          std::ranges::find(graph.virtual_networks, network, &GraphVirtualNetwork::name);
      if (found != graph.virtual_networks.end())
        vm.networks.push_back(static_cast<std::size_t>(found - graph.virtual_networks.begin()));
    }
    auto host = text_at(at(object, "status", "host"));
    if (host.empty()) host = text_at(at(object, "spec", "placement", "host"));
    const auto node = std::ranges::find(graph.nodes, host, &GraphNode::name);
    (node == graph.nodes.end() ? graph.unplaced : node->vms).push_back(std::move(vm));
  }
}

}  // namespace

Graph graph_of(const Topology& topology, const std::vector<Json>& objects,
               const std::vector<LinkSetting>& links) {
  Graph graph;
  graph.title = topology.name;
  for (const auto& network : topology.networks)
    graph.networks.push_back({network.name, network.subnet.text()});
  topology.each_node([&](const Node& node) {
    GraphNode drawn;
    drawn.name = node.name;
    drawn.kind = node.kind;
    drawn.cluster = node.cluster;
    drawn.behind = node.behind;
    for (const auto& attachment : node.attachments) {
      const auto bad = std::ranges::find(links, attachment.link, &LinkSetting::link);
      drawn.links.push_back(
          {attachment.network, attachment.address.text(),
           bad == links.end() || !bad->impairments.any() ? "" : bad->impairments.text()});
    }
    graph.nodes.push_back(std::move(drawn));
  });
  add_virtual_networks(objects, graph);
  add_vms(objects, graph);
  return graph;
}

std::string Graph::summary() const {
  std::string text;
  const auto add = [&](std::size_t n, std::string_view what) {
    if (n != 0)
      text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", n, what, n == 1 ? "" : "s");
  };
  const auto of = [&](NodeKind kind) {
    return static_cast<std::size_t>(std::ranges::count(nodes, kind, &GraphNode::kind));
  };
  std::size_t vms = unplaced.size();
  for (const auto& node : nodes) vms += node.vms.size();
  add(networks.size(), "physical network");
  for (const auto kind : {NodeKind::kRouter, NodeKind::kHost, NodeKind::kRemote, NodeKind::kDevice})
    add(of(kind), lab::name(kind));
  add(virtual_networks.size(), "virtual network");
  add(vms, "VM");
  return text;
}

}  // namespace penstock::lab
