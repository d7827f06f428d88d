#include "server/sessions.h"

#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::FakeHost;
using testing::World;

HostIntent wanted(World& world, const std::string& host) {
  const auto kinds = standard_step_kinds();
  return Compiler(kinds).compile(world.server->engine().head(), host);
}

TEST(Sessions, FirstFullThenDeltas) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  ASSERT_FALSE(h1.received.empty());
  EXPECT_TRUE(h1.received[0].has_full());
  for (std::size_t i = 1; i < h1.received.size(); ++i) {
    if (h1.received[i].has_heartbeat()) continue;
    ASSERT_TRUE(h1.received[i].has_delta());
    EXPECT_EQ(h1.received[i].delta().previous_revision(), h1.received[i - 1].position().revision());
  }
  EXPECT_EQ(h1.holds, wanted(world, "h1"));
  const auto host = World::must(world.get("Host", "", "h1")).host();
  EXPECT_EQ(host.status().conditions(0).status(), v1::Condition::TRUE);
  EXPECT_EQ(host.status().applied_revision(), h1.position.revision());
}

TEST(Sessions, AnUplinkThatWorksAgainIsNoProblemAnyMore) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.uplink_problems["default"] = "there is no device up0";
  h1.leave();
  h1.connect();
  const auto ready = [&] {
    return World::must(world.get("Host", "", "h1")).host().status().conditions(0).status();
  };
  EXPECT_EQ(ready(), v1::Condition::FALSE) << "nothing is acknowledged";
  h1.fail("10/switch/default", "there is no device up0", 100);
  h1.ack();
  EXPECT_EQ(ready(), v1::Condition::FALSE);
  h1.not_ready.clear();
  h1.ack();
  EXPECT_EQ(ready(), v1::Condition::TRUE);
}

TEST(Sessions, AHostThatHoldsWhatItShouldGetsOnlyAPosition) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.leave();
  EXPECT_EQ(World::must(world.get("Host", "", "h1")).host().status().conditions(0).status(),
            v1::Condition::UNKNOWN);
  h1.received.clear();
  h1.connect();
  ASSERT_EQ(h1.received.size(), 1u);
  ASSERT_TRUE(h1.last().has_delta());
  EXPECT_EQ(h1.last().delta().put_size(), 0);
  world.hosts_answer();
  EXPECT_EQ(World::must(world.get("Host", "", "h1")).host().status().conditions(0).status(),
            v1::Condition::TRUE);
}

TEST(Sessions, AHostThatMissedSomethingGetsEverything) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.leave();
  World::must(world.enable("web-1"));
  h1.received.clear();
  h1.connect();
  ASSERT_EQ(h1.received.size(), 1u);
  EXPECT_TRUE(h1.last().has_full());
  EXPECT_EQ(h1.holds, wanted(world, "h1"));
}

TEST(Sessions, FewHostsAtATimeAreSentEverythingAndWhatTheyWaitForIsThere) {
  Tunables tunables;
  tunables.sessions_syncing_max = 2;
  World world(1, tunables);
  world.furnish();
  const auto names = {"h3", "h4", "h5", "h6"};
  for (const auto* name : names) {
    world.add_host(name).slow = true;
    world.add_vm(fmt::format("vm-{}", name), name);
  }
  for (const auto* name : names) world.hosts[name]->connect();
  const auto under_way = [&] {
    std::string out;
    for (const auto* name : names)
      if (world.hosts[name]->holds_back()) out += name;
    return out;
  };
  EXPECT_EQ(under_way(), "h3h4");
  // Changes while they wait are part of what they are sent; an ack of the past says nothing.
  World::must(world.enable("vm-h3"));
  World::must(world.enable("vm-h5"));
  world.hosts["h5"]->ack();
  EXPECT_EQ(World::must(world.get("Host", "", "h5")).host().status().conditions(0).reason(),
            "Starting");
  world.hosts["h3"]->take();
  EXPECT_EQ(under_way(), "h4h5");
  // A stream that ends makes room.
  world.hosts["h4"]->leave();
  EXPECT_EQ(under_way(), "h4h5h6") << "h4's is still in our hands, the others' under way";
  world.hosts["h5"]->take();
  world.hosts["h6"]->take();
  world.hosts["h4"]->connect();
  world.hosts["h4"]->take();
  world.hosts_answer();
  world.run_for(std::chrono::milliseconds(50));
  world.hosts_answer();
  for (const auto* name : names) {
    EXPECT_EQ(world.hosts[name]->holds, wanted(world, name)) << name;
    EXPECT_EQ(World::must(world.get("Host", "", name)).host().status().conditions(0).reason(),
              "Connected")
        << name;
  }
}

// The old session was gone and still the host's: the next change was sent to it.
TEST(Sessions, AHostThatComesBackAheadOfTheStoreHasNoSessionAnyMore) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.position.set_revision(h1.position.revision() + 1'000);
  h1.connect();  // its first stream was never closed
  EXPECT_EQ(World::must(world.get("Host", "", "h1")).host().status().conditions(0).reason(),
            "AheadOfStore");
  World::must(world.enable("web-1"));
  world.run_for(std::chrono::seconds(3));
  h1.position.Clear();
  h1.holds = {};
  h1.connect();
  world.hosts_answer();
  EXPECT_EQ(h1.holds, wanted(world, "h1"));
}

