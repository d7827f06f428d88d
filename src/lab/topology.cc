#include "lab/topology.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "lab/form.h"
#include "lab/objects.h"
#include "model/kinds.h"
#include "model/yaml_tree.h"
#include "net/linux/links.h"

namespace penstock::lab {
namespace {

// Gives every node its addresses, devices and ports, in the order of the file; so the same file
// always makes the same lab.
class Builder {
 public:
  Builder(const Json& file, std::vector<ErrorDetail>& problems, std::filesystem::path folder)
      : file_(file), problems_(problems), folder_(std::move(folder)) {}

  Topology build() {
    topology_.name = file_.value("name", "");
    networks();
    routers();
    server();
    hosts();
    systems("remotes", NodeKind::kRemote, topology_.remotes);
    systems("devices", NodeKind::kDevice, topology_.devices);
    distinct_links();
    links();
    for (const auto& text : file_.value("tunables", std::vector<std::string>{}))
      topology_.tunables.push_back(text);
    for (const auto& name : file_.value("objectFiles", std::vector<std::string>{})) {
      const auto path = (folder_ / name).lexically_normal();
      if (!folder_.empty() && !std::filesystem::exists(path))
        bad("objectFiles", path.string() + " does not exist");
      topology_.object_files.push_back(path.string());
    }
    for (auto& made : objects_of(file_)) {
      topology_.objects.push_back(std::move(made.object));
      topology_.object_paths.push_back(std::move(made.path));
    }
    return std::move(topology_);
  }

 private:
  void bad(std::string path, std::string message, std::string hint = {}) {
    problems_.push_back({std::move(path), std::move(message), std::move(hint)});
  }
  const Json& list(const char* key) const {
    static const Json kNone = Json::array();
    return file_.contains(key) ? file_.at(key) : kNone;
  }

  void networks() {
    const auto mtu = static_cast<int>(file_.value("mtu", 1500));
    for (std::size_t i = 0; i < list("networks").size(); ++i) {
      const auto& entry = list("networks")[i];
      const auto path = fmt::format("networks[{}]", i);
      PhysicalNetwork network{
          entry.value("name", ""), {}, static_cast<int>(entry.value("mtu", mtu))};
      if (auto subnet = IpPrefix::parse(entry.value("subnet", ""))) {
        network.subnet = *subnet;
      } else {
        bad(path + ".subnet", subnet.error().message, subnet.error().hint);
      }
      for (const auto& other : topology_.networks) {
        if (network.subnet.length && other.subnet.overlaps(network.subnet))
          bad(path + ".subnet", "overlaps with that of " + other.name);
        if (other.name == network.name) bad(path + ".name", "is there twice");
      }
      topology_.networks.push_back(std::move(network));
      next_address_.push_back(1);
    }
  }

  void routers() {
    if (list("routers").empty()) {
      Node router(kRouterNode, NodeKind::kRouter);
      names_.insert(router.name);
      for (std::size_t i = 0; i < topology_.networks.size(); ++i) attach(router, i, "networks");
      topology_.routers.push_back(std::move(router));
      return;
    }
    for (std::size_t i = 0; i < list("routers").size(); ++i) {
      const auto path = fmt::format("routers[{}]", i);
      auto router = named(list("routers")[i], NodeKind::kRouter, path);
      attach_all(router, list("routers")[i].at("networks"), path + ".networks");
      topology_.routers.push_back(std::move(router));
    }
    // The first address is a router's also where there is none: nodes that come later do not move.
    for (auto& next : next_address_) next = std::max<std::uint64_t>(next, 2);
  }

  void server() {
    const auto entry = file_.contains("server") ? file_.at("server") : Json::object();
    names_.insert(kServerNode);
    topology_.server = Node(kServerNode, NodeKind::kServer);
    attach_one(topology_.server, entry, "server");
  }

