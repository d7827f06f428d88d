// Namespace instances on a real kernel. The host of each test is a namespace without a name and a
// folder of its own; the folder, its mounts and the guests' processes go with the fixture.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/real_runtime.h"
#include "host/netns/guests.h"
#include "host/netns/netns_hypervisor.h"
#include "net/linux/addresses.h"
#include "net/linux/links.h"

namespace penstock::host {
namespace {

using linux_net::LinkInfo;
using linux_net::NetlinkSocket;
using linux_net::NetNamespace;
using namespace std::chrono_literals;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

NicSpec nic(std::uint32_t port) {
  return {.port = PortId{port},
          .name = "eth0",
          .mac = *Mac::parse("02:00:00:00:00:05"),
          .mtu = 1400,
          .mode = AddressMode::kStatic,
          .addresses = {{ip("10.0.1.5"), 24}, {ip("fd00:1::5"), 64}},
          .gateways = {ip("10.0.1.1"), ip("fd00:1::1")}};
}
InstanceSpec web(std::uint32_t port = 7) {
  return {.id = "acme/web-1", .running = true, .nics = {nic(port)}};
}

class Namespaces : public testing::Test {
 protected:
  Namespaces() {
    static int serial = 0;
    run_dir_ =
        std::filesystem::temp_directory_path() / fmt::format("ps-netns-{}-{}", getpid(), serial++);
  }
  ~Namespaces() override {
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(run_dir_ + "/netns", ignored)) {
      if (auto where = NetNamespace::open(file.path())) (void)linux_net::kill_processes_in(*where);
      (void)linux_net::remove_bound_namespace(file.path());
    }
    std::filesystem::remove_all(run_dir_, ignored);
  }

  // Runs a test's body with the host's namespace as its own.
  template <typename Body>
  void on_host(Body body) {
    EXPECT_TRUE(host_.run([&]() -> Status {
      body();
      return {};
    }));
  }
  Guests guests() { return *Guests::open(run_dir_); }
  NetNamespace inside(const std::string& id = "acme/web-1") {
    return *NetNamespace::open(guests().namespace_path(id));
  }
  LinkInfo guest_link(const std::string& name = "eth0") {
    auto socket = *NetlinkSocket::open_in(inside());
    return linux_net::find_link(socket, name).value_or(LinkInfo{});
  }
  LinkInfo host_link(const std::string& name) {
    auto socket = *NetlinkSocket::open_in(host_);
    return linux_net::find_link(socket, name).value_or(LinkInfo{});
  }
  std::vector<std::string> guest_addresses() {
    auto socket = *NetlinkSocket::open_in(inside());
    std::vector<std::string> texts;
    const auto addresses = *linux_net::list_addresses(socket);
    for (const auto& a : addresses) {
      if (a.ifindex != 1 && !a.link_local)
        texts.push_back(fmt::format("{}/{}", a.address.text(), a.length));
    }
    return texts;
  }
  std::vector<std::string> guest_gateways() {
    auto socket = *NetlinkSocket::open_in(inside());
    std::vector<std::string> texts;
    const auto routes = *linux_net::list_routes(socket);
    for (const auto& route : routes) {
      if (route.gateway) texts.push_back(route.gateway->text());
    }
    return texts;
  }