TEST(Sessions, TheyComeBackAfterACrashOfTheServer) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  const auto epoch = h1.position.epoch();
  world.crash();
  world.boot();
  EXPECT_EQ(World::must(world.get("VirtualMachine", "acme", "web-1"))
                .virtual_machine()
                .status()
                .conditions(0)
                .reason(),
            "HostAway");
  h1.received.clear();
  h1.connect();
  world.hosts_answer();
  EXPECT_TRUE(h1.received.at(0).has_delta());
  EXPECT_EQ(h1.position.epoch(), epoch + 1);
  EXPECT_EQ(
      World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine().status().state(),
      "running");
}

TEST(Sessions, ABurstIsGatheredBeyondTheWindow) {
  Tunables tunables;
  tunables.session_in_flight_max = 2;
  World world(1, tunables);
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  for (int i = 0; i < 6; ++i) world.add_vm(fmt::format("x{}", i), "h1");
  world.run_for(std::chrono::milliseconds(50));
  h1.auto_ack = false;
  h1.received.clear();
  for (int i = 0; i < 6; ++i) World::must(world.enable(fmt::format("x{}", i)));
  EXPECT_EQ(h1.received.size(), 2u);
  h1.ack();
  ASSERT_EQ(h1.received.size(), 3u);
  EXPECT_EQ(h1.last().delta().put_size(), 4);
  h1.ack();
  EXPECT_EQ(h1.holds, wanted(world, "h1"));
  const auto& view = *world.server->sessions().view("h1");
  EXPECT_EQ(view.applied_revision, world.server->engine().head().revision());
}

TEST(Sessions, WrongTokensAndForeignAcksAreRefused) {
  World world;
  world.furnish();
  FakeHost stranger(world.server->sessions(), "h1", "pst_wrong");
  stranger.connect();
  EXPECT_TRUE(stranger.last().has_refused());
  FakeHost with_users_token(world.server->sessions(), "h1", world.admin);
  with_users_token.connect();
  EXPECT_EQ(with_users_token.last().refused().code(), "permission_denied");
  EXPECT_TRUE(world.server->sessions().view("h1")->connected);  // the real one is not disturbed

  auto& h1 = *world.hosts["h1"];
  h1.position.set_revision(h1.position.revision() + 1000);
  h1.ack();
  EXPECT_TRUE(h1.last().has_refused());
  EXPECT_FALSE(world.server->sessions().view("h1")->connected);
}

TEST(Sessions, ARevokedTokenEndsTheSession) {
  World world;
  world.furnish();
  World::must(world.erase("Token", "", "h-h1"));
  world.run_for(std::chrono::seconds(2));
  EXPECT_FALSE(world.server->sessions().view("h1")->connected);
}

TEST(Sessions, ASilentHostIsLost) {
  World world;
  world.furnish();
  world.run_for(std::chrono::seconds(10));  // a fake host sends no heartbeats
  EXPECT_FALSE(world.server->sessions().view("h1")->connected);
  const auto vm = World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  EXPECT_EQ(vm.status().conditions(0).status(), v1::Condition::UNKNOWN);
}

TEST(Sessions, AnotherDigestIsHealed) {
  Tunables tunables;
  tunables.reconcile_audit_ms = 1000;
  World world(1, tunables);
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.holds.items.erase(h1.holds.items.begin());
  h1.received.clear();
  h1.ack();
  world.run_for(std::chrono::milliseconds(2500));
  EXPECT_EQ(h1.holds, wanted(world, "h1"));
}

TEST(Sessions, AnInstanceOnItsWayIsNoWarning) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  h1.fail("50/vm/acme/web-1", "the instance is being started", 1000);
  h1.not_ready.begin()->second.set_reason("InProgress");
  h1.fail("60/port/1", "waiting for a device of acme/web-1", 1000);
  h1.not_ready["60/port/1"].set_reason("Waiting");
  h1.fail("60/port/7", "map full", 1000);
  h1.ack();
  v1::ListRequest request;
  request.set_kind("Event");
  const auto events =
      World::must(world.call<v1::ListResponse, const v1::ListRequest&>(&Api::list, request));
  int normal = 0, warnings = 0;
  for (const auto& item : events.items()) {
    const auto& reason = item.event().reason();
    normal +=
        (reason == "InProgress" || reason == "Waiting") && item.event().type() == v1::Event::NORMAL;
    warnings += item.event().type() == v1::Event::WARNING;
  }
  EXPECT_EQ(normal, 2);
  EXPECT_EQ(warnings, 1);  // the map
}

TEST(Sessions, DropsThatGrowAreInTheStatus) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  const auto beat = [&](std::int64_t denied) {
    v1::HostMessage message;
    (*message.mutable_heartbeat()->mutable_drops())["policy_deny"] = denied;
    (*message.mutable_heartbeat()->mutable_drops())["answered"] = denied;
    h1.say(message);
  };
  const auto growing = [&] {
    const auto status =
        World::must(world.call<v1::StatusResponse, const v1::StatusRequest&>(&Api::status, {}));
    for (const auto& condition : status.conditions())
      if (condition.type() == "DropsGrowing") return condition.message();
    return std::string("no condition");
  };
  beat(1000);
  EXPECT_EQ(growing(), "");  // since boot: says nothing about now
  world.run_for(std::chrono::seconds(2));
  beat(1100);
  EXPECT_EQ(growing(), "h1: policy_deny 50.0/s");
  world.run_for(std::chrono::seconds(2));
  beat(1100);
  EXPECT_EQ(growing(), "");
}

}  // namespace
}  // namespace penstock
