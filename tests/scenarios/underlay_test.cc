#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

class Underlay : public LabTest {};

// Server, hosts and tunnels all speak IPv6 below; what the VMs speak is their own affair.
TEST_F(Underlay, HostsMeetOverIpv6) {
  up(R"(
networks: [{name: a, subnet: "2001:db8:a::/64"}, {name: b, subnet: "2001:db8:b::/64"}]
hosts: [{name: h1, network: a}, {name: h2, network: b}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24, "fd00:0:0:1::/64"]}]
    vms: [{name: one, network: blue, host: h1}, {name: two, network: blue, host: h2}]
)");
  if (HasFatalFailure()) return;
  const auto two = address_of("acme", "two"), two6 = address_of("acme", "two", true);
  EXPECT_TRUE(pings("acme/one", two));
  EXPECT_TRUE(pings("acme/one", two6));
  // 1,500 less Ethernet, IPv6, UDP and VXLAN headers: 70 bytes. Frames of that size get through.
  EXPECT_EQ(run("acme/one", {"sh", "-c", "ip link show eth0 | grep -q 'mtu 1430'"}).status, 0);
  for (const auto& [address, payload] : {std::pair{two, "1402"}, std::pair{two6, "1382"}}) {
    const auto said =
        run("acme/one", {"ping", "-M", "do", "-s", payload, "-c", "2", "-i", "0.1", address});
    EXPECT_EQ(said.status, 0) << said.text;
  }
  auto server = lab().enter("acme/two");
  ASSERT_TRUE(server);
  server->words = {"sh", "-c", fmt::format("timeout 30 nc -l {} 9000 | wc -c", two6)};
  server->log = lab().folder().path("logs/received");
  ASSERT_TRUE(start_daemon(lab().folder(), "received", *server));
  EXPECT_TRUE(soon([&] {
    return run("acme/one",
               {"sh", "-c", fmt::format("head -c 10000000 /dev/zero | nc -N -w 5 {} 9000", two6)})
               .status == 0;
  }));
  EXPECT_TRUE(soon([&] {
    return lab().folder().read("logs/received").value_or("").find("10000000") != std::string::npos;
  }));
}

}  // namespace
}  // namespace penstock::lab
