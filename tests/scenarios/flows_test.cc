// From a rule with `log` in a host's switch to a person's terminal.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

using Json = cli::Json;

class Flows : public LabTest {};

TEST_F(Flows, WhatARuleLoggedIsReadAtTheCommandLine) {
  up(R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}, {name: h2}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24, "fd00:1::/64"]}]
    vms: [{name: web, network: blue, host: h1}, {name: near, network: blue, host: h1}, {name: far, network: blue, host: h2}]
)");
  if (HasFatalFailure()) return;
  ASSERT_TRUE(put(
      {{"kind", "ServiceDefinition"},
       {"metadata", {{"name", "fw"}}},
       {"spec",
        {{"vendor", "v"},
         {"serviceName", "fw"},
         {"version", "1"},
         {"insertionPoint", "VIRTUAL_SWITCH"},
         {"levels", {{{"name", "basic"}}}},
         {"filter",
          {{"defaultIn", "DENY"},
           {"logDefaultIn", true},
           {"rules",
            {{{"name", "silent"}, {"direction", "IN"}, {"action", "DENY"}, {"protocols", {"udp"}}},
             {{"name", "ping"},
              {"direction", "IN"},
              {"action", "ALLOW"},
              {"icmp", {{{"type", 8}}, {{"type", 128}, {"v6", true}}}},
              {"log", true}}}}}}}}}));
  ASSERT_TRUE(
      put({{"kind", "ServiceProfile"},
           {"metadata", {{"name", "fw"}}},
           {"spec",
            {{"definition", "fw"}, {"published", true}, {"availability", {{"everyone", true}}}}}}));
  ASSERT_TRUE(put({{"kind", "Enablement"},
                   {"metadata", {{"tenant", "acme"}, {"name", "web-fw"}}},
                   {"spec", {{"profile", "fw"}, {"vm", "web"}}}}));

  EXPECT_TRUE(pings("acme/near", address_of("acme", "web")));
  EXPECT_TRUE(pings("acme/far", address_of("acme", "web", true)));
  run("acme/far", {"nc", "-z", "-w", "1", address_of("acme", "web"), "23"});
  run("acme/near", {"sh", "-c", "echo x | nc -u -w 1 " + address_of("acme", "web") + " 99"});

  auto api = lab().api();
  ASSERT_TRUE(api);
  const auto flows = [&](const std::string& selector) {
    auto listed = api->list({"flows", "acme", ""}, selector);
    return listed ? *listed : Json::array();
  };
  ASSERT_TRUE(soon(
      [&] { return flows("outcome=DENY").size() >= 1 && flows("outcome=ALLOW").size() >= 2; }));
  const auto denied = flows("outcome=DENY");
  const auto& flow = denied[0];
  EXPECT_EQ(cli::at(flow, "rule"), "default");
  EXPECT_EQ(cli::at(flow, "profile"), "fw");
  EXPECT_EQ(cli::at(flow, "enablement"), "acme/web-fw") << flow.dump();
  EXPECT_EQ(cli::at(flow, "vm"), "web");
  EXPECT_EQ(cli::at(flow, "host"), "h1");
  EXPECT_EQ(cli::at(flow, "source", "vm"), "far");
  EXPECT_EQ(cli::number_at(cli::at(flow, "destination", "port")), 23);
  EXPECT_EQ(cli::at(flow, "tcpFlags"), "SYN");
  for (const auto& other : denied) EXPECT_NE(cli::at(other, "rule"), "silent") << "does not log";
  const auto allowed = flows("outcome=ALLOW,rule=ping");
  std::set<std::string> protocols;
  for (const auto& one : allowed) protocols.insert(cli::text_at(cli::at(one, "protocol")));
  EXPECT_EQ(protocols, (std::set<std::string>{"icmp", "icmpv6"}));

  const auto typed = [&](const std::string& words) {
    return run(
        "router",
        {"sh", "-c",
         fmt::format("PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {}) PENSTOCK_TENANT=acme {} {}",
                     lab().folder().server_url(), lab().folder().admin_token_file(),
                     built("penstock"), words)});
  };
  const auto shown = typed("flows --vm web --outcome deny");
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.text,
              testing::ContainsRegex("Z +far:[0-9]+ -> web:23 +tcp SYN +in +DENY +fw#default\n"));
  const auto followed = typed("flows -f --last 1 --deadline 500ms -l rule=ping");
  EXPECT_EQ(followed.status, 0);
  EXPECT_THAT(followed.text, testing::ContainsRegex("ALLOW +fw#2 \"ping\"\n$"));
}

}  // namespace
}  // namespace penstock::lab
