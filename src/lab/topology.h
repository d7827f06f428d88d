// A lab as one short file: physical networks, the router that joins them, the server, hosts, remote
// systems, and the Penstock objects to start with. The form is printed by `penstock lab schema`.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/json.h"
#include "net/address.h"

namespace penstock::lab {

using Json = cli::Json;

struct PhysicalNetwork {
  std::string name;
  IpPrefix subnet;  // IPv4 or IPv6; its first address is the router's
};

// Anything with an address on a physical network: the server, a host, a remote system.
struct Node {
  std::string name;
  std::size_t network = 0;  // index into Topology::networks
  IpAddress address;
  std::string cluster;  // hosts only
  std::string run;      // remotes only: a shell command to start in it
};

struct Topology {
  std::string name;
  std::vector<PhysicalNetwork> networks;
  int mtu = 1500;  // of the physical networks
  Node server;
  std::vector<Node> hosts;
  std::vector<Node> remotes;
  std::vector<std::string> tunables;      // "flow_entries=65536", for every host
  std::vector<std::string> object_files;  // absolute paths
  std::string programs;  // folder of the daemons, not from the file; empty: that of this program
  std::vector<Json> objects;  // written in the file itself, or made of its short forms
};

// Names of nodes that a lab has besides those of the file.
inline constexpr const char* kRouterNode = "router";
inline constexpr const char* kServerNode = "server";

// Every problem at once, as "file:line:column  path  what is wrong" in the details' messages.
Result<Topology> read_topology(const std::string& path);

// JSON Schema (2020-12) of the file, for editors.
Json topology_schema();

}  // namespace penstock::lab
