#include "model/testing/world.h"

#include "model/json.h"

namespace penstock::testing {

World::World(const StepKinds& kinds, std::uint64_t seed) : random_(seed) {
  context.user = "root";
  context.user_is_administrator = true;
  context.random = [this] { return random_.next(); };
  context.now = WallTime{std::chrono::seconds(1'900'000'000)};
  context.step_kinds = &kinds;
}

void World::take(std::vector<Edit> edits) {
  edits_ = std::move(edits);
  before_ = now_;
  now_ = now_.with(edits_, now_.revision() + 1);
}

Result<Admission> World::put(const Message& object) {
  auto admission = PENSTOCK_TRY(admit(now_, object, context));
  if (admission.changed) take(admission.edits);
  return admission;
}

Status World::put(std::string_view documents) {
  constexpr std::string_view kLine = "\n---\n";
  while (!documents.empty()) {
    const auto end = documents.find(kLine);
    const auto json = PENSTOCK_TRY(parse_json(documents.substr(0, end)));
    const auto object = PENSTOCK_TRY(decode_object(json));
    if (auto done = put(*object); !done) return std::unexpected(std::move(done).error());
    documents = end == documents.npos ? "" : documents.substr(end + kLine.size());
  }
  return {};
}

Status World::erase(const ObjectKey& key, bool cascade) {
  take(PENSTOCK_TRY(deletion(now_, key, cascade)));
  return {};
}

std::string_view figure1() {
  return R"({"kind": "Cluster", "metadata": {"name": "blue"}}
---
{"kind": "Host", "metadata": {"name": "h1"}, "spec": {"cluster": "blue", "uplinks": [{"name": "uplink0", "device": "eth0", "address": "192.0.2.11", "physicalNetwork": "west"}]}}
---
{"kind": "Host", "metadata": {"name": "h2"}, "spec": {"cluster": "blue", "uplinks": [{"name": "uplink0", "device": "eth0", "address": "198.51.100.12", "physicalNetwork": "east"}]}}
---
{"kind": "Tenant", "metadata": {"name": "acme"}}
---
{"kind": "Tenant", "metadata": {"name": "globex"}}
---
{"kind": "VirtualNetwork", "metadata": {"tenant": "acme", "name": "net-blue"}, "spec": {"subnets": [{"cidr": "10.0.1.0/24", "gateway": "10.0.1.1", "dns": ["10.0.1.1"]}, {"cidr": "fd00:1::/64", "gateway": "fd00:1::1"}]}}
---
{"kind": "VirtualNetwork", "metadata": {"tenant": "globex", "name": "net-red"}, "spec": {"vni": 700, "subnets": [{"cidr": "10.0.1.0/24", "gateway": "10.0.1.1"}]}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "web-1", "labels": {"role": "web"}}, "spec": {"nics": [{"name": "eth0", "network": "net-blue"}], "placement": {"host": "h1"}}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "web-2", "labels": {"role": "web"}}, "spec": {"nics": [{"name": "eth0", "network": "net-blue", "addressMode": "DHCP"}], "placement": {"host": "h2"}}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "db-1", "labels": {"role": "db"}}, "spec": {"nics": [{"name": "eth0", "network": "net-blue", "addresses": ["10.0.1.50"], "mac": "02:AA:00:00:00:01"}], "placement": {"host": "h1"}}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "acme", "name": "spare"}, "spec": {"nics": [{"name": "eth0", "network": "net-blue"}], "power": "STOPPED"}}
---
{"kind": "VirtualMachine", "metadata": {"tenant": "globex", "name": "app-1"}, "spec": {"nics": [{"name": "eth0", "network": "net-red"}], "placement": {"cluster": "blue"}}}
---
{"kind": "VmPool", "metadata": {"tenant": "acme", "name": "web"}, "spec": {"selector": {"matchLabels": {"role": "web"}}}}
---
{"kind": "ServiceDefinition", "metadata": {"name": "firewall"}, "spec": {"vendor": "example", "serviceName": "Firewall", "version": "1.0",
 "levels": [{"name": "basic"}, {"name": "strict", "parameters": {"others": "10.0.0.0/8"}}],
 "parameters": {"type": "object", "properties": {
   "ports": {"type": "array", "items": {"type": "string", "format": "port-range"}, "minItems": 1, "default": ["80"]},
   "others": {"type": "string", "format": "cidr", "default": "0.0.0.0/0"},
   "tier": {"type": "string", "default": "db"}}},
 "filter": {"defaultIn": "DENY", "rules": [
   {"name": "web", "direction": "IN", "action": "ALLOW", "protocols": ["tcp"], "ports": ["${ports}"], "from": [{"cidr": "${others}"}], "to": [{"self": true}]},
   {"name": "to-db", "direction": "OUT", "action": "ALLOW", "protocols": ["tcp"], "ports": ["5432"], "to": [{"vms": {"matchLabels": {"role": "${tier}"}}}]},
   {"name": "inside", "action": "ALLOW", "from": [{"network": "net-blue"}], "to": [{"network": "net-blue"}]},
   {"name": "ping", "action": "ALLOW", "icmp": [{"type": 8}, {"type": 128, "v6": true}]},
   {"name": "no-ssh", "direction": "OUT", "action": "REJECT", "log": true, "protocols": ["tcp"], "ports": ["22"], "tcpFlags": {"mask": ["syn", "ack"], "set": ["syn"]}}]}}}
---
{"kind": "ServiceDefinition", "metadata": {"name": "guard"}, "spec": {"vendor": "example", "serviceName": "Guard", "version": "2",
 "levels": [{"name": "only"}], "filter": {"rules": [{"action": "DENY", "to": [{"cidr": "203.0.113.0/24"}]}]}}}
---
{"kind": "ServiceProfile", "metadata": {"name": "office-firewall"}, "spec": {"definition": "firewall", "parameters": {"ports": ["80", "8000-8080"]}, "availability": {"allow": {"tenants": ["acme"]}}, "published": true}}
---
{"kind": "ServiceProfile", "metadata": {"name": "base-guard"}, "spec": {"definition": "guard", "availability": {"everyone": true}, "published": true, "order": -1}})";
}

}  // namespace penstock::testing