  void hosts() {
    for (std::size_t i = 0; i < list("hosts").size(); ++i) {
      const auto& entry = list("hosts")[i];
      const auto path = fmt::format("hosts[{}]", i);
      for (std::int64_t n = 1; n <= entry.value("count", std::int64_t{1}); ++n) {
        auto host = named(entry, NodeKind::kHost, path, n);
        host.cluster = entry.value("cluster", "");
        uplinks(host, entry, path);
        topology_.hosts.push_back(std::move(host));
      }
    }
  }

  void uplinks(Node& host, const Json& entry, const std::string& path) {
    if (!entry.contains("uplinks")) {
      attach_one(host, entry, path);
      if (!host.attachments.empty()) host.attachments.front().virtual_switch = "default";
      return;
    }
    if (entry.contains("network"))
      bad(path + ".network", "is one of the uplinks", "leave it out, or the uplinks");
    if (entry.at("uplinks").empty()) bad(path + ".uplinks", "must not be empty");
    for (std::size_t i = 0; i < entry.at("uplinks").size(); ++i) {
      const auto& uplink = entry.at("uplinks")[i];
      const auto network = uplink.value("network", "");
      if (!attach(host, network, fmt::format("{}.uplinks[{}].network", path, i))) continue;
      host.attachments.back().virtual_switch = uplink.value("switch", i == 0 ? "default" : network);
    }
  }

  void systems(const char* key, NodeKind kind, std::vector<Node>& into) {
    for (std::size_t i = 0; i < list(key).size(); ++i) {
      const auto& entry = list(key)[i];
      const auto path = fmt::format("{}[{}]", key, i);
      auto node = named(entry, kind, path);
      node.run = entry.value("run", "");
      if (entry.contains("behind")) {
        behind(node, entry, path);
      } else if (entry.contains("networks")) {
        attach_all(node, entry.at("networks"), path + ".networks");
      } else {
        attach_one(node, entry, path);
      }
      prefixes(node, entry, path);
      into.push_back(std::move(node));
    }
  }

  void prefixes(Node& node, const Json& entry, const std::string& path) {
    if (!entry.contains("prefixes")) return;
    for (std::size_t i = 0; i < entry.at("prefixes").size(); ++i) {
      const auto at = fmt::format("{}.prefixes[{}]", path, i);
      const auto prefix = IpPrefix::parse(entry.at("prefixes")[i].get<std::string>());
      if (!prefix) {
        bad(at, prefix.error().message, prefix.error().hint);
      } else if (node.attachments.empty() || node.address().family != prefix->address.family) {
        bad(at, fmt::format("{} has no address of that family on a physical network", node.name));
      } else {
        node.prefixes.push_back(*prefix);
      }
    }
  }

  void behind(Node& device, const Json& entry, const std::string& path) {
    device.behind = entry.value("behind", "");
    device.interface = entry.value("interface", device.name);
    if (entry.contains("network") || entry.contains("networks"))
      bad(path + ".behind", "a device is behind a host or on a physical network, not both");
    std::vector<std::string> hosts;
    for (const auto& host : topology_.hosts) hosts.push_back(host.name);
    if (std::ranges::find(hosts, device.behind) == hosts.end())
      bad(path + ".behind", fmt::format("there is no host \"{}\"", device.behind),
          did_you_mean(device.behind, hosts));
    if (device.interface.empty() || device.interface.size() > linux_net::kLinkNameMax)
      bad(path + ".interface", fmt::format("\"{}\" cannot name an interface", device.interface),
          fmt::format("at most {} characters", linux_net::kLinkNameMax));
    if (!cables_.insert(device.behind + ":" + device.interface).second)
      bad(path + ".interface",
          fmt::format("{} has an interface {} already", device.behind, device.interface));
  }

  Node named(const Json& entry, NodeKind kind, const std::string& path, std::int64_t number = 1) {
    Node node(entry.value("name", ""), kind);
    if (entry.contains("count")) node.name += std::to_string(number);
    node.commands = entry.value("commands", std::vector<std::string>{});
    // The fabric is a namespace beside those of the nodes.
    if (node.name == "fabric" || node.name == kServerNode || !names_.insert(node.name).second)
      bad(path + ".name", fmt::format("\"{}\" is taken", node.name));
    return node;
  }

