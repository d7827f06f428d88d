// Which way a node of the underlay sends packets for the networks it is not on.
#pragma once

#include <vector>

#include "lab/topology.h"

namespace penstock::lab {

struct NextHop {
  IpPrefix destination;  // length 0: everything else
  IpAddress gateway;
};

// The fewest routers, then the order of the file; a router forwards between its networks of one
// family. What lies behind systems (their `prefixes`) is reached through them. All but routers also
// get a default route by the first router of each family.
std::vector<NextHop> routes_of(const Topology&, const Node&);

}  // namespace penstock::lab
