// What there is to show of a lab, whoever draws it.
#pragma once

#include <string>
#include <vector>

#include "lab/topology.h"

namespace penstock::lab {

struct GraphVm {
  std::string name;                   // "acme/web"
  std::vector<std::size_t> networks;  // indexes into Graph::virtual_networks
};
struct GraphLink {
  std::size_t network = 0;
  std::string address;
  std::string impairment;  // empty: none
};
struct GraphNode {
  std::string name;
  NodeKind kind = NodeKind::kHost;
  std::string cluster;
  std::vector<GraphLink> links;
  std::string behind;  // the host a device hangs on
  std::vector<GraphVm> vms;
};
struct GraphNetwork {
  std::string name, subnet;
};
struct GraphVirtualNetwork {
  std::string name;  // "acme/blue"
  std::string subnets;
};
struct Graph {
  std::string title;
  std::vector<GraphNetwork> networks;
  std::vector<GraphNode> nodes;  // routers, server, hosts, remotes, devices
  std::vector<GraphVirtualNetwork> virtual_networks;
  std::vector<GraphVm> unplaced;  // on no host (yet)

  std::string summary() const;  // "2 physical networks, 1 router, 2 hosts, 3 VMs, ..."
};

// `objects`: virtual networks and VMs, from the file or from the server (which knows where VMs
// are). `links`: what is bad about them now.
Graph graph_of(const Topology&, const std::vector<Json>& objects,
               const std::vector<LinkSetting>& links);

std::string graph_text(const Graph&);
std::string graph_mermaid(const Graph&);
std::string graph_svg(const Graph&);

}  // namespace penstock::lab