  void attach_one(Node& node, const Json& entry, const std::string& path) {
    if (entry.contains("network")) {
      attach(node, entry.value("network", ""), path + ".network");
    } else if (!topology_.networks.empty()) {
      attach(node, 0, path);
    }
  }

  void attach_all(Node& node, const Json& networks, const std::string& path) {
    for (std::size_t i = 0; i < networks.size(); ++i)
      attach(node, networks[i].get<std::string>(), fmt::format("{}[{}]", path, i));
  }

  bool attach(Node& node, const std::string& network, const std::string& path) {
    const auto found = std::ranges::find(topology_.networks, network, &PhysicalNetwork::name);
    if (found != topology_.networks.end())
      return attach(node, static_cast<std::size_t>(found - topology_.networks.begin()), path);
    std::vector<std::string> known;
    for (const auto& other : topology_.networks) known.push_back(other.name);
    bad(path, fmt::format("there is no physical network \"{}\"", network),
        did_you_mean(network, known));
    return false;
  }

  bool attach(Node& node, std::size_t index, const std::string& path) {
    const auto& network = topology_.networks[index];
    if (std::ranges::find(node.attachments, index, &Attachment::network) !=
        node.attachments.end()) {
      bad(path, fmt::format("{} is on {} already", node.name, network.name));
      return false;
    }
    const auto address = network.subnet.address.plus(next_address_[index]++);
    if (network.subnet.length &&
        (!network.subnet.contains(address) || address == network.subnet.last()))
      bad(path, fmt::format("{} has no address left for {}", network.subnet.text(), node.name));
    node.attachments.push_back({.network = index,
                                .address = address,
                                .device = fmt::format("eth{}", node.attachments.size()),
                                .port = fmt::format("p{}", next_port_++),
                                .link = node.name + "-" + network.name,
                                .virtual_switch = {}});
    return true;
  }

  // "a-b" on "c" and "a" on "b-c" would both be "a-b-c".
  void distinct_links() {
    std::map<std::string, std::string> taken;
    topology_.each_node([&](const Node& node) {
      for (const auto& attachment : node.attachments) {
        const auto [it, fresh] = taken.emplace(attachment.link, node.name);
        if (!fresh)
          bad("networks",
              fmt::format("two links would be called {}: of {} and of {}", attachment.link,
                          it->second, node.name),
              "rename a node or a network");
      }
    });
  }

  void links() {
    for (std::size_t i = 0; i < list("links").size(); ++i) {
      const auto& entry = list("links")[i];
      const auto path = fmt::format("links[{}]", i);
      const auto given = entry.value("link", "");
      const auto* link = topology_.find_link(given);
      if (!link) {
        const auto known = topology_.link_names();
        auto hint = did_you_mean(given, known);
        if (hint.empty()) hint = "NODE-NETWORK, like " + known.front();
        bad(path + ".link", fmt::format("there is no link \"{}\"", given), std::move(hint));
        continue;
      }
      auto found = std::ranges::find(topology_.links, link->link, &LinkSetting::link);
      if (found == topology_.links.end()) found = topology_.links.insert(found, {link->link, {}});
      const auto direction = entry.value("direction", "both");
      if (direction != "out") way(found->impairments.in, entry, path);
      if (direction != "in") way(found->impairments.out, entry, path);
    }
  }

  void way(Impairment& impairment, const Json& entry, const std::string& path) {
    const auto add = [&](const std::string& field, const Error& error) {
      // Both directions say the same.
      if (std::ranges::find(problems_, field, &ErrorDetail::field) == problems_.end())
        bad(field, error.message, error.hint);
    };
    for (const auto& field : impairment_fields()) {
      if (!entry.contains(field.word)) continue;
      const auto& value = entry.at(field.word);
      const auto text = value.is_string() ? value.get<std::string>() : value.dump();
      if (const auto set = set_impairment(impairment, field.word, text); !set)
        add(path + "." + field.word, set.error());
    }
    if (const auto good = check_impairment(impairment); !good) add(path + ".jitter", good.error());
  }

