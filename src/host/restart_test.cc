// What a crash, a restart, a reboot or a lost file must not change; and that any history ends where
// a fresh start ends.
#include <gtest/gtest.h>

#include "host/inspect.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

std::vector<v1::IntentItem> protected_world() {
  return {items::overlay("vs0", "up0", "192.0.2.1"),
          items::network(7),
          items::group(3, {{7, "10.7.0.9"}}),
          items::firewall(1, 80),
          items::firewall(2, 443, 3),
          items::vm("web", {5}),
          items::vm("db", {6}),
          items::port(5, "web", 7, {1}),
          items::port(6, "db", 7, {1, 2}),
          items::neighbor(90, 7, "192.0.2.2")};
}

struct RestartTest : testing::Test {
  HostWorld world;
  void bring_up() {
    ASSERT_TRUE(world.start());
    world.run(1ms);
    world.server.say(items::full({"A", 1, 1}, protected_world()));
    world.run(3s);
    ASSERT_TRUE(world.agent().reconciler().troubles().empty());
  }
  Bytes memory() {
    const auto ports = world.kernel.ports();
    return Bytes(ports.begin(), ports.end());
  }
};

TEST_F(RestartTest, UnchangedIntentTouchesNothing) {
  bring_up();
  const auto before = canonical_state(world.kernel).value();
  const auto ports = memory();
  const auto calls = world.kernel.calls;
  world.server.reachable = false;
  world.crash();
  ASSERT_TRUE(world.start());
  world.run(20s);
  EXPECT_TRUE(world.agent().reconciler().troubles().empty());
  EXPECT_EQ(memory(), ports)
      << "slots, lines and generations are what they were: no flow is judged again";
  EXPECT_EQ(world.kernel.calls.writes, calls.writes);
  EXPECT_EQ(world.kernel.calls.attaches, calls.attaches);
  EXPECT_EQ(world.machines.made, 2) << "the guests ran on";
  EXPECT_EQ(world.machines.removed, 0);
  EXPECT_EQ(canonical_state(world.kernel).value(), before);
}

