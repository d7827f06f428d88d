#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

using Json = cli::Json;

class Tenants : public LabTest {};

TEST_F(Tenants, EqualAddressesInTwoTenantsNeverMeet) {
  up(R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}, {name: h2}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: one, network: blue, host: h1}, {name: two, network: blue, host: h2}]
  - name: globex
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: one, network: blue, host: h1}]
)");
  if (HasFatalFailure()) return;
  ASSERT_EQ(address_of("acme", "one"), address_of("globex", "one"));
  EXPECT_TRUE(pings("acme/one", address_of("acme", "two")));
  EXPECT_FALSE(pings("globex/one", address_of("acme", "two")));
  // The same through the command line, as people type it.
  const auto typed = [&](const std::string& command) {
    return run("router", {"sh", "-c", built("penstock") + " lab exec " + name() + " " + command}).status;
  };
  EXPECT_EQ(typed("acme/one -- true"), 0);
  EXPECT_EQ(typed("acme/one -- sh -c 'exit 7'"), 7);
  EXPECT_EQ(typed("nobody -- true"), 3);
}

TEST_F(Tenants, RefusalsNameTheReasonAndChangeNothing) {
  up(R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h1}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24]}]
    vms: [{name: one, network: blue}]
)");
  if (HasFatalFailure()) return;
  auto api = lab().api();
  ASSERT_TRUE(api);
  const auto before = api->read("/v1:status", {});
  ASSERT_TRUE(before);
  const auto refused = [&](Json object, const char* why) {
    const auto answer = put(std::move(object));
    ASSERT_FALSE(answer) << why;
    EXPECT_NE(answer.error().text().find(why), std::string::npos) << answer.error().text();
  };
  refused({{"kind", "VirtualNetwork"},
           {"metadata", {{"tenant", "acme"}, {"name", "bad"}}},
           {"spec",
            {{"subnets", Json::array({{{"cidr", "10.1.0.0/16"}}, {{"cidr", "10.1.2.0/24"}}})}}}},
          "overlap");
  refused({{"kind", "VirtualMachine"},
           {"metadata", {{"tenant", "acme"}, {"name", "bad"}}},
           {"spec", {{"nics", Json::array({{{"name", "eth0"}, {"network", "nowhere"}}})}}}},
          "nowhere");
  refused({{"kind", "Enablement"},
           {"metadata", {{"tenant", "acme"}, {"name", "bad"}}},
           {"spec", {{"profile", "nothing"}, {"vm", "one"}}}},
          "nothing");
  EXPECT_FALSE(api->remove({"networks", "acme", "blue"}, false, {}));  // in use
  const auto after = api->read("/v1:status", {});
  ASSERT_TRUE(after);
  EXPECT_EQ(cli::at(*before, "objects"), cli::at(*after, "objects"));
}

}  // namespace
}  // namespace penstock::lab