  const Json& file_;
  std::vector<ErrorDetail>& problems_;
  std::filesystem::path folder_;
  Topology topology_;
  std::vector<std::uint64_t> next_address_;
  std::size_t next_port_ = 0;
  std::set<std::string> names_, cables_;
};

std::string place(const std::string& title, YamlMark mark, int first_line) {
  return fmt::format("{}:{}:{}", title, mark.line + first_line - 1, mark.column);
}

Error refused(const std::string& title, std::vector<ErrorDetail> problems) {
  return {Code::kInvalidArgument,
          fmt::format("{}: {} problem{}; nothing was started", title, problems.size(),
                      problems.size() == 1 ? "" : "s"),
          std::move(problems),
          {}};
}

}  // namespace

std::string Source::place(const std::string& path, bool key) const {
  const auto found = locate(*root, path);
  return lab::place(title, key && found.exact ? found.key : found.value, first_line);
}

std::string_view name(NodeKind kind) {
  switch (kind) {
    case NodeKind::kRouter:
      return "router";
    case NodeKind::kServer:
      return "server";
    case NodeKind::kHost:
      return "host";
    case NodeKind::kRemote:
      return "remote system";
    case NodeKind::kDevice:
      return "device";
  }
  return "";
}

void Topology::each_node(const std::function<void(const Node&)>& each) const {
  for (const auto& node : routers) each(node);
  each(server);
  for (const auto& node : hosts) each(node);
  for (const auto& node : remotes) each(node);
  for (const auto& node : devices) each(node);
}

const Node* Topology::find(std::string_view name) const {
  const Node* found = nullptr;
  each_node([&](const Node& node) {
    if (node.name == name) found = &node;
  });
  return found;
}

const Attachment* Topology::find_link(std::string_view link) const {
  const Attachment* found = nullptr;
  each_node([&](const Node& node) {
    if (node.name == link && node.attachments.size() == 1) found = &node.attachments.front();
    for (const auto& attachment : node.attachments)
      if (attachment.link == link || networks[attachment.network].name + "-" + node.name == link)
        found = &attachment;
  });
  return found;
}

std::vector<std::string> Topology::link_names() const {
  std::vector<std::string> names;
  each_node([&](const Node& node) {
    for (const auto& attachment : node.attachments) names.push_back(attachment.link);
  });
  return names;
}

Result<Topology> parse_topology(const std::string& text, const std::string& title,
                                const std::string& folder, int first_line) {
  const auto documents = parse_yaml(text);
  std::vector<ErrorDetail> problems;
  for (const auto& problem : documents.problems)
    problems.push_back({place(title, problem.mark, first_line), problem.message, problem.hint});
  if (!problems.empty()) return std::unexpected(refused(title, std::move(problems)));
  if (documents.roots.size() != 1)
    return fail(Code::kInvalidArgument, fmt::format("{}: one document was expected, there are {}",
                                                    title, documents.roots.size()));
  const Source source{title, documents.roots.front(), first_line};
  const Json json = to_json(*source.root);
  if (const auto kind = cli::text_at(cli::at(json, "kind")); find_kind(kind))
    return fail(Code::kInvalidArgument,
                fmt::format("{} is no topology of a lab but a {}", title, kind),
                fmt::format("penstock apply -f {}", title));
  Topology topology;
  check_form(json, topology_schema(), "", problems);
  if (problems.empty()) topology = Builder(json, problems, folder).build();
  for (auto& problem : problems) {
    problem.field = fmt::format(
        "{}  {}", source.place(problem.field, problem.message == "unknown field"), problem.field);
  }
  if (!problems.empty()) return std::unexpected(refused(title, std::move(problems)));
  topology.source = source;
  topology.text = text;
  topology.folder = folder;
  return topology;
}

Result<Topology> read_topology(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_errno(errno, path);
  std::stringstream text;
  text << file.rdbuf();
  return parse_topology(text.str(), path, std::filesystem::absolute(path).parent_path());
}

}  // namespace penstock::lab
