// What the agent itself takes for one enablement: from the server's message to the acknowledgement,
// on the simulated kernel, whose calls cost next to nothing. JSON lines {name, value, unit}.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "host/sim/host_world.h"
#include "host/sim/items.h"

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
  return world.agent().reconciler().troubles().empty() ? 0 : 1;
}
