#include "lab/objects.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "lab/topology.h"

namespace penstock::lab {
namespace {

using cli::Json;
using cli::text_at;

constexpr int kVxlanPort = 4789;

// A switch has one UDP port in the whole lab: hosts find each other by it.
int vxlan_port(const Topology& topology, const std::string& name) {
  std::vector<std::string> seen;
  for (const auto& host : topology.hosts)
    for (const auto& at : host.attachments)
      if (std::ranges::find(seen, at.virtual_switch) == seen.end())
        seen.push_back(at.virtual_switch);
  const auto found = std::ranges::find(seen, name);
  return kVxlanPort + static_cast<int>(found - seen.begin());
}

Json host_object(const Topology& topology, const Node& host) {
  Json uplinks = Json::array(), switches = Json::array();
  for (const auto& at : host.attachments) {
    const auto name = fmt::format("uplink{}", uplinks.size());
    uplinks.push_back({{"name", name},
                       {"device", at.device},
                       {"address", at.address.text()},
                       {"physicalNetwork", topology.networks[at.network].name}});
    switches.push_back({{"name", at.virtual_switch},
                        {"uplink", name},
                        {"vxlanPort", vxlan_port(topology, at.virtual_switch)}});
  }
  Json spec = {{"uplinks", std::move(uplinks)}};
  // One switch "default" is what a host has anyway.
  if (switches.size() > 1 || host.attachments.front().virtual_switch != "default")
    spec["switches"] = std::move(switches);
  if (!host.cluster.empty()) spec["cluster"] = host.cluster;
  return {{"kind", "Host"}, {"metadata", {{"name", host.name}}}, {"spec", std::move(spec)}};
}

Json object(const char* kind, const std::string& tenant, const std::string& name, Json spec) {
  Json metadata = {{"name", name}};
  if (!tenant.empty()) metadata["tenant"] = tenant;
  return {{"kind", kind}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

Json network_object(const std::string& tenant, const Json& entry) {
  Json subnets = Json::array();
  for (const auto& subnet : entry.value("subnets", Json::array()))
    subnets.push_back(subnet.is_string() ? Json::object({{"cidr", subnet}}) : subnet);
  Json spec = {{"subnets", std::move(subnets)}};
  if (entry.contains("switch")) spec["virtualSwitch"] = entry.at("switch");
  return object("VirtualNetwork", tenant, entry.value("name", ""), std::move(spec));
}

void add_vms(const std::string& tenant, const Json& entry, const std::string& path,
             std::vector<FileObject>& into) {
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
    into.push_back({std::move(vm), path});
  }
}

// A field of an object as the short form has it.
std::string field_in_file(const std::string& path, const std::string& field) {
  if (path.starts_with("objects[")) return field.empty() ? path : path + "." + field;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kShort{{
      {"metadata.name", "name"},
      {"metadata.labels", "labels"},
      {"metadata.tenant", "name"},
      {"spec.nics[0].network", "network"},
      {"spec.nics[0].addressMode", "dhcp"},
      {"spec.placement.host", "host"},
      {"spec.power", "stopped"},
      {"spec.virtualSwitch", "switch"},
      {"spec.subnets", "subnets"},
  }};
  for (const auto& [of_object, of_file] : kShort)
    if (field.starts_with(of_object))
      return fmt::format("{}.{}{}", path, of_file, field.substr(of_object.size()));
  return path;
}

}  // namespace

std::vector<FileObject> objects_of(const Json& file) {
  std::vector<FileObject> objects;
  const auto each = [](const Json& from, const char* key, const std::string& path, auto&& f) {
    const auto list = from.value(key, Json::array());
    for (std::size_t i = 0; i < list.size(); ++i) f(list[i], fmt::format("{}{}[{}]", path, key, i));
  };
  each(file, "tenants", "", [&](const Json& tenant, const std::string& at) {
    const auto name = tenant.value("name", "");
    objects.push_back({object("Tenant", "", name, Json::object()), at});
    each(tenant, "networks", at + ".", [&](const Json& network, const std::string& path) {
      objects.push_back({network_object(name, network), path});
    });
    each(tenant, "vms", at + ".",
         [&](const Json& vm, const std::string& path) { add_vms(name, vm, path, objects); });
  });
  each(file, "objects", "", [&](const Json& written, const std::string& path) {
    objects.push_back({written, path});
  });
  return objects;
}

std::vector<Json> host_objects(const Topology& topology) {
  std::vector<Json> objects;
  std::vector<std::string> clusters;
  for (const auto& host : topology.hosts) {
    if (host.cluster.empty() || std::ranges::find(clusters, host.cluster) != clusters.end())
      continue;
    clusters.push_back(host.cluster);
    objects.push_back(object("Cluster", "", host.cluster, Json::object()));
  }
  for (const auto& host : topology.hosts) objects.push_back(host_object(topology, host));
  return objects;
}

std::vector<Wanted> wanted_of(const cli::Documents& documents) {
  std::vector<Wanted> wanted;
  for (const auto& document : documents.all)
    wanted.push_back({document.object, [document](const ErrorDetail& detail) {
                        return ErrorDetail{
                            fmt::format("{}  {}{}{}", document.place_of(detail), document.title(),
                                        detail.field.empty() ? "" : "  ", detail.field),
                            detail.message, detail.hint};
                      }});
  return wanted;
}

Result<std::vector<Wanted>> wanted_objects(const Topology& topology) {
  std::vector<Wanted> wanted;
  for (std::size_t i = 0; i < topology.objects.size(); ++i)
    wanted.push_back({topology.objects[i], [&topology, i](const ErrorDetail& detail) {
                        const auto field = field_in_file(topology.object_paths[i], detail.field);
                        const cli::Document document{{}, {}, topology.objects[i]};
                        return ErrorDetail{
                            fmt::format("{}  {}  {}",
                                        topology.source.place(
                                            field, detail.message.starts_with("unknown field")),
                                        document.title(), field),
                            detail.message, detail.hint};
                      }});
  const auto documents =
      PENSTOCK_TRY(cli::load_documents(topology.object_files, false, cli::process_io(), ""));
  if (!documents.problems.empty())
    return fail(Code::kInvalidArgument, fmt::format("{}", fmt::join(documents.problems, "\n")));
  for (auto& object : wanted_of(documents)) wanted.push_back(std::move(object));
  return wanted;
}

}  // namespace penstock::lab
