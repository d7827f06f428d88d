// What the agent itself takes for one enablement: from the server's message to the acknowledgement,
// on the simulated kernel, whose calls cost next to nothing. JSON lines {name, value, unit}.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace {

using namespace penstock;
using namespace penstock::host;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

}  // namespace

int main() {
  constexpr std::uint32_t kPorts = 1000, kNeighbors = 4000;
  Tunables tunables;
  tunables.reconcile_batch = 100'000;
  HostWorld world(1, tunables);
  if (!world.start()) return 1;
  world.run(1ms);
  std::vector<v1::IntentItem> things{items::network(7), items::firewall(1, 80)};
  for (std::uint32_t id = 1; id <= kPorts; ++id) {
    things.push_back(items::vm("vm" + std::to_string(id), {id}));
    things.push_back(items::port(id, "vm" + std::to_string(id), 7));
  }
  for (std::uint32_t id = 1; id <= kNeighbors; ++id)
    things.push_back(items::neighbor(10'000 + id, 7, "192.0.2." + std::to_string(1 + id % 100)));
  const auto message = items::full({"A", 1, 1}, things);
  auto start = Clock::now();
  world.server.say(message);
  world.run(1s);
  std::printf(
      "{\"name\": \"host.full_sync_ms.ports_1000_neighbors_4000\", \"value\": %.1f, \"unit\": "
      "\"ms\"}\n",
      us_since(start) / 1000);

  std::vector<double> single;
  std::int64_t revision = 1;
  for (std::uint32_t id = 1; id <= 500; ++id) {
    const auto delta = items::delta(revision, {"A", revision + 1, 1},
                                    {items::port(id, "vm" + std::to_string(id), 7, {1})});
    ++revision;
    start = Clock::now();
    world.server.say(delta);
    world.run(300us);
    single.push_back(us_since(start));
  }
  std::ranges::sort(single);
  std::printf("{\"name\": \"host.enable_us.p50\", \"value\": %.1f, \"unit\": \"us\"}\n",
              single[single.size() / 2]);
  std::printf("{\"name\": \"host.enable_us.p99\", \"value\": %.1f, \"unit\": \"us\"}\n",
              single[single.size() * 99 / 100]);

  std::vector<v1::IntentItem> all;
  for (std::uint32_t id = 1; id <= kPorts; ++id)
    all.push_back(
        items::port(id, "vm" + std::to_string(id), 7,
                    id > 500 ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{}));
  const auto delta = items::delta(revision, {"A", revision + 1, 1}, all);
  start = Clock::now();
  world.server.say(delta);
  world.run(300us);
  std::printf("{\"name\": \"host.change_1000_ports_ms\", \"value\": %.2f, \"unit\": \"ms\"}\n",
              us_since(start) / 1000);
  // A preview of the same ports as if another firewall went before, over a flow table that is full.
  const auto& table = world.agent().reconciler().ports().table();
  for (std::uint32_t i = 0; i < 262'144; ++i) {
    ps_flow_key key{};
    key.port_id = 501 + i % 500;
    std::memcpy(key.remote, &i, sizeof(i));
    key.local_port = 80;
    key.protocol = 6;
    key.family = 4;
    ps_flow flow{};
    flow.policy = table.port(*table.slot_of(PortId(key.port_id))).policy[PS_IN];
    flow.initiator = PS_IN;
    flow.state = PS_FLOW_ESTABLISHED;
    flow.flags = PS_FLOW_INSPECTED;
    flow.seen_ns = static_cast<std::uint64_t>(world.clock.now().since_start.count());
    if (!world.kernel.map_put(Map::kFlows, bytes_of(key), bytes_of(flow))) return 1;
  }
  v1::ServerMessage order;
  order.mutable_preview()->set_id(1);
  order.mutable_preview()->set_examples(5);
  *order.mutable_preview()->add_put() = items::firewall(2, 443);
  for (std::uint32_t id = 1; id <= kPorts; ++id)
    *order.mutable_preview()->add_put() = items::port(id, "vm" + std::to_string(id), 7, {1, 2});
  world.server.heard.clear();
  start = Clock::now();
  world.server.say(order);
  world.run(10ms);
  const auto took = us_since(start) / 1000;
  std::int64_t cut = 0;
  for (const auto& message : world.server.heard)
    if (message.has_preview()) cut = message.preview().cut();
  if (cut != 262'144) return 1;
  std::printf(
      "{\"name\": \"host.preview_1000_ports_262144_flows_ms\", \"value\": %.1f, \"unit\": "
      "\"ms\"}\n",
      took);
  return world.agent().reconciler().troubles().empty() ? 0 : 1;
}
