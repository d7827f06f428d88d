// A lab as one short file: physical networks, the routers that join them, the server, hosts, remote
// systems and devices, what is bad about their links, and the Penstock objects to start with. The
// form is printed by `penstock lab schema`.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/json.h"
#include "lab/links/impairment.h"
#include "model/yaml_tree.h"
#include "net/address.h"

namespace penstock::lab {

using Json = cli::Json;

struct PhysicalNetwork {
  std::string name;
  IpPrefix subnet;  // IPv4 or IPv6
  int mtu = 1500;
};

// A node's interface on a physical network. The wire between the two is what people call a link.
struct Attachment {
  std::size_t network = 0;  // index into Topology::networks
  IpAddress address;
  std::string device;          // in the node: "eth0"
  std::string port;            // the other end, in the namespace `fabric`: "p3"
  std::string link;            // "h1-rack-a"
  std::string virtual_switch;  // hosts only: the switch that uses it
};

enum class NodeKind { kRouter, kServer, kHost, kRemote, kDevice };
std::string_view name(NodeKind);  // "remote system"

struct Node {
  Node() = default;
  Node(std::string its_name, NodeKind its_kind) : name(std::move(its_name)), kind(its_kind) {}

  std::string name;
  NodeKind kind = NodeKind::kRemote;
  std::vector<Attachment> attachments;  // devices behind a host: none
  std::string cluster;                  // hosts only
  std::string behind, interface;        // of a device behind a host: the host, and its end there
  std::vector<IpPrefix> prefixes;       // of a system: also reached through its first address
  std::vector<std::string> commands;    // run one after the other when the lab starts
  std::string run;                      // a shell command that stays

  const IpAddress& address() const { return attachments.front().address; }
};

struct LinkSetting {
  std::string link;
  Impairments impairments;
};

// Where a topology is written, for messages.
struct Source {
  std::string title;  // the file's name, or what stands for it
  YamlPtr root;
  int first_line = 1;

  // "file:line:column" of what lies at a field path; `key`: of its name, not its value.
  std::string place(const std::string& path, bool key) const;
};

struct Topology {
  std::string name;
  std::vector<PhysicalNetwork> networks;
  std::vector<Node> routers;  // each has the first free address of its networks
  Node server;
  std::vector<Node> hosts, remotes, devices;
  std::vector<LinkSetting> links;
  std::vector<std::string> tunables;      // "flow_entries=65536", for every host
  std::vector<std::string> object_files;  // absolute paths
  std::vector<Json> objects;              // written in the file itself, or made of its short forms
  std::vector<std::string> object_paths;  // where each of them is in the file: "tenants[0].vms[1]"
  std::string programs;  // folder of the daemons, not from the file; empty: that of this program
  std::string text, folder;  // the file's, so that a running lab can be read again
  Source source;

  // Routers, the server, hosts, remotes, devices.
  void each_node(const std::function<void(const Node&)>&) const;
  const Node* find(std::string_view node) const;
  // By "h1-rack-a", "rack-a-h1", or "h1" when it has one link; null when there is none.
  const Attachment* find_link(std::string_view link) const;
  std::vector<std::string> link_names() const;
};

// Names of nodes that a lab has besides those of the file; the router only when the file has none.
inline constexpr const char* kRouterNode = "router";
inline constexpr const char* kServerNode = "server";

// Every problem at once, as "file:line:column  path  what is wrong" in the details' messages.
Result<Topology> read_topology(const std::string& path);
// The same of a text; `title` stands in messages where the file would, its object files are sought
// in `folder` (empty: not looked for), and lines count from `first_line`.
Result<Topology> parse_topology(const std::string& text, const std::string& title,
                                const std::string& folder, int first_line = 1);

// JSON Schema (2020-12) of the file, for editors.
Json topology_schema();

}  // namespace penstock::lab