TEST_F(RestartTest, ChangesWhileTheAgentWasAwayAreTheOnlyOnesMade) {
  bring_up();
  const auto before = inspect(world.kernel).value();
  world.crash();
  world.server.on_message = [&](const v1::HostMessage& message) {
    if (!message.has_hello()) return;
    auto things = protected_world();
    things[7] = items::port(5, "web", 7, {1, 2});
    world.server.say(items::full({"A", 2, 1}, things));
  };
  ASSERT_TRUE(world.start());
  world.run(3s);
  const auto after = inspect(world.kernel).value();
  EXPECT_EQ(after.at(PortId(6)).direction[0].generation,
            before.at(PortId(6)).direction[0].generation);
  EXPECT_GT(after.at(PortId(5)).direction[0].generation,
            before.at(PortId(5)).direction[0].generation);
  EXPECT_EQ(after.at(PortId(5)).policies(0), (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(RestartTest, WhatWasRemovedMeanwhileGoes) {
  bring_up();
  world.crash();
  world.server.on_message = [&](const v1::HostMessage& message) {
    if (message.has_hello()) world.server.say(items::full({"A", 2, 1}, {items::network(7)}));
  };
  ASSERT_TRUE(world.start());
  world.run(3s);
  EXPECT_TRUE(world.machines.machines.empty());
  EXPECT_TRUE(inspect(world.kernel).value().empty());
  EXPECT_EQ(world.kernel.map_dump(Map::kEndpoints)->size(), 1u) << "the gateway";
  EXPECT_TRUE(world.kernel.map_dump(Map::kPortSlots)->empty());
  EXPECT_TRUE(world.kernel.map_dump(Map::kGroups)->empty());
  EXPECT_TRUE(world.kernel.map_dump(Map::kFlood)->empty());
}

TEST_F(RestartTest, AnOldFileUndoesNothing) {
  bring_up();
  auto newer = items::delta(1, {"A", 2, 1}, {items::port(5, "web", 7, {1, 2})});
  world.server.say(newer);
  world.run(10ms);
  ASSERT_EQ(inspect(world.kernel)->at(PortId(5)).policies(0).size(), 2u);
  world.server.reachable = false;
  world.crash();  // before the file was written
  ASSERT_TRUE(world.start());
  world.run(20s);
  EXPECT_TRUE(world.agent().holding());
  EXPECT_EQ(inspect(world.kernel)->at(PortId(5)).policies(0).size(), 2u)
      << "an agent that knows less must not open a port";
  world.server.on_message = [&](const v1::HostMessage& message) {
    if (!message.has_hello()) return;
    if (world.agent().holding()) {
      EXPECT_EQ(message.hello().digest(), "");
    }
    auto things = protected_world();
    things[7] = items::port(5, "web", 7, {1, 2});
    world.server.say(items::full({"A", 3, 2}, things));
  };
  world.server.reachable = true;
  world.run(20s);
  EXPECT_FALSE(world.agent().holding());
  EXPECT_EQ(world.last_ack()->position().revision(), 3);
}

TEST_F(RestartTest, AfterARebootTheFileIsEnough) {
  bring_up();
  const auto before = canonical_state(world.kernel).value();
  world.server.reachable = false;
  world.crash();
  world.kernel.reboot();
  world.machines.reboot();
  ASSERT_TRUE(world.start());
  world.run(3s);
  EXPECT_EQ(canonical_state(world.kernel).value(), before);
}

TEST_F(RestartTest, ADamagedFileAndNoServerLeaveTheDataPathAlone) {
  bring_up();
  const auto ports = memory();
  world.server.reachable = false;
  world.crash();
  world.disk.files["/state/intent"][100] ^= 1;
  ASSERT_TRUE(world.start());
  world.run(20s);
  EXPECT_EQ(memory(), ports);
  EXPECT_EQ(world.machines.machines.size(), 2u);
}

TEST_F(RestartTest, AFullDiskCostsNothingButTheFile) {
  world.disk.full = true;
  bring_up();
  EXPECT_FALSE(world.disk.files.contains("/state/intent"));
  world.disk.full = false;
  world.run(5s);
  EXPECT_TRUE(world.disk.files.contains("/state/intent"));
}

// ---------------------------------------------------------------- any history ends where a fresh
// start ends

struct Desired {
  std::map<std::string, v1::IntentItem> items;
  void put(v1::IntentItem item) {
    const auto key = item.key();
    items[key] = std::move(item);
  }
  std::vector<v1::IntentItem> all() const {
    std::vector<v1::IntentItem> out;
    for (const auto& [key, item] : items) out.push_back(item);
    return out;
  }
};

// One random edit that keeps references whole, as the server's compiler does.
void edit(Desired& desired, SimRandom& random) {
  const auto id = static_cast<std::uint32_t>(1 + random.below(6));
  const auto vni = static_cast<std::uint32_t>(7 + random.below(2));
  const auto name = "vm" + std::to_string(id);
  switch (random.below(7)) {
    case 0:
      desired.put(items::firewall(id, static_cast<std::uint32_t>(80 + random.below(4)),
                                  random.chance(0.5) ? 3 : 0));
      break;
    case 1:
      desired.put(items::group(3, random.chance(0.3)
                                      ? std::vector<std::pair<std::uint32_t, std::string>>{}
                                      : std::vector<std::pair<std::uint32_t, std::string>>{
                                            {7, "10.7.0." + std::to_string(random.below(4))}}));
      break;
    case 2:
    case 3: {
      std::vector<std::uint64_t> policies;
      for (std::uint64_t policy = 1; policy <= 6; ++policy)
        if (desired.items.contains(policy_key(policy)) &&
            (random.chance(0.3) || (id == 1 && policy == 1)))
          policies.push_back(policy);
      desired.put(items::vm(name, {id}, random.chance(0.9)));
      desired.put(items::port(id, name, vni, policies));
      desired.items.erase("70/nbr/7/" + std::to_string(id));
      desired.items.erase("70/nbr/8/" + std::to_string(id));
      break;
    }
    case 4:
      desired.items.erase(port_key(id));
      desired.items.erase(instance_key("acme", name));
      if (random.chance(0.7))
        desired.put(items::neighbor(id, vni, "192.0.2." + std::to_string(2 + random.below(3))));
      break;
    case 5: {
      bool used = id == 1;
      for (const auto& [key, item] : desired.items)
        for (const auto& step : item.port().steps()) used = used || step.policy() == id;
      if (!used) desired.items.erase(policy_key(id));
      break;
    }
    default:
      if (random.chance(0.5))
        desired.put(items::overlay("vs0", "up0", "192.0.2.1"));
      else
        desired.items.erase(switch_key("vs0"));
  }
}

class Convergence : public testing::TestWithParam<int> {};

TEST_P(Convergence, RandomHistoryEqualsAFreshSync) {
  const auto seed = static_cast<std::uint64_t>(GetParam());
  SimRandom random(seed * 977 + 5);
  Tunables tunables;
  tunables.policy_arena_kib = 256;
  tunables.ports_max = 16;
  tunables.reconcile_batch = static_cast<std::int64_t>(1 + random.below(8));
  tunables.intent_persist_ms = static_cast<std::int64_t>(1 + random.below(2000));
  HostWorld world(seed, tunables);
  Desired desired;
  desired.put(items::network(7));
  desired.put(items::network(8));
  desired.put(items::group(3, {}));
  desired.put(items::firewall(1, 80));
  Desired told = desired;
  std::int64_t revision = 1, told_revision = 1;
  bool in_sync = false;
  world.server.on_message = [&](const v1::HostMessage& message) {
    if (!message.has_hello()) return;
    told = desired;
    told_revision = revision;
    in_sync = true;
    world.server.say(items::full({"A", revision, 1}, desired.all()));
  };
  world.kernel.after_change = [&] {
    const auto ports = inspect(world.kernel).value();
    for (const auto& [id, port] : ports)
      for (const auto direction : {0, 1}) {
        ASSERT_EQ(port.direction[direction].damage, "") << "seed " << seed << " port " << id.value;
        // Port 1 is under policy 1 in every intent: it may not forward without it, at no instant.
        if (id != PortId(1) || !port.forwards()) continue;
        const auto have = port.policies(direction);
        ASSERT_NE(std::ranges::find(have, 1u), have.end()) << "seed " << seed;
      }
  };
  world.machines.after_change = world.kernel.after_change;
  ASSERT_TRUE(world.start());
  for (int round = 0; round < 40; ++round) {
    edit(desired, random);
    ++revision;
    if (random.chance(0.7) && in_sync) {
      v1::ServerMessage delta = items::delta(told_revision, {"A", revision, 1}, {}, {});
      for (const auto& [key, item] : desired.items)
        if (!told.items.contains(key) ||
            told.items[key].SerializeAsString() != item.SerializeAsString())
          *delta.mutable_delta()->add_put() = item;
      for (const auto& [key, item] : told.items)
        if (!desired.items.contains(key)) delta.mutable_delta()->add_remove(key);
      told = desired;
      told_revision = revision;
      world.server.say(delta);
    }
    if (random.chance(0.15)) {
      world.crash();
      in_sync = false;
      world.kernel.faults.calls_until_failure = -1;
      if (random.chance(0.2)) {
        world.kernel.reboot();
        world.machines.reboot();
      }
      ASSERT_TRUE(world.start());
    }
    if (random.chance(0.15))
      world.kernel.faults.calls_until_failure = static_cast<int>(random.below(20));
    if (random.chance(0.1)) world.kernel.faults.full.insert(Map::kEndpoints);
    if (random.chance(0.1))
      world.machines.broken.insert("acme/vm" + std::to_string(1 + random.below(6)));
    if (random.chance(0.1) && !world.machines.machines.empty())
      world.machines.kill(
          std::next(world.machines.machines.begin(),
                    static_cast<std::ptrdiff_t>(random.below(world.machines.machines.size())))
              ->first);
    if (random.chance(0.1)) world.server.hang_up();
    world.run(Duration(static_cast<std::int64_t>(random.below(40'000'000))));
    if (random.chance(0.5)) world.kernel.faults = {};
    if (random.chance(0.5)) world.machines.broken.clear();
  }
  world.kernel.faults = {};
  world.machines.broken.clear();
  world.server.hang_up();  // the next hello is answered with everything
  world.run(240s);
  EXPECT_TRUE(world.agent().reconciler().troubles().empty())
      << "seed " << seed << ": " << world.agent().reconciler().troubles().begin()->first << ' '
      << world.agent().reconciler().troubles().begin()->second.message;
  EXPECT_EQ(world.last_ack()->position().revision(), revision);

  HostWorld fresh(1, tunables);
  fresh.server.on_message = [&](const v1::HostMessage& message) {
    if (message.has_hello()) fresh.server.say(items::full({"A", revision, 1}, desired.all()));
  };
  ASSERT_TRUE(fresh.start());
  fresh.run(60s);
  EXPECT_EQ(canonical_state(world.kernel).value(), canonical_state(fresh.kernel).value())
      << "seed " << seed;
  std::vector<std::string> machines, fresh_machines;
  for (const auto& [id, machine] : world.machines.machines) machines.push_back(id);
  for (const auto& [id, machine] : fresh.machines.machines) fresh_machines.push_back(id);
  EXPECT_EQ(machines, fresh_machines);
  EXPECT_EQ(world.agent().reconciler().arena().lines_held(),
            fresh.agent().reconciler().arena().lines_held())
      << "policy memory does not leak";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Convergence, testing::Range(0, 60));

}  // namespace
}  // namespace penstock::host
