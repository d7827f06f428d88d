#include "lab/topology.h"

#include <fstream>

#include <gtest/gtest.h>

namespace penstock::lab {
namespace {

Result<Topology> read(const std::string& text) {
  const auto path = testing::TempDir() + "topology_test.yaml";
  std::ofstream(path) << text;
  return read_topology(path);
}

TEST(Topology, CountsAndAddressesAreGivenOut) {
  const auto topology = read(R"(
kind: Lab
name: many
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}]
hosts:
  - {name: h, count: 3, network: a, cluster: c1}
  - {name: far, network: b}
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: web-, count: 2, network: blue, labels: {role: web}}]
)");
  ASSERT_TRUE(topology) << topology.error().text();
  ASSERT_EQ(topology->hosts.size(), 4u);
  EXPECT_EQ(topology->server.address.text(), "192.0.2.2");
  EXPECT_EQ(topology->hosts[2].name, "h3");
  EXPECT_EQ(topology->hosts[2].address.text(), "192.0.2.5");
  EXPECT_EQ(topology->hosts[3].address.text(), "198.51.100.2");
  ASSERT_EQ(topology->objects.size(), 4u);
  EXPECT_EQ(topology->objects[3]["metadata"]["name"], "web-2");
}

TEST(Topology, AllProblemsAtOnceWithTheirPlaces) {
  const auto bad = read(R"(name: Bad Name
networks:
  - {name: a, subnet: 192.0.2.0/24}
  - {name: b, subnet: 192.0.2.128/25, extra: 1}
hosts: [{name: h1, network: nowhere}]
)");
  ASSERT_FALSE(bad);
  const auto text = bad.error().text();
  EXPECT_NE(text.find(":1:7  name"), std::string::npos) << text;
  EXPECT_NE(text.find("networks[1].extra: unknown field"), std::string::npos) << text;
  EXPECT_NE(text.find("2 problems"), std::string::npos) << text;
}

TEST(Topology, MeaningIsCheckedOnceTheFormIsRight) {
  const auto bad = read(R"(name: bad
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 192.0.2.128/25}]
hosts: [{name: h1, network: nowhere}, {name: h1}, {name: router}]
)");
  ASSERT_FALSE(bad);
  const auto text = bad.error().text();
  for (const auto* wanted : {"overlaps with that of a", "no physical network \"nowhere\"",
                             "\"h1\" is taken", "\"router\" is taken"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << " in " << text;
}

TEST(Topology, ANetworkThatIsTooSmallIsRefused) {
  const auto bad = read(
      "name: small\nnetworks: [{name: a, subnet: 192.0.2.0/30}]\nhosts: [{name: h, count: 2}]\n");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("no address left"), std::string::npos);
}

}  // namespace
}  // namespace penstock::lab
