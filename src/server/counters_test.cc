#include "server/counters.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::World;

class CountersApi : public ::testing::Test {
 protected:
  void SetUp() override {
    world.furnish();
    world.add_vm("db-1", "h2");
    world.run_for(50ms);
  }
  std::uint32_t port(const std::string& vm) {
    return World::must(world.get("VirtualMachine", "acme", vm))
        .virtual_machine()
        .spec()
        .nics(0)
        .port_id();
  }
  void enable(const std::string& vm) {
    World::must(world.put(fmt::format(
        R"({{"kind": "Enablement", "metadata": {{"tenant": "acme", "name": "on-{0}"}}, "spec": {{"profile": "office", "vm": "{0}"}}}})",
        vm)));
    world.run_for(50ms);
  }
  void ask(const std::string& kind, const std::string& tenant, const std::string& name,
           std::optional<std::string> secret = {}) {
    answer.reset();
    v1::CountersRequest request;
    request.set_kind(kind);
    request.set_tenant(tenant);
    request.set_name(name);
    world.server->api().counters(
        secret.value_or(world.admin), request,
        [this](Result<v1::CountersResponse> response) { answer = std::move(response); });
  }
  std::optional<v1::CountersOrder> order(const std::string& host) {
    std::optional<v1::CountersOrder> newest;
    for (const auto& message : world.hosts[host]->received)
      if (message.has_counters()) newest = message.counters();
    return newest;
  }
  // The policy of the step on the VM's port, as its host was told.
  std::uint64_t policy(const std::string& host, const std::string& vm) {
    for (const auto& [key, bytes] : world.hosts[host]->holds.items)
      if (const auto item = parse_item(*bytes); item.has_port() && item.port().vm() == vm)
        return item.port().steps(0).policy();
    return 0;
  }
  void report(const std::string& host, std::uint64_t of, std::int64_t flows,
              const std::string& code = {}) {
    v1::HostMessage message;
    auto& report = *message.mutable_counters();
    report.set_id(order(host)->id());
    report.set_code(code);
    report.set_message(code.empty() ? "" : "no room");
    for (const std::uint32_t number : {0u, 1u}) {
      auto& rule = *report.add_rules();
      rule.set_policy(of);
      rule.set_rule_number(number);
      rule.set_flows(flows + number);
      rule.set_packets(10);
      rule.set_bytes(100);
      rule.set_last_ns(flows * 1'000'000'000);
    }
    const auto asked = *order(host);
    for (const auto port : asked.ports()) {
      auto& nic = *report.add_ports();
      nic.set_port_id(port);
      nic.set_packets_out(9);
      (*nic.mutable_drops())["policy_deny"] = 3;
    }
    world.hosts[host]->say(message);
  }

  std::string user(const std::string& name, const std::string& roles) {
    World::must(world.put(
        fmt::format(R"({{"kind": "User", "metadata": {{"name": "{}"}}, "spec": {{"roles": {}}}}})",
                    name, roles)));
    return world.token_for_user(name);
  }

  World world;
  std::optional<Result<v1::CountersResponse>> answer;
};

TEST_F(CountersApi, OfAProfileSummedOverItsHosts) {
  enable("web-1");
  enable("db-1");
  ask("ServiceProfile", "", "office");
  ASSERT_FALSE(answer);
  ASSERT_TRUE(order("h1") && order("h2"));
  EXPECT_EQ(order("h1")->ports_size(), 1);
  EXPECT_EQ(order("h1")->ports(0), port("web-1"));
  report("h1", policy("h1", "web-1"), 5);
  report("h1", policy("h1", "web-1"), 5);  // once is enough
  ASSERT_FALSE(answer);
  report("h2", policy("h2", "db-1"), 7);
  ASSERT_TRUE(answer && *answer);
  ASSERT_EQ((*answer)->rules_size(), 2) << (*answer)->ShortDebugString();
  const auto& rule = (*answer)->rules(1);
  EXPECT_EQ(rule.profile(), "office");
  EXPECT_EQ(rule.rule_number(), 1);
  EXPECT_EQ(rule.flows(), 14);
  EXPECT_EQ(rule.packets(), 20);
  EXPECT_EQ(rule.last_hit().seconds(), 7);
  EXPECT_EQ(rule.rule(), "no-ssh");
  EXPECT_EQ((*answer)->rules(0).rule(), "default");
  EXPECT_EQ((*answer)->nics_size(), 0);
  EXPECT_EQ((*answer)->incomplete_size(), 0);
}

TEST_F(CountersApi, OfAVmWithItsNics) {
  enable("web-1");
  ask("VirtualMachine", "acme", "web-1");
  EXPECT_FALSE(order("h2"));
  ASSERT_EQ(order("h1")->policies_size(), 1);
  report("h1", policy("h1", "web-1"), 5);
  ASSERT_TRUE(answer && *answer);
  ASSERT_EQ((*answer)->nics_size(), 1);
  EXPECT_EQ((*answer)->nics(0).packets_out(), 9);
  EXPECT_EQ((*answer)->nics(0).drops().at("policy_deny"), 3);
  EXPECT_EQ((*answer)->rules_size(), 2);
}

TEST_F(CountersApi, HostsThatCannotSayMakeItIncomplete) {
  enable("web-1");
  enable("db-1");
  world.hosts["h2"]->leave();
  ask("ServiceProfile", "", "office");
  report("h1", policy("h1", "web-1"), 5, "resource_exhausted");
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->rules(0).flows(), 5);
  ASSERT_EQ((*answer)->incomplete_size(), 2);
  EXPECT_EQ((*answer)->incomplete(0), "host h2 is away");
  EXPECT_EQ((*answer)->incomplete(1), "host h1 cannot say all: no room");
  ask("ServiceProfile", "", "office");
  world.run_for(3s);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->incomplete(1), "host h1 did not answer in time");
}

TEST_F(CountersApi, OthersSeeNothingOfATenant) {
  enable("web-1");
  World::must(world.put(R"({"kind": "Tenant", "metadata": {"name": "globex"}})"));
  const auto stranger = user("eve", R"([{"role": "TENANT_ADMINISTRATOR", "tenant": "globex"}])");
  ask("VirtualMachine", "acme", "web-1", stranger);
  ASSERT_TRUE(answer && !*answer);
  ask("ServiceProfile", "", "office", stranger);
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().code, Code::kNotFound);
  EXPECT_FALSE(order("h1")) << "nobody is asked about what is not theirs";
  const auto own = user("ann", R"([{"role": "TENANT_ADMINISTRATOR", "tenant": "acme"}])");
  ask("ServiceProfile", "acme", "office", own);
  ASSERT_TRUE(order("h1"));
  EXPECT_EQ(order("h1")->ports_size(), 1);
  world.hosts["h1"]->leave();
  world.run_for(3s);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->incomplete(0), "a host did not answer in time") << "its name is not theirs";
}

TEST_F(CountersApi, WhatHasNoCounters) {
  ask("Host", "", "h1");
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ((*answer).error().code, Code::kInvalidArgument);
  ask("ServiceProfile", "", "nothing");
  EXPECT_EQ((*answer).error().code, Code::kNotFound);
  ask("ServiceProfile", "", "office");
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->rules_size(), 0) << "enabled on nothing";
}

}  // namespace
}  // namespace penstock
