#include "server/moves.h"

#include <cstring>

#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::World;

// A deployment whose hosts carry out the orders of moves, as told.
struct MovesTest : ::testing::Test {
  World world{1, [] {
                Tunables tunables;
                tunables.move_deadline_ms = 2'000;
                return tunables;
              }()};
  std::map<std::string, std::size_t> seen;
  std::vector<std::string> log;   // "h1 DEPART"
  std::set<std::string> failing;  // "h2 ARRIVE": answered with an error
  std::set<std::string> silent;   // not answered
  std::map<std::string, std::string> handles;

  void SetUp() override {
    world.furnish();
    world.add_vm("web-2", "h2");
    world.add_host("h3").connect();
    world.add_vm("web-3", "h3");
    run(50ms);
  }
  const std::string foreign_key = std::string("\xff\xff", 2) + std::string(42, '\0');
  void answer() {
    for (auto& [name, host] : world.hosts) {
      auto& next = seen[name];
      for (; next < host->received.size(); ++next) {
        const auto message = host->received[next];
        if (message.has_flows()) {
          log.push_back(name + " flows");
          for (const auto& flow : message.flows().flows())
            EXPECT_NE(flow.key(), foreign_key) << "of a VM that is not moving";
          EXPECT_EQ(message.flows().flows_size(), 1);
        }
        if (!message.has_move() || !host->connected) continue;
        const auto& order = message.move();
        const auto what = name + " " + v1::MoveOrder::Step_Name(order.step());
        log.push_back(what);
        handles[what] = order.handle();
        if (silent.contains(what)) continue;
        if (order.step() == v1::MoveOrder::SEND_FLOWS || order.step() == v1::MoveOrder::DEPART) {
          v1::HostMessage flows;
          flows.mutable_flows()->set_move(order.id());
          std::string key(44, '\0');
          std::memcpy(key.data(), &order.ports().at(0), sizeof(std::uint32_t));
          flows.mutable_flows()->add_flows()->set_key(key);
          // And one of the port of another VM that may be on its way to the same host.
          flows.mutable_flows()->add_flows()->set_key(foreign_key);
          host->say(flows);
        }
        v1::HostMessage report;
        report.mutable_move()->set_id(order.id());
        report.mutable_move()->set_flows(3);
        if (order.step() == v1::MoveOrder::DEPART) report.mutable_move()->set_handle("the-guest");
        if (failing.contains(what)) {
          report.mutable_move()->set_code("internal");
          report.mutable_move()->set_message("no room");
        }
        host->say(report);
      }
    }
  }
  void run(Duration time) {
    const auto end = world.clock.now() + time;
    while (world.clock.now() < end) {
      world.run_for(1ms);
      answer();
    }
  }
  Result<v1::MoveResponse> move(const std::string& to, bool wait = false,
                                std::optional<std::string> secret = {}) {
    v1::MoveRequest request;
    request.set_tenant("acme");
    request.set_name("web-1");
    request.set_host(to);
    std::optional<Result<v1::MoveResponse>> answered;
    request.mutable_options()->set_wait_applied(wait);
    world.server->api().move(secret.value_or(world.admin), request,
                             [&](Result<v1::MoveResponse> response) { answered = response; });
    for (int i = 0; i < 20'000 && !answered; ++i) run(1ms);
    if (!answered) return fail(Code::kInternal, "no answer");
    return *answered;
  }
  v1::VirtualMachine vm() {
    return World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  }
  std::string item(const std::string& host, const std::string& key) {
    const auto& items = world.hosts[host]->holds.items;
    const auto found = items.find(key);
    return found == items.end() ? "" : parse_item(*found->second).ShortDebugString();
  }
  std::string port() { return std::to_string(vm().spec().nics(0).port_id()); }
  std::string neighbor_key() {
    const auto network = World::must(world.get("VirtualNetwork", "acme", "blue")).virtual_network();
    return "70/nbr/" + std::to_string(network.spec().vni()) + "/" + port();
  }
};

TEST_F(MovesTest, AVmChangesItsHostAndItsPinFollows) {
  const auto moved = move("h2", true);
  ASSERT_TRUE(moved) << moved.error().text();
  EXPECT_EQ(log, (std::vector<std::string>{"h1 SEND_FLOWS", "h2 flows", "h1 DEPART", "h2 flows",
                                           "h2 ARRIVE"}));
  EXPECT_EQ(handles["h2 ARRIVE"], "the-guest");
  EXPECT_EQ(moved->flows(), 3);
  EXPECT_EQ(moved->vm().status().host(), "h2");
  EXPECT_FALSE(moved->vm().status().has_move());
  EXPECT_EQ(moved->vm().spec().placement().host(), "h2");
  run(20ms);
  EXPECT_EQ(item("h1", "50/vm/acme/web-1"), "");
  EXPECT_EQ(item("h2", "50/vm/acme/web-1").find("arriving"), std::string::npos);
  EXPECT_EQ(world.server->engine().head().vms_of_host("h1").size(), 0U);
  EXPECT_EQ(move("h2", true)->outcome().change(), v1::WriteOutcome::UNCHANGED);
}

TEST_F(MovesTest, EveryHostKnowsBothPlacesBeforeTheVmLeaves) {
  world.hosts["h3"]->auto_ack = false;
  silent.insert("h1 DEPART");
  ASSERT_TRUE(move("h2"));
  run(100ms);
  EXPECT_EQ(log, std::vector<std::string>{}) << "h3 has not said that it knows";
  EXPECT_NE(item("h2", "50/vm/acme/web-1").find("arriving: true"), std::string::npos);
  EXPECT_NE(item("h2", "60/port/" + port()), "");
  EXPECT_NE(item("h2", neighbor_key()).find("vtep: \"192.0.2.1\""), std::string::npos);
  EXPECT_NE(item("h1", neighbor_key()).find("vtep: \"192.0.2.2\""), std::string::npos);
  EXPECT_NE(item("h3", neighbor_key()).find("vtep: \"192.0.2.1\" also_vtep: \"192.0.2.2\""),
            std::string::npos)
      << item("h3", neighbor_key());
  EXPECT_EQ(vm().status().state(), "moving");
  EXPECT_EQ(vm().status().move().phase(), v1::VmMove::PREPARING);
  world.hosts["h3"]->auto_ack = true;
  world.hosts["h3"]->ack();
  run(100ms);
  EXPECT_EQ(vm().status().move().phase(), v1::VmMove::SWITCHING);
  EXPECT_NE(item("h3", neighbor_key()).find("vtep: \"192.0.2.2\" also_vtep: \"192.0.2.1\""),
            std::string::npos)
      << item("h3", neighbor_key());
}

TEST_F(MovesTest, AHostThatLagsIsNamedAtTheDeadlineAndNothingHasHappened) {
  world.hosts["h3"]->auto_ack = false;
  const auto moved = move("h2", true);
  ASSERT_TRUE(moved) << moved.error().text();
  ASSERT_EQ(moved->outcome().warnings_size(), 1);
  EXPECT_NE(moved->outcome().warnings(0).find("h3"), std::string::npos)
      << moved->outcome().warnings(0);
  EXPECT_EQ(vm().status().host(), "h1");
  EXPECT_FALSE(vm().status().has_move());
  EXPECT_EQ(log, std::vector<std::string>{});
  EXPECT_EQ(item("h2", "50/vm/acme/web-1"), "");
}

TEST_F(MovesTest, AHostThatIsAwayHoldsNothingUp) {
  world.hosts["h3"]->leave();
  const auto moved = move("h2", true);
  ASSERT_TRUE(moved) << moved.error().text();
  EXPECT_EQ(vm().status().host(), "h2");
}

TEST_F(MovesTest, AVmThatCannotArriveIsTakenBack) {
  failing.insert("h2 ARRIVE");
  const auto moved = move("h2", true);
  ASSERT_TRUE(moved) << moved.error().text();
  EXPECT_EQ(moved->outcome().warnings(0), "taken back: h2: no room");
  EXPECT_EQ(log.back(), "h1 RETURN");
  EXPECT_EQ(handles["h1 RETURN"], "the-guest");
  EXPECT_EQ(vm().status().host(), "h1");
  EXPECT_FALSE(vm().status().has_move());
  run(20ms);
  EXPECT_EQ(item("h2", "50/vm/acme/web-1"), "");
}

TEST_F(MovesTest, AVmWhoseNewHostFailsToPrepareDoesNotLeave) {
  world.hosts["h2"]->fail("60/port/" + port(), "all ports of the switch are in use", 0);
  const auto moved = move("h2", true);
  ASSERT_TRUE(moved) << moved.error().text();
  EXPECT_NE(moved->outcome().warnings(0).find("all ports of the switch are in use"),
            std::string::npos);
  EXPECT_EQ(log, std::vector<std::string>{});
}

// Both hosts answer again what they are asked again; wherever the server dies, it goes on.
TEST_F(MovesTest, AServerThatIsKilledGoesOnInEveryPhase) {
  for (const auto* stop : {"h1 SEND_FLOWS", "h1 DEPART", "h2 ARRIVE"}) {
    SCOPED_TRACE(stop);
    const std::string from = vm().status().host(), to = from == "h1" ? "h2" : "h1";
    std::string at = stop;
    if (from == "h2") at = (at[1] == '1' ? "h2" : "h1") + at.substr(2);
    silent = {at};
    log.clear();
    ASSERT_TRUE(move(to));
    for (int i = 0; i < 1'000 && (log.empty() || log.back() != at); ++i) run(1ms);
    ASSERT_EQ(log.back(), at);
    world.crash();
    silent.clear();
    world.boot();
    ASSERT_TRUE(world.ok);
    for (auto& [name, host] : world.hosts) host->connect();
    for (int i = 0; i < 3'000 && vm().status().has_move(); ++i) run(1ms);
    EXPECT_FALSE(vm().status().has_move());
    EXPECT_EQ(vm().status().host(), to);
  }
}

TEST_F(MovesTest, AHostThatComesBackIsAskedAgain) {
  for (const auto* stop : {"h1 DEPART", "h2 ARRIVE"}) {
    SCOPED_TRACE(stop);
    if (vm().status().host() == "h2") ASSERT_TRUE(move("h1", true));
    silent = {stop};
    log.clear();
    ASSERT_TRUE(move("h2"));
    for (int i = 0; i < 1'000 && (log.empty() || log.back() != stop); ++i) run(1ms);
    auto& host = *world.hosts[std::string(stop).substr(0, 2)];
    host.leave();
    run(20ms);
    silent.clear();
    host.connect();
    run(200ms);
    EXPECT_EQ(vm().status().host(), "h2");
    EXPECT_FALSE(vm().status().has_move());
  }
}

TEST_F(MovesTest, WithoutAnAnswerOfTheOldHostItIsTakenBackAfterTheDeadline) {
  silent = {"h1 DEPART", "h1 RETURN"};
  ASSERT_TRUE(move("h2"));
  run(2'500ms);
  EXPECT_EQ(vm().status().move().phase(), v1::VmMove::RETURNING);
  EXPECT_EQ(std::ranges::count(log, "h2 ARRIVE"), 0);
  auto& h1 = *world.hosts["h1"];
  h1.leave();
  silent.clear();
  h1.connect();
  run(100ms);
  EXPECT_FALSE(vm().status().has_move());
  EXPECT_EQ(vm().status().host(), "h1");
}

// Whether the new host took it only the new host knows.
TEST_F(MovesTest, AfterTheNewHostWasToldItIsNeverTakenBackUnasked) {
  silent = {"h2 ARRIVE"};
  ASSERT_TRUE(move("h2"));
  run(50ms);
  world.hosts["h2"]->leave();
  run(3'000ms);
  EXPECT_EQ(vm().status().move().phase(), v1::VmMove::SWITCHING);
  EXPECT_EQ(std::ranges::count(log, "h1 RETURN"), 0);
  EXPECT_FALSE(world.erase("VirtualMachine", "acme", "web-1")) << "it is between two hosts";
}

TEST_F(MovesTest, WhatMayNotMoveIsRefusedWithItsReason) {
  const auto refusal = [&](const std::string& to) {
    const auto moved = move(to);
    return moved ? std::string("it moved") : moved.error().message;
  };
  EXPECT_NE(refusal("h9").find("there is no Host"), std::string::npos);
  world.hosts["h3"]->leave();
  EXPECT_EQ(refusal("h3"), "host h3 has no session with the server");
  World::must(world.put(
      R"({"kind":"Host","metadata":{"name":"h2"},"spec":{"cordoned":true,"uplinks":[{"name":"u0",
          "device":"eth0","address":"192.0.2.2","mtu":1500}]}})"));
  EXPECT_EQ(refusal("h2"), "host h2 is cordoned: nothing new is placed there");
  EXPECT_EQ(refusal(""), "VirtualMachine acme/web-1 fits on no other host");
}

TEST_F(MovesTest, OnlyAdministratorsMove) {
  World::must(world.put(R"({"kind":"User","metadata":{"name":"ta"},
      "spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}]}})"));
  const auto moved = move("h2", false, world.token_for_user("ta"));
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Code::kPermissionDenied);
}

TEST_F(MovesTest, ChangesUnderAMoveWaitOrEndIt) {
  world.hosts["h3"]->auto_ack = false;
  ASSERT_TRUE(move("h2"));
  EXPECT_EQ(move("h3").error().code, Code::kConflict);
  const auto put = [&](const std::string& spec, const std::string& labels) {
    return world.put(
        R"({"kind":"VirtualMachine","metadata":{"name":"web-1","tenant":"acme","labels":)" +
        labels + R"(},"spec":)" + spec + "}");
  };
  const std::string same =
      R"({"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h1"}})";
  EXPECT_TRUE(put(same, R"({"role":"web"})"));
  EXPECT_TRUE(vm().status().has_move()) << "a label does not concern it";
  EXPECT_EQ(put(R"({"nics":[],"placement":{"host":"h1"}})", "{}").error().code, Code::kConflict);
  EXPECT_TRUE(put(
      R"({"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h1"},"power":"STOPPED"})",
      "{}"));
  EXPECT_FALSE(vm().status().has_move());
  EXPECT_EQ(vm().status().host(), "");
  EXPECT_EQ(world.server->engine().head().vms_of_host("h2").size(), 1U);
}

}  // namespace
}  // namespace penstock
