#include "lab/topology.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "model/yaml_tree.h"

namespace penstock::lab {
namespace {

constexpr std::int64_t kMostNodes = 1'000;
constexpr std::int64_t kMostVms = 100'000;

Json list_of(Json item) {
  return {{"type", "array"}, {"items", std::move(item)}};
}

Json object_of(Json properties, std::vector<std::string> required = {"name"}) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  schema["required"] = std::move(required);
  schema["properties"] = std::move(properties);
  return schema;
}

const Json kText = {{"type", "string"}};
const Json kName = {{"type", "string"}, {"pattern", "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"}};
// Of things that may be counted: a number follows, so it may end in '-'.
const Json kStem = {{"type", "string"}, {"pattern", "^[a-z0-9][a-z0-9-]{0,31}$"}};
Json number(std::int64_t low, std::int64_t high) {
  return {{"type", "integer"}, {"minimum", low}, {"maximum", high}};
}

bool is_name(const std::string& text, bool stem) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 32 && plain(text.front()) &&
         (stem || plain(text.back())) &&
         std::ranges::all_of(text, [&](char c) { return plain(c) || c == '-'; });
}

// Walks the file by its own schema, so that the schema and the check cannot differ.
class Checker {
 public:
  explicit Checker(std::vector<ErrorDetail>& problems) : problems_(problems) {}

  void check(const Json& value, const Json& schema, const std::string& path) {
    const auto type = schema.value("type", "");
    if (type == "object") return object(value, schema, path);
    if (type == "array") {
      if (!value.is_array()) return bad(path, "a list was expected");
      for (std::size_t i = 0; i < value.size(); ++i)
        check(value[i], schema.at("items"), fmt::format("{}[{}]", path, i));
    } else if (type == "integer") {
      if (!value.is_number_integer()) return bad(path, "a whole number was expected");
      const auto low = schema.value("minimum", std::int64_t{0}),
                 high = schema.value("maximum", std::int64_t{0});
      const auto given = value.get<std::int64_t>();
      if (given < low || given > high)
        bad(path, fmt::format("{} is not in {} to {}", given, low, high));
    } else if (type == "string") {
      if (!value.is_string()) return bad(path, "text was expected", "put it in quotes");
      if (schema.contains("pattern") && !is_name(value.get<std::string>(), schema == kStem))
        bad(path, fmt::format("\"{}\" is not a name", value.get<std::string>()),
            "lower-case letters, digits and '-', at most 32");
    }
  }

  void bad(const std::string& path, std::string message, std::string hint = {}) {
    problems_.push_back({path, std::move(message), std::move(hint)});
  }

 private:
  void object(const Json& value, const Json& schema, const std::string& path) {
    if (!value.is_object()) return bad(path, "a mapping was expected");
    const auto inside = [&](const std::string& key) {
      return path.empty() ? key : path + "." + key;
    };
    if (schema.contains("properties")) {
      const auto& known = schema.at("properties");
      for (const auto& [key, member] : value.items()) {
        if (known.contains(key)) {
          check(member, known.at(key), inside(key));
        } else {
          std::string all;
          for (const auto& [name, unused] : known.items()) all += (all.empty() ? "" : ", ") + name;
          bad(inside(key), "unknown field", "known here: " + all);
        }
      }
    }
    for (const auto& required : schema.value("required", std::vector<std::string>{}))
      if (!value.contains(required)) bad(inside(required), "is missing");
  }

  std::vector<ErrorDetail>& problems_;
};

class Builder {
 public:
  Builder(const Json& file, std::vector<ErrorDetail>& problems, std::filesystem::path folder)
      : file_(file), checker_(problems), folder_(std::move(folder)) {}

  Topology build() {
    topology_.name = file_.value("name", "");
    topology_.mtu = static_cast<int>(file_.value("mtu", 1500));
    networks();
    server();
    nodes("hosts", topology_.hosts);
    nodes("remotes", topology_.remotes);
    for (const auto& text : file_.value("tunables", std::vector<std::string>{}))
      topology_.tunables.push_back(text);
    for (const auto& name : file_.value("objectFiles", std::vector<std::string>{})) {
      const auto path = (folder_ / name).lexically_normal();
      if (!std::filesystem::exists(path))
        checker_.bad("objectFiles", path.string() + " does not exist");
      topology_.object_files.push_back(path.string());
    }
    tenants();
    if (file_.contains("objects"))
      for (const auto& object : file_.at("objects")) topology_.objects.push_back(object);
    return std::move(topology_);
  }

