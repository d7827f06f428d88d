#include "lab/objects.h"

#include <string>

namespace penstock::lab {
namespace {

using cli::Json;

Json object(const char* kind, const std::string& tenant, const std::string& name, Json spec) {
  Json metadata = {{"name", name}};
  if (!tenant.empty()) metadata["tenant"] = tenant;
  return {{"kind", kind}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

Json network_object(const std::string& tenant, const Json& entry) {
  Json subnets = Json::array();
  for (const auto& cidr : entry.value("subnets", Json::array()))
    subnets.push_back({{"cidr", cidr}});
  Json spec = {{"subnets", std::move(subnets)}};
  if (entry.contains("switch")) spec["virtualSwitch"] = entry.at("switch");
  return object("VirtualNetwork", tenant, entry.value("name", ""), std::move(spec));
}

void add_vms(const std::string& tenant, const Json& entry, std::vector<Json>& into) {
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
    into.push_back(std::move(vm));
  }
}

}  // namespace

std::vector<Json> objects_of(const Json& file) {
  std::vector<Json> objects;
  for (const auto& tenant : file.value("tenants", Json::array())) {
    const auto name = tenant.value("name", "");
    objects.push_back(object("Tenant", "", name, Json::object()));
    for (const auto& network : tenant.value("networks", Json::array()))
      objects.push_back(network_object(name, network));
    for (const auto& vm : tenant.value("vms", Json::array())) add_vms(name, vm, objects);
  }
  for (const auto& written : file.value("objects", Json::array())) objects.push_back(written);
  return objects;
}

}  // namespace penstock::lab