  NetNamespace host_ = *NetNamespace::create_anonymous();
  std::string run_dir_;
};

TEST(DeviceAlias, ThereAndBack) {
  const GuestDevice device{PortId{7}, "acme/web-1"};
  EXPECT_EQ(device_alias(device), "penstock:port/7 acme/web-1");
  EXPECT_EQ(parse_device_alias(device_alias(device)), device);
  for (const auto* foreign : {"", "penstock:port/", "penstock:port/x y", "penstock:port/7", "other",
                              "penstock:switch/a"}) {
    EXPECT_EQ(parse_device_alias(foreign), std::nullopt) << foreign;
  }
  EXPECT_LE(device_name(PortId{0xffffffff}).size(), linux_net::kLinkNameMax);
}

TEST_F(Namespaces, DevicesAreDownUntilStarted) {
  on_host([&] {
    auto guests = this->guests();
    const auto info = guests.prepare(web());
    ASSERT_TRUE(info) << info.error().text();
    const auto outside = host_link("ps-p7");
    EXPECT_EQ(info->ports, (std::vector<PortDevice>{{PortId{7}, outside.ifindex, true}}));
    EXPECT_EQ(outside.alias, "penstock:port/7 acme/web-1");
    EXPECT_FALSE(outside.up);
    EXPECT_FALSE(guest_link().up);
    EXPECT_TRUE(guest_link("lo").up);

    const auto started = guests.start(web());
    ASSERT_TRUE(started) << started.error().text();
    EXPECT_TRUE(host_link("ps-p7").carrier);
    EXPECT_TRUE(guest_link().carrier);
    EXPECT_EQ(guest_link().mac, nic(7).mac);
    EXPECT_EQ(guest_link().mtu, 1400);
    EXPECT_EQ(guest_addresses(), (std::vector<std::string>{"10.0.1.5/24", "fd00:1::5/64"}));
    EXPECT_EQ(guest_gateways(), (std::vector<std::string>{"10.0.1.1", "fd00:1::1"}));
  });
}

TEST_F(Namespaces, ARestartedAgentFindsThemAndChangesNothing) {
  on_host([&] {
    {
      auto guests = this->guests();
      ASSERT_TRUE(guests.prepare(web()));
      ASSERT_TRUE(guests.start(web()));
    }
    const auto before = host_link("ps-p7");
    const auto inode = inside().inode();
    auto restarted = this->guests();
    EXPECT_EQ(
        *restarted.list(),
        (std::vector<InstanceInfo>{{"acme/web-1", true, {{PortId{7}, before.ifindex, true}}}}));
    ASSERT_TRUE(restarted.prepare(web()));
    EXPECT_EQ(host_link("ps-p7"), before);  // still up
    ASSERT_TRUE(restarted.start(web()));
    EXPECT_EQ(inside().inode(), inode);
  });
}

TEST_F(Namespaces, DifferencesAreBroughtToTheSpecWithoutMakingItAnew) {
  on_host([&] {
    auto guests = this->guests();
    ASSERT_TRUE(guests.prepare(web()));
    ASSERT_TRUE(guests.start(web()));
    const auto ifindex = host_link("ps-p7").ifindex;
    auto changed = web();
    changed.nics[0].mac = *Mac::parse("02:00:00:00:00:99");
    changed.nics[0].mtu = 1300;
    changed.nics[0].addresses = {{ip("10.0.1.6"), 24}};
    changed.nics[0].gateways = {ip("10.0.1.2")};
    auto second = nic(8);
    second.name = "eth1";
    second.mac = *Mac::parse("02:00:00:00:00:08");
    second.addresses = {{ip("10.0.2.5"), 32}};
    second.gateways = {};
    changed.nics.push_back(second);
    ASSERT_TRUE(guests.prepare(changed));
    const auto started = guests.start(changed);
    ASSERT_TRUE(started) << started.error().text();
    EXPECT_EQ(host_link("ps-p7").ifindex, ifindex);
    EXPECT_EQ(guest_link().mac, changed.nics[0].mac);
    EXPECT_EQ(guest_link().mtu, 1300);
    EXPECT_EQ(host_link("ps-p7").mtu, 1300);
    EXPECT_TRUE(guest_link("eth1").up);
    EXPECT_EQ(guest_addresses(), (std::vector<std::string>{"10.0.1.6/24", "10.0.2.5/32"}));
    EXPECT_EQ(guest_gateways(), (std::vector<std::string>{"10.0.1.2"}));

    changed.nics.erase(changed.nics.begin());
    ASSERT_TRUE(guests.prepare(changed));
    EXPECT_EQ(host_link("ps-p7").ifindex, 0);
    EXPECT_EQ(guests.list()->at(0).ports.size(), 1U);
  });
}

TEST_F(Namespaces, RemoveLeavesNothingAndForeignLinksStay) {
  on_host([&] {
    auto guests = this->guests();
    auto stranger = *NetlinkSocket::open();
    ASSERT_TRUE(linux_net::create_bridge(stranger, "ps-p9"));
    const auto refused = guests.prepare(web(9));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
    ASSERT_TRUE(guests.prepare(web()));
    ASSERT_TRUE(guests.start(web()));
    ASSERT_TRUE(guests.remove("acme/web-1"));
    EXPECT_TRUE(guests.remove("acme/web-1"));
    EXPECT_TRUE(guests.list()->empty());
    EXPECT_EQ(host_link("ps-p7").ifindex, 0);
    EXPECT_EQ(host_link("ps-p9").kind, "bridge");
    EXPECT_TRUE(std::filesystem::is_empty(run_dir_ + "/netns"));
  });
}

TEST_F(Namespaces, AStoppedInstanceHasNoDevicesAndNoProcesses) {
  on_host([&] {
    auto guests = this->guests();
    ASSERT_TRUE(guests.prepare(web()));
    ASSERT_TRUE(guests.start(web()));
    int child = 0;
    ASSERT_TRUE(inside().run([&]() -> Status {
      child = fork();
      if (child == 0) {
        pause();
        _exit(0);
      }
      return {};
    }));
    auto stopped = web();
    stopped.running = false;
    const auto info = guests.prepare(stopped);
    ASSERT_TRUE(info) << info.error().text();
    EXPECT_FALSE(info->running);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(*guests.list(), (std::vector<InstanceInfo>{{"acme/web-1", false, {}}}));
    ASSERT_TRUE(guests.prepare(web()));
    EXPECT_TRUE(guests.list()->at(0).running);
  });
}

TEST_F(Namespaces, NamesThatWouldLeaveTheFolderAreRefused) {
  on_host([&] {
    auto guests = this->guests();
    for (const auto* id : {"", "../x", "a b", "a@b", "a\nb"}) {
      auto spec = web();
      spec.id = id;
      EXPECT_EQ(guests.prepare(spec).error().code, Code::kInvalidArgument) << id;
    }
  });
}

TEST_F(Namespaces, TwoGuestsTalkThroughTheirDevices) {
  // Not through the switch: a bridge shows that a guest's packets really come out of its device.
  on_host([&] {
    auto guests = this->guests();
    auto other = web(8);
    other.id = "acme/web-2";
    other.nics[0].mac = *Mac::parse("02:00:00:00:00:06");
    other.nics[0].addresses = {{ip("10.0.1.6"), 24}, {ip("fd00:1::6"), 64}};
    auto socket = *NetlinkSocket::open();
    ASSERT_TRUE(linux_net::create_bridge(socket, "br0"));
    const auto bridge = host_link("br0").ifindex;
    ASSERT_TRUE(linux_net::set_link_up(socket, bridge, true));
    for (const auto& spec : {web(), other}) {
      const auto info = guests.prepare(spec);
      ASSERT_TRUE(info) << info.error().text();
      ASSERT_TRUE(linux_net::set_link_master(socket, info->ports[0].ifindex, bridge));
      ASSERT_TRUE(guests.start(spec));
    }
    const auto ping = [&](const char* to) {
      int status = -1;
      (void)inside().run([&]() -> Status {
        status = std::system(fmt::format("ping -c1 -W2 {} >/dev/null 2>&1", to).c_str());
        return {};
      });
      return status == 0;
    };
    EXPECT_TRUE(ping("10.0.1.6"));
    EXPECT_TRUE(ping("fd00:1::6"));  // at once: no duplicate address detection
    EXPECT_FALSE(ping("10.0.1.7"));
  });
}

// The driver over the blocking half: what runs where and in which order.
TEST_F(Namespaces, TheDriverAsksForReadinessBeforeSwitchingOn) {
  on_host([&] {
    RealRuntime runtime{Tunables{}};
    NullLog log;
    auto driver = *NetnsHypervisor::open(runtime, log, run_dir_);
    std::string order;
    int told = 0;
    std::function<void()> next;
    driver->on_changed([&] { ++told; });
    const auto strand = std::this_thread::get_id();
    driver->ensure_instance(
        web(),
        [&](const InstanceInfo& info) -> Status {
          EXPECT_EQ(std::this_thread::get_id(), strand);
          EXPECT_EQ(info.ports.size(), 1U);
          EXPECT_FALSE(host_link("ps-p7").up || guest_link().up);
          order += "ready ";
          return fail(Code::kResourceExhausted, "map full");
        },
        [&](Status refused) {
          EXPECT_EQ(refused.error().message, "map full");
          EXPECT_FALSE(host_link("ps-p7").up || guest_link().up);
          order += "refused ";
          driver->ensure_instance(
              web(), [&](const InstanceInfo&) -> Status { return {}; },
              [&](Status done) {
                EXPECT_TRUE(done) << done.error().text();
                EXPECT_TRUE(guest_link().up);
                order += "done ";
                runtime.after(50ms, [&] { next(); });
              });
        });
    // A device that dies without us is told.
    next = [&] {
      EXPECT_GE(told, 1);
      told = 0;
      auto stranger = *NetlinkSocket::open();
      ASSERT_TRUE(linux_net::delete_link(stranger, host_link("ps-p7").ifindex));
      runtime.after(100ms, [&] {
        EXPECT_EQ(told, 1);
        driver->remove_instance("acme/web-1", [&](Status removed) {
          EXPECT_TRUE(removed);
          order += "removed";
          runtime.stop();
        });
      });
    };
    runtime.run();
    EXPECT_EQ(order, "ready refused done removed");
    EXPECT_TRUE(driver->list()->empty());
  });
}

}  // namespace
}  // namespace penstock::host
