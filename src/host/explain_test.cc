#include "host/explain.h"

#include <gtest/gtest.h>

#include "host/sim/host_world.h"
#include "host/sim/items.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

struct ExplainTest : testing::Test {
  HostWorld world;
  void SetUp() override {
    ASSERT_TRUE(world.start());
    world.run(1ms);
    world.machines.broken.insert("acme/bad");
    world.server.say(items::full({"A", 4, 1}, {items::network(7), items::firewall(1, 80),
                                               items::vm("web", {5}), items::port(5, "web", 7, {1}),
                                               items::vm("bad", {6}), items::port(6, "bad", 7)}));
    world.run(50ms);
  }
  nlohmann::ordered_json ask(const std::string& request) {
    return answer(world.agent(), world.kernel, request);
  }
};

TEST_F(ExplainTest, APortShowsDesiredObservedAndNoDifference) {
  const auto port = ask(R"({"explain": "port/5"})");
  EXPECT_EQ(port["key"], "60/port/5");
  EXPECT_EQ(port["desired"]["port"]["mac"], "02:00:00:00:00:05");
  EXPECT_EQ(port["observed"]["live"], true);
  EXPECT_EQ(port["observed"]["out"]["steps"][0]["profile"], "firewall-1");
  EXPECT_TRUE(port["difference"].empty()) << port.dump();
  EXPECT_TRUE(port["waitingFor"].is_null());
}

TEST_F(ExplainTest, WhatIsStuckSaysWhy) {
  const auto vm = ask(R"({"explain": "vm/acme/bad"})");
  EXPECT_NE(vm["waitingFor"].get<std::string>().find("does not boot"), std::string::npos);
  const auto port = ask(R"({"explain": "port/6"})");
  EXPECT_NE(port["waitingFor"].get<std::string>().find("acme/bad"), std::string::npos)
      << port.dump();
  EXPECT_FALSE(port["difference"].empty());
}

TEST_F(ExplainTest, ADetachedProgramIsADifference) {
  const auto ifindex = ask(R"({"explain": "port/5"})")["observed"]["ifindex"].get<int>();
  ASSERT_TRUE(world.kernel.detach({ifindex, Program::kToPort}));
  EXPECT_EQ(ask(R"({"explain": "port/5"})")["difference"][0],
            "a program is not attached to its device");
}

TEST_F(ExplainTest, StatusCountsAndNames) {
  const auto status = ask(R"({"status": {}})");
  EXPECT_EQ(status["host"], "h1");
  EXPECT_EQ(status["position"]["revision"], 4);
  EXPECT_EQ(status["items"], 6);
  EXPECT_EQ(status["connected"], true);
  EXPECT_FALSE(status["notReady"].empty());
}

TEST_F(ExplainTest, BadRequestsAreErrors) {
  EXPECT_EQ(ask("{")["error"]["code"], "invalid_argument");
  EXPECT_EQ(ask("[]")["error"]["code"], "invalid_argument");
  EXPECT_EQ(ask(R"({"explain": 5})")["error"]["code"], "invalid_argument");
  EXPECT_EQ(ask(R"({"explain": "port/99"})")["error"]["code"], "not_found");
  EXPECT_EQ(ask(R"({"explain": ""})")["error"]["code"], "not_found");
}

}  // namespace
}  // namespace penstock::host
