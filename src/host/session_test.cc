#include "host/session.h"

#include <gtest/gtest.h>

#include "base/sim_runtime.h"
#include "host/sim/fake_link.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct SessionTest : testing::Test {
  SimClock clock{1};
  SimRuntime runtime{clock, {}};
  NullLog log;
  FakeServerEnd server;
  FakeLink link{runtime, server};
  int received = 0;
  Session session{runtime,
                  log,
                  link,
                  {.hello = [] { return v1::Hello(); },
                   .heartbeat = [] { return v1::Heartbeat(); },
                   .received = [this](const v1::ServerMessage&) { ++received; }}};
  void run(Duration time) { clock.run_until(clock.now() + time); }
};

TEST_F(SessionTest, SaysHelloThenHeartbeats) {
  session.start();
  run(3500ms);
  ASSERT_GE(server.heard.size(), 4u);
  EXPECT_TRUE(server.heard[0].has_hello());
  for (std::size_t i = 1; i < server.heard.size(); ++i)
    EXPECT_TRUE(server.heard[i].has_heartbeat());
  EXPECT_TRUE(session.connected());
  EXPECT_EQ(received, 0) << "heartbeats are the session's own";
  EXPECT_EQ(server.opens, 1);
}

TEST_F(SessionTest, ASilentServerIsLeftAndTriedAgain) {
  server.answers_heartbeats = false;
  session.start();
  run(4s);
  EXPECT_EQ(server.opens, 1);
  run(4s);
  EXPECT_GE(server.opens, 2);
}

TEST_F(SessionTest, ReconnectsWithGrowingPauses) {
  server.reachable = false;
  session.start();
  run(60s);
  EXPECT_GE(server.opens, 10);
  EXPECT_LE(server.opens, 30);
  EXPECT_EQ(session.last_error(), "connection refused");
  server.reachable = true;
  run(10s);
  EXPECT_TRUE(session.connected());
  EXPECT_EQ(session.last_error(), "");
}

TEST_F(SessionTest, ARefusedHostWaitsAndTriesAgain) {
  server.on_message = [this](const v1::HostMessage& message) {
    if (!message.has_hello()) return;
    v1::ServerMessage refused;
    refused.mutable_refused()->set_message("unknown token");
    server.say(refused);
  };
  session.start();
  run(5ms);
  EXPECT_FALSE(session.connected());
  EXPECT_NE(session.last_error().find("unknown token"), std::string::npos);
  run(30s);
  EXPECT_GE(server.opens, 4);
}

TEST_F(SessionTest, ABrokenStreamIsReplaced) {
  session.start();
  run(100ms);
  server.hang_up();
  run(3s);
  EXPECT_EQ(server.opens, 2);
  EXPECT_TRUE(session.connected());
}

TEST(AgentSession, AsksForEverythingAfterAGapAndRefusesTheStale) {
  HostWorld world;
  int hellos = 0;
  world.server.on_message = [&](const v1::HostMessage& message) { hellos += message.has_hello(); };
  ASSERT_TRUE(world.start());
  world.run(10ms);
  world.server.say(items::full({"A", 5, 2}, {items::network(7)}));
  world.run(10ms);
  EXPECT_EQ(world.last_ack()->position().revision(), 5);
  EXPECT_EQ(hellos, 1);
  world.server.say(items::delta(6, {"A", 7, 2}, {items::network(8)}));
  world.run(10ms);
  EXPECT_EQ(hellos, 2);
  world.server.say(items::full({"A", 9, 1}, {}));
  world.run(10ms);
  EXPECT_NE(world.agent().last_refusal().find("epoch"), std::string::npos);
  EXPECT_EQ(world.agent().intent().items().size(), 1u);
}

TEST(AgentSession, EveryAckTellsTheDigestOfWhatIsHeld) {
  HostWorld world;
  ASSERT_TRUE(world.start());
  world.run(10ms);
  const auto expect_ack = [&](std::int64_t revision, std::vector<v1::IntentItem> held) {
    world.run(10ms);
    EXPECT_EQ(world.last_ack()->position().revision(), revision);
    SetDigest digest;
    for (auto& item : held) digest.add(penstock::digest(item.SerializeAsString()));
    EXPECT_EQ(world.last_ack()->digest(), digest.text()) << "at revision " << revision;
  };
  auto changed = items::network(7);
  changed.mutable_network()->set_mtu(1400);
  world.server.say(items::full({"A", 5, 2}, {items::network(7), items::network(9)}));
  expect_ack(5, {items::network(7), items::network(9)});
  world.server.say(items::delta(5, {"A", 6, 2}, {items::network(8)}));
  expect_ack(6, {items::network(7), items::network(8), items::network(9)});
  auto delta = items::delta(6, {"A", 7, 2}, {changed});
  delta.mutable_delta()->add_remove(items::network(9).key());
  world.server.say(delta);
  expect_ack(7, {changed, items::network(8)});
  world.server.say(items::full({"A", 8, 2}, {items::network(8)}));
  expect_ack(8, {items::network(8)});
}

}  // namespace
}  // namespace penstock::host