 private:
  void networks() {
    for (std::size_t i = 0; i < file_.at("networks").size(); ++i) {
      const auto& entry = file_.at("networks")[i];
      const auto path = fmt::format("networks[{}]", i);
      const auto subnet = IpPrefix::parse(entry.value("subnet", ""));
      if (!subnet) {
        checker_.bad(path + ".subnet", subnet.error().message, subnet.error().hint);
        continue;
      }
      for (const auto& other : topology_.networks) {
        if (other.subnet.overlaps(*subnet))
          checker_.bad(path + ".subnet", "overlaps with that of " + other.name);
        if (other.name == entry.value("name", "")) checker_.bad(path + ".name", "is there twice");
      }
      topology_.networks.push_back({entry.value("name", ""), *subnet});
      next_address_.push_back(2);
    }
  }

  void server() {
    const auto entry = file_.contains("server") ? file_.at("server") : Json::object();
    topology_.server.name = kServerNode;
    place(topology_.server, entry, "server");
  }

  void nodes(const char* list, std::vector<Node>& into) {
    if (!file_.contains(list)) return;
    for (std::size_t i = 0; i < file_.at(list).size(); ++i) {
      const auto& entry = file_.at(list)[i];
      const auto path = fmt::format("{}[{}]", list, i);
      const auto count = entry.value("count", std::int64_t{1});
      for (std::int64_t n = 1; n <= count; ++n) {
        Node node;
        node.name = entry.value("name", "");
        if (entry.contains("count")) node.name += std::to_string(n);
        node.cluster = entry.value("cluster", "");
        node.run = entry.value("run", "");
        if (node.name == kRouterNode || node.name == kServerNode ||
            !names_.insert(node.name).second)
          checker_.bad(path + ".name", fmt::format("\"{}\" is taken", node.name));
        place(node, entry, path);
        into.push_back(std::move(node));
      }
    }
  }

  void place(Node& node, const Json& entry, const std::string& path) {
    if (topology_.networks.empty()) return;
    const auto wanted = entry.value("network", topology_.networks.front().name);
    const auto found = std::ranges::find(topology_.networks, wanted, &PhysicalNetwork::name);
    if (found == topology_.networks.end())
      return checker_.bad(path + ".network",
                          fmt::format("there is no physical network \"{}\"", wanted));
    node.network = static_cast<std::size_t>(found - topology_.networks.begin());
    node.address = found->subnet.address.plus(next_address_[node.network]++);
    if (!found->subnet.contains(node.address) || node.address == found->subnet.last())
      checker_.bad(path,
                   fmt::format("{} has no address left for {}", found->subnet.text(), node.name));
  }

