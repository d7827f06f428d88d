// The form of a topology file. What a value means is judged in topology.cc.
#include "lab/form.h"
#include "lab/topology.h"

namespace penstock::lab {
namespace {

constexpr std::int64_t kMostNodes = 1'000;
constexpr std::int64_t kMostVms = 100'000;

// 10.0.0.0/24, or as in a VirtualNetwork: {cidr: 10.0.0.0/24, gateway: 10.0.0.1}.
Json subnet_form() {
  Json form = object_of({{"cidr", text_form("IPv4 or IPv6 prefix")},
                         {"gateway", text_form("an address that the switch answers for")},
                         {"dns", list_of(text_form())}},
                        {"cidr"});
  form["type"] = {"string", "object"};
  form["description"] = "IPv4 or IPv6 prefix, or a mapping as in a VirtualNetwork";
  return form;
}

Json tenant_form() {
  const Json vm = object_of({{"name", stem_form()},
                             {"count", number_form(1, kMostVms)},
                             {"network", text_form("a virtual network of this tenant")},
                             {"host", text_form("the host to run on; else the server chooses")},
                             {"labels", {{"type", "object"}}},
                             {"dhcp", flag_form()},
                             {"stopped", flag_form()}},
                            {"name", "network"});
  const Json network = object_of({{"name", name_form()},
                                  {"subnets", list_of(subnet_form())},
                                  {"switch", text_form("the hosts' switch; else their first")}},
                                 {"name", "subnets"});
  return object_of({{"name", name_form()}, {"networks", list_of(network)}, {"vms", list_of(vm)}});
}

// Remote systems and devices: namespaces that the user scripts.
Json system_form(bool device) {
  Json properties = {
      {"name", name_form()},
      {"network", text_form("a physical network; the first one when there is none")},
      {"networks", list_of(text_form())},
      {"prefixes", list_of(text_form("addresses behind it: routers send them there"))},
      {"commands", list_of(text_form("run inside, one after the other, when the lab starts"))},
      {"run", text_form("a command that stays, started after those")}};
  if (device) {
    properties["behind"] = text_form("a host: the device hangs on an interface of its own there");
    properties["interface"] = text_form("the host's end of that cable; else the device's name");
  }
  return object_of(std::move(properties));
}

Json link_form() {
  Json properties = {{"link", text_form("NODE-NETWORK, or NODE when it has one link")},
                     {"direction",
                      {{"type", "string"},
                       {"enum", {"both", "in", "out"}},
                       {"description", "seen from the node; both when it is not there"}}}};
  for (const auto& field : impairment_fields()) {
    properties[field.word] = {{"type", {"string", "integer"}},
                              {"description", field.meaning},
                              {"examples", Json::array({field.example})}};
  }
  return object_of(std::move(properties), {"link"});
}

}  // namespace

Json topology_schema() {
  const Json network = object_of({{"name", name_form()},
                                  {"subnet", text_form("IPv4 or IPv6 prefix")},
                                  {"mtu", number_form(1280, 65000)}},
                                 {"name", "subnet"});
  Json router_networks = list_of(text_form());
  router_networks["minItems"] = 2;
  const Json router = object_of({{"name", name_form()},
                                 {"networks", std::move(router_networks)},
                                 {"commands", list_of(text_form())}},
                                {"name", "networks"});
  const Json uplink = object_of(
      {{"network", text_form()},
       {"switch", text_form("its virtual switch; else \"default\", then the network's name")}},
      {"network"});
  const Json host = object_of({{"name", stem_form()},
                               {"count", number_form(1, kMostNodes)},
                               {"network", text_form("of its one uplink")},
                               {"uplinks", list_of(uplink)},
                               {"cluster", text_form()},
                               {"commands", list_of(text_form())}});
  Json networks = list_of(network);
  networks["minItems"] = 1;
  Json schema = object_of({{"kind", {{"type", "string"}, {"const", "Lab"}}},
                           {"name", name_form()},
                           {"mtu", number_form(1280, 65000)},
                           {"networks", std::move(networks)},
                           {"routers", list_of(router)},
                           {"server", object_of({{"network", text_form()}}, {})},
                           {"hosts", list_of(host)},
                           {"remotes", list_of(system_form(false))},
                           {"devices", list_of(system_form(true))},
                           {"links", list_of(link_form())},
                           {"tunables", list_of(text_form())},
                           {"tenants", list_of(tenant_form())},
                           {"objects", list_of({{"type", "object"}})},
                           {"objectFiles", list_of(text_form())}},
                          {"name", "networks", "hosts"});
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Penstock lab";
  return schema;
}

}  // namespace penstock::lab
