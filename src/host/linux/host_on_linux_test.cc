// The host's reconciler on a real kernel: an intent goes in, guests in namespaces talk through the
// switch. Host and guests are namespaces without names or below a folder of the test; all of it
// goes with the fixture.
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/real_runtime.h"
#include "host/intent.h"
#include "host/linux/guest_service.h"
#include "host/linux/linux_kernel.h"
#include "host/netns/netns_hypervisor.h"
#include "host/reconciler.h"
#include "host/sim/items.h"
#include "net/linux/addresses.h"
#include "net/linux/links.h"

namespace penstock::host {
namespace {

using linux_net::NetlinkSocket;
using linux_net::NetNamespace;
using namespace std::chrono_literals;

Tunables small() {
  Tunables tunables;
  tunables.flow_entries = 1024;
  tunables.policy_arena_kib = 1024;
  tunables.ports_max = 64;
  return tunables;
}

struct Agent {
  RealRuntime runtime;
  NullLog log;
  std::unique_ptr<LinuxKernel> kernel;
  std::unique_ptr<NetnsHypervisor> guests;
  std::unique_ptr<GuestService> service;
  Intent intent;
  std::unique_ptr<Reconciler> reconciler;

  explicit Agent(const std::string& folder, const Tunables& tunables = small())
      : runtime(tunables) {
    auto links = LinkNetlink::open(runtime, log);
    EXPECT_TRUE(links) << links.error().text();
    auto programs = Switch::open({.directory = folder + "/bpf/host"}, runtime.tunables(), log);
    EXPECT_TRUE(programs) << programs.error().text();
    kernel = std::make_unique<LinuxKernel>(runtime, log, std::move(*links), std::move(*programs));
    guests = *NetnsHypervisor::open(runtime, log, folder + "/run");
    service = *GuestService::open(runtime, log, kernel->programs());
    reconciler = std::make_unique<Reconciler>(runtime, log, *kernel,
                                              Instances::Drivers{{"netns", guests.get()}}, intent);
    reconciler->observe_ports({[this](const v1::PortIntent& port, const v1::NetworkIntent& network,
                                      int ifindex) { service->ready(port, network, ifindex); },
                               [this](PortId port) { service->gone(port); }});
    EXPECT_TRUE(reconciler->start());
  }

  // Runs until `reached`, at most a while.
  bool run_until(std::function<bool()> reached) {
    bool is = false;
    int left = 400;
    std::function<void()> look = [&] {
      is = reached();
      if (is || --left == 0) return runtime.stop();
      runtime.after(25ms, [&] { look(); });
    };
    runtime.post([&] { look(); });
    runtime.run();
    return is;
  }
};

class HostOnLinux : public testing::Test {
 protected:
  HostOnLinux() {
    static int serial = 0;
    folder_ =
        std::filesystem::temp_directory_path() / fmt::format("ps-host-{}-{}", getpid(), serial++);
    std::filesystem::create_directories(folder_ + "/bpf");
    EXPECT_EQ(mount("bpf", (folder_ + "/bpf").c_str(), "bpf", 0, nullptr), 0);
  }
  ~HostOnLinux() override {
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/run/netns", ignored)) {
      if (auto where = NetNamespace::open(file.path())) (void)linux_net::kill_processes_in(*where);
      (void)linux_net::remove_bound_namespace(file.path());
    }
    umount2((folder_ + "/bpf").c_str(), MNT_DETACH);
    std::filesystem::remove_all(folder_, ignored);
  }

  template <typename Body>
  void on_host(Body body) {
    EXPECT_TRUE(host_.run([&]() -> Status {
      body();
      return {};
    }));
  }
  // Runs a command in a guest.
  bool in_guest(const std::string& name, const std::string& command) {
    const auto where = NetNamespace::open(folder_ + "/run/netns/acme@" + name);
    int status = -1;
    if (!where) return false;
    (void)where->run([&]() -> Status {
      status = std::system((command + " >/dev/null 2>&1").c_str());
      return {};
    });
    return status == 0;
  }
  bool has_address(const std::string& name, const char* address) {
    const auto where = NetNamespace::open(folder_ + "/run/netns/acme@" + name);
    if (!where) return false;
    auto socket = *NetlinkSocket::open_in(*where);
    const auto addresses = *linux_net::list_addresses(socket);
    return std::ranges::any_of(
        addresses, [&](const auto& a) { return a.address == *IpAddress::parse(address); });
  }

