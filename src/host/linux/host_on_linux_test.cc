// The host's reconciler on a real kernel: an intent goes in, guests in namespaces talk through the
// switch. Host and guests are namespaces without names or below a folder of the test; all of it
// goes with the fixture.
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
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
  RealRuntime runtime{small()};
  NullLog log;
  std::unique_ptr<LinuxKernel> kernel;
  std::unique_ptr<NetnsHypervisor> guests;
  std::unique_ptr<GuestService> service;
  Intent intent;
  std::unique_ptr<Reconciler> reconciler;

  explicit Agent(const std::string& folder) {
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

}  // namespace
}  // namespace penstock::host
