#include "lab/graph/graph.h"

#include <gtest/gtest.h>

namespace penstock::lab {
namespace {

Graph graph(const std::string& text) {
  const auto topology = parse_topology("name: g\n" + text, "g.yaml", "");
  EXPECT_TRUE(topology) << topology.error().text();
  return graph_of(*topology, topology->objects, topology->links);
}

constexpr const char* kLab = R"(
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}]
hosts: [{name: h1, network: a, cluster: c1}, {name: h2, uplinks: [{network: b}, {network: a}]}]
devices: [{name: printer, behind: h1}]
links: [{link: h1, loss: 1%}]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: web, network: blue, host: h1}, {name: anywhere, network: blue}]
)";

TEST(Graph, KnowsWhereThingsAre) {
  const auto made = graph(kLab);
  EXPECT_EQ(made.summary(),
            "2 physical networks, 1 router, 2 hosts, 1 device, 1 virtual network, 2 VMs");
  const auto h1 = std::ranges::find(made.nodes, "h1", &GraphNode::name);
  ASSERT_NE(h1, made.nodes.end());
  ASSERT_EQ(h1->vms.size(), 1u);
  EXPECT_EQ(h1->vms.front().name, "acme/web");
  EXPECT_EQ(h1->links.front().impairment, "loss 1%");
  ASSERT_EQ(made.unplaced.size(), 1u);
  EXPECT_EQ(made.unplaced.front().name, "acme/anywhere");
}

TEST(Graph, TheServerKnowsBetterWhereAVmIs) {
  const auto topology = parse_topology(std::string("name: g\n") + kLab, "g.yaml", "");
  ASSERT_TRUE(topology);
  auto objects = topology->objects;
  for (auto& object : objects)
    if (object["metadata"]["name"] == "anywhere") object["status"] = {{"host", "h2"}};
  const auto made = graph_of(*topology, objects, {});
  EXPECT_TRUE(made.unplaced.empty());
}

TEST(Graph, EveryFormNamesEverything) {
  const auto made = graph(kLab);
  for (const auto& form : {graph_text(made), graph_mermaid(made), graph_svg(made)})
    for (const auto* name : {"h1", "h2", "router", "printer", "acme/web", "acme/anywhere", "blue",
                             "192.0.2.0/24", "198.51.100.0/24", "loss 1%"})
      EXPECT_NE(form.find(name), std::string::npos) << name << " in\n" << form;
}

TEST(Graph, ManyVmsAreCutInThePictureAndSaidSo) {
  const auto made = graph(R"(
networks: [{name: a, subnet: 192.0.0.0/16}]
hosts: [{name: h, count: 40}]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/16]}]
    vms: [{name: web, count: 30, network: blue, host: h1}]
)");
  const auto svg = graph_svg(made);
  EXPECT_NE(svg.find("+ 22 more VMs"), std::string::npos);
  EXPECT_NE(svg.find("+ 29 more<"), std::string::npos);  // the server takes one of the 12 places
  EXPECT_NE(graph_text(made).find("acme/web30"), std::string::npos);
}

}  // namespace
}  // namespace penstock::lab