  NetNamespace host_ = *NetNamespace::create_anonymous();
  std::string folder_;
};

v1::IntentItem on_netns(v1::IntentItem vm) {
  vm.mutable_instance()->set_driver("netns");
  return vm;
}
v1::IntentItem with_dhcp(v1::IntentItem port) {
  port.mutable_port()->set_dhcp(true);
  return port;
}

TEST_F(HostOnLinux, GuestsPingThroughTheSwitchAndAFirewallStopsThem) {
  on_host([&] {
    std::vector<v1::IntentItem> world{items::network(1), on_netns(items::vm("web-1", {1})),
                                      on_netns(items::vm("web-2", {2})), items::port(1, "web-1", 1),
                                      items::port(2, "web-2", 1)};
    Agent agent(folder_);
    accept(agent.intent, items::full({"i", 1, 1}, world));
    agent.reconciler->apply_all();
    ASSERT_TRUE(agent.run_until([&] {
      return agent.reconciler->ports().live(PortId{1}) &&
             agent.reconciler->ports().live(PortId{2}) && has_address("web-2", "10.1.0.2");
    }));
    EXPECT_TRUE(in_guest("web-1", "ping -c1 -W5 10.1.0.2"));

    // A policy that lets only TCP to port 80 in.
    accept(agent.intent,
           items::delta(1, {"i", 2, 1}, {items::firewall(1, 80), items::port(2, "web-2", 1, {1})}));
    agent.reconciler->apply_all();
    EXPECT_FALSE(in_guest("web-1", "ping -c1 -W1 10.1.0.2"));
    accept(agent.intent, items::delta(2, {"i", 3, 1}, {items::port(2, "web-2", 1)}));
    agent.reconciler->apply_all();
    EXPECT_TRUE(in_guest("web-1", "ping -c1 -W5 10.1.0.2"));
  });
}

TEST_F(HostOnLinux, AGuestGetsItsAddressAndRoutesFromTheHost) {
  on_host([&] {
    std::vector<v1::IntentItem> world{items::network(1), on_netns(items::vm("web-1", {1})),
                                      with_dhcp(items::port(1, "web-1", 1))};
    Agent agent(folder_);
    accept(agent.intent, items::full({"i", 1, 1}, world));
    agent.reconciler->apply_all();
    // The client's script sets the route after the address.
    EXPECT_TRUE(agent.run_until([&] {
      return has_address("web-1", "10.1.0.1") &&
             in_guest("web-1", "ip route show default | grep 'via 10.1.255.1'");
    }));
    EXPECT_GE(agent.service->counters().answered, 2U);  // OFFER and ACK at least
  });
}

// ISC's dhclient, not ours: another reading of the RFCs. Its lease is short, so that the test sees
// it renewed, and rebound after the agent was away.
class DhcpClients : public HostOnLinux {
 protected:
  void SetUp() override {
    if (access("/sbin/dhclient", X_OK) != 0) GTEST_SKIP() << "no /sbin/dhclient here";
  }
  static constexpr auto kLease = 10s;

