#include "lab/routes.h"

#include <map>

#include <gtest/gtest.h>

namespace penstock::lab {
namespace {

Topology topology(const std::string& text) {
  auto made = parse_topology("name: r\n" + text, "r.yaml", "");
  EXPECT_TRUE(made) << made.error().text();
  return made ? *made : Topology{};
}

std::map<std::string, std::string> routes(const Topology& topology, const std::string& node) {
  std::map<std::string, std::string> out;
  for (const auto& hop : routes_of(topology, *topology.find(node)))
    out[hop.destination.text()] = hop.gateway.text();
  return out;
}

constexpr const char* kChain = R"(
networks:
  - {name: a, subnet: 192.0.2.0/24}
  - {name: b, subnet: 198.51.100.0/24}
  - {name: c, subnet: 203.0.113.0/24}
routers:
  - {name: r1, networks: [a, b]}
  - {name: r2, networks: [b, c]}
hosts: [{name: h1, network: a}, {name: h2, network: b}, {name: h3, network: c}]
)";

TEST(Routes, GoTowardsTheNearestRouter) {
  const auto chain = topology(kChain);
  EXPECT_EQ(routes(chain, "h1"),
            (std::map<std::string, std::string>{{"198.51.100.0/24", "192.0.2.1"},
                                                {"203.0.113.0/24", "192.0.2.1"},
                                                {"0.0.0.0/0", "192.0.2.1"}}));
  // On the middle network each router serves its side.
  EXPECT_EQ(routes(chain, "h2").at("192.0.2.0/24"), "198.51.100.1");
  EXPECT_EQ(routes(chain, "h2").at("203.0.113.0/24"), "198.51.100.2");
  EXPECT_EQ(routes(chain, "r1"),
            (std::map<std::string, std::string>{{"203.0.113.0/24", "198.51.100.2"}}));
}

TEST(Routes, FamiliesDoNotMix) {
  const auto mixed = topology(R"(
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: "2001:db8::/64"}, {name: c, subnet: "2001:db8:1::/64"}]
hosts: [{name: h1, network: a}, {name: h2, network: b}]
)");
  EXPECT_EQ(routes(mixed, "h1"), (std::map<std::string, std::string>{{"0.0.0.0/0", "192.0.2.1"}}));
  EXPECT_EQ(routes(mixed, "h2").at("2001:db8:1::/64"), "2001:db8::1");
}

TEST(Routes, NobodyPromisesWhatCannotBeReached) {
  const auto apart = topology(R"(
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}, {name: c, subnet: 203.0.113.0/24}]
routers: [{name: r1, networks: [a, b]}]
hosts: [{name: h1, network: a}, {name: h3, network: c}]
)");
  EXPECT_FALSE(routes(apart, "h1").contains("203.0.113.0/24"));
  EXPECT_TRUE(routes(apart, "h3").empty());
}

TEST(Routes, WhatIsBehindASystemIsReachedThroughIt) {
  const auto chain = topology(std::string(kChain) +
                              "remotes: [{name: cloud, network: c, prefixes: [198.18.0.0/15]}]\n");
  EXPECT_EQ(routes(chain, "r2").at("198.18.0.0/15"), "203.0.113.3");
  EXPECT_EQ(routes(chain, "r1").at("198.18.0.0/15"), "198.51.100.2");
  EXPECT_EQ(routes(chain, "h1").at("198.18.0.0/15"), "192.0.2.1");
  EXPECT_FALSE(routes(chain, "cloud").contains("198.18.0.0/15"));
}

}  // namespace
}  // namespace penstock::lab