  static Json object(const char* kind, const std::string& tenant, const std::string& name,
                     Json spec) {
    Json metadata = {{"name", name}};
    if (!tenant.empty()) metadata["tenant"] = tenant;
    return {{"kind", kind}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
  }

  // The short form of tenants, virtual networks and VMs becomes plain objects; the server judges
  // those.
  void tenants() {
    if (!file_.contains("tenants")) return;
    for (const auto& tenant : file_.at("tenants")) {
      const auto name = tenant.value("name", "");
      topology_.objects.push_back(object("Tenant", "", name, Json::object()));
      for (const auto& network : tenant.value("networks", Json::array())) {
        Json subnets = Json::array();
        for (const auto& cidr : network.value("subnets", Json::array()))
          subnets.push_back({{"cidr", cidr}});
        topology_.objects.push_back(object("VirtualNetwork", name, network.value("name", ""),
                                           {{"subnets", std::move(subnets)}}));
      }
      for (const auto& vm : tenant.value("vms", Json::array())) vms(name, vm);
    }
  }

  void vms(const std::string& tenant, const Json& entry) {
    const auto count = entry.value("count", std::int64_t{1});
    for (std::int64_t n = 1; n <= count; ++n) {
      auto name = entry.value("name", "");
      if (entry.contains("count")) name += std::to_string(n);
      Json nic = {{"name", "eth0"}, {"network", entry.value("network", "")}};
      if (entry.value("dhcp", false)) nic["addressMode"] = "DHCP";
      Json spec = {{"nics", Json::array({nic})}};
      if (entry.contains("host")) spec["placement"] = {{"host", entry.at("host")}};
      if (entry.value("stopped", false)) spec["power"] = "STOPPED";
      auto vm = object("VirtualMachine", tenant, name, std::move(spec));
      if (entry.contains("labels")) vm["metadata"]["labels"] = entry.at("labels");
      topology_.objects.push_back(std::move(vm));
    }
  }

  const Json& file_;
  Checker checker_;
  std::filesystem::path folder_;
  Topology topology_;
  std::vector<std::uint64_t> next_address_;
  std::set<std::string> names_;
};

Error refused(const std::string& path, const YamlNode* root,
              const std::vector<ErrorDetail>& problems) {
  Error error{Code::kInvalidArgument,
              fmt::format("{}: {} problem{}; nothing was started", path, problems.size(),
                          problems.size() == 1 ? "" : "s"),
              {},
              {}};
  for (auto problem : problems) {
    if (root) {
      const auto found = locate(*root, problem.field);
      problem.field =
          fmt::format("{}:{}:{}  {}", path, found.value.line, found.value.column, problem.field);
    }
    error.details.push_back(std::move(problem));
  }
  return error;
}

}  // namespace

Json topology_schema() {
  const Json strings = list_of(kText);
  const Json vm = object_of({{"name", kStem},
                             {"count", number(1, kMostVms)},
                             {"network", kText},
                             {"host", kText},
                             {"labels", {{"type", "object"}}},
                             {"dhcp", {{"type", "boolean"}}},
                             {"stopped", {{"type", "boolean"}}}},
                            {"name", "network"});
  const Json network = object_of({{"name", kName}, {"subnets", strings}}, {"name", "subnets"});
  const Json tenant =
      object_of({{"name", kName}, {"networks", list_of(network)}, {"vms", list_of(vm)}});
  const Json host = object_of(
      {{"name", kStem}, {"count", number(1, kMostNodes)}, {"network", kText}, {"cluster", kText}});
  const Json remote = object_of({{"name", kName}, {"network", kText}, {"run", kText}});
  Json schema = object_of(
      {{"kind", {{"type", "string"}, {"const", "Lab"}}},
       {"name", kName},
       {"mtu", number(1280, 65000)},
       {"networks", list_of(object_of({{"name", kName}, {"subnet", kText}}, {"name", "subnet"}))},
       {"server", object_of({{"network", kText}}, {})},
       {"hosts", list_of(host)},
       {"remotes", list_of(remote)},
       {"tunables", strings},
       {"tenants", list_of(tenant)},
       {"objects", list_of({{"type", "object"}})},
       {"objectFiles", strings}},
      {"name", "networks", "hosts"});
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Penstock lab";
  return schema;
}

Result<Topology> read_topology(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_errno(errno, path);
  std::stringstream text;
  text << file.rdbuf();
  const auto documents = parse_yaml(text.str());
  std::vector<ErrorDetail> problems;
  for (const auto& problem : documents.problems)
    problems.push_back({fmt::format("{}:{}:{}", path, problem.mark.line, problem.mark.column),
                        problem.message, problem.hint});
  if (!problems.empty()) return std::unexpected(refused(path, nullptr, problems));
  if (documents.roots.size() != 1)
    return fail(Code::kInvalidArgument, fmt::format("{}: one document was expected, there are {}",
                                                    path, documents.roots.size()));
  const auto& root = *documents.roots.front();
  const Json json = to_json(root);
  Checker(problems).check(json, topology_schema(), "");
  if (!problems.empty()) return std::unexpected(refused(path, &root, problems));
  auto topology = Builder(json, problems, std::filesystem::absolute(path).parent_path()).build();
  if (!problems.empty()) return std::unexpected(refused(path, &root, problems));
  return topology;
}

}  // namespace penstock::lab