  std::unique_ptr<Agent> start_agent() {
    auto tunables = small();
    tunables.guest_lease_s = kLease.count();
    auto agent = std::make_unique<Agent>(folder_, tunables);
    auto network = items::network(1);
    auto& subnet = *network.mutable_network()->add_subnets();
    subnet.set_cidr("fd00:0:0:1::/64");
    subnet.set_gateway("fd00:0:0:1::1");
    auto port = with_dhcp(items::port(1, "web-1", 1));
    port.mutable_port()->add_addresses("fd00:0:0:1::5");
    accept(agent->intent,
           items::full({"i", 1, 1}, {network, on_netns(items::vm("web-1", {1})), port}));
    agent->reconciler->apply_all();
    EXPECT_TRUE(agent->run_until([&] { return agent->reconciler->ports().live(PortId{1}); }));
    return agent;
  }
  // Below a folder of its own in place of /etc, whose resolv.conf it would write.
  void start_client(const char* family) {
    ASSERT_TRUE(in_guest(
        "web-1",
        fmt::format("sh -c 'unshare -m sh -c \"mount -t tmpfs none /etc && exec dhclient {0} -d -v "
                    "-pf {1}/pid{0} -lf {1}/leases{0} -cf /dev/null eth0\" > {1}/log{0} 2>&1 &'",
                    family, folder_)));
  }
  std::string text(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int count(const std::string& name, std::string_view what) const {
    int n = 0;
    const auto all = text(name);
    for (auto at = all.find(what); at != std::string::npos; at = all.find(what, at + 1)) ++n;
    return n;
  }
};

TEST_F(DhcpClients, Dhcp6LeaseIsRenewedAndReboundAndTheKernelTakesTheRoute) {
  on_host([&] {
    auto agent = start_agent();
    // The kernel's own part: what the router advertisement says.
    EXPECT_TRUE(agent->run_until([&] {
      return in_guest("web-1", "ip -6 route show default | grep 'via fe80:.* proto ra'") &&
             in_guest("web-1", "ip -6 route show fd00:0:0:1::/64 | grep 'dev eth0 proto kernel'");
    })) << "default route and subnet";
    EXPECT_FALSE(in_guest("web-1", "ip -6 addr show dev eth0 scope global | grep dynamic"))
        << "its address is not one that it makes itself";
    start_client("-6");
    EXPECT_TRUE(agent->run_until([&] { return has_address("web-1", "fd00:0:0:1::5"); }))
        << text("log-6");
    EXPECT_TRUE(agent->run_until([&] {
      return count("log-6", "XMT: Renew") > 0 && count("leases-6", "iaaddr fd00:0:0:1::5") >= 2;
    })) << text("log-6");
    agent.reset();
    const int renewed = count("leases-6", "iaaddr fd00:0:0:1::5");
    for (int i = 0; i < 120 && count("log-6", "XMT: Rebind") == 0; ++i) usleep(100'000);
    EXPECT_EQ(count("leases-6", "iaaddr fd00:0:0:1::5"), renewed) << "nobody answered";
    agent = start_agent();
    EXPECT_TRUE(agent->run_until([&] {
      return count("leases-6", "iaaddr fd00:0:0:1::5") > renewed;
    })) << text("log-6");
    // Its script sets the address after the lease is written.
    EXPECT_TRUE(agent->run_until([&] { return has_address("web-1", "fd00:0:0:1::5"); }));
  });
}

TEST_F(DhcpClients, Dhcp4LeaseIsRenewed) {
  on_host([&] {
    auto agent = start_agent();
    // The driver's own client makes room.
    ASSERT_TRUE(agent->run_until([&] { return has_address("web-1", "10.1.0.1"); }));
    ASSERT_TRUE(in_guest("web-1", "sh -c 'kill $(cat " + folder_ + "/run/dhcp/*.pid)'"));
    ASSERT_TRUE(in_guest("web-1", "ip -4 addr flush dev eth0"));
    start_client("-4");
    EXPECT_TRUE(agent->run_until([&] {
      return has_address("web-1", "10.1.0.1") &&
             in_guest("web-1", "ip route show default | grep 'via 10.1.255.1'");
    })) << text("log-4");
    EXPECT_TRUE(agent->run_until([&] { return count("log-4", "DHCPACK") >= 2; })) << text("log-4");
    EXPECT_EQ(count("log-4", "DHCPNAK"), 0);
    EXPECT_TRUE(in_guest("web-1", "ip link show eth0 | grep 'mtu 1450'"));
  });
}

}  // namespace
}  // namespace penstock::host
