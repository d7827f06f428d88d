// The fakes are what simulation believes in, so they have tests of their own.
#include <gtest/gtest.h>

#include "base/sim_runtime.h"
#include "host/sim/fake_hypervisor.h"
#include "host/sim/fake_kernel.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;

TEST(FakeKernel, MapsHoldBytesAndDumpSorted) {
  FakeKernel kernel(4096, 4);
  const auto one = bytes_of(std::uint8_t{1}), two = bytes_of(std::uint8_t{2});
  ASSERT_TRUE(kernel.map_put(Map::kFlood, two, one));
  ASSERT_TRUE(kernel.map_put(Map::kFlood, one, two));
  EXPECT_EQ(kernel.map_dump(Map::kFlood).value(),
            (std::vector<std::pair<Bytes, Bytes>>{{one, two}, {two, one}}));
  ASSERT_TRUE(kernel.map_erase(Map::kFlood, one));
  ASSERT_TRUE(kernel.map_erase(Map::kFlood, one));
  EXPECT_FALSE(kernel.map_get(Map::kFlood, one)->has_value());
}

TEST(FakeKernel, AFullMapStillTakesWhatItHas) {
  FakeKernel kernel(4096, 4);
  const auto one = bytes_of(std::uint8_t{1}), two = bytes_of(std::uint8_t{2});
  ASSERT_TRUE(kernel.map_put(Map::kFlood, one, one));
  kernel.faults.full.insert(Map::kFlood);
  EXPECT_TRUE(kernel.map_put(Map::kFlood, one, two));
  EXPECT_EQ(kernel.map_put(Map::kFlood, two, two).error().code, Code::kResourceExhausted);
}

TEST(FakeKernel, ProgramsGoWithTheirDeviceAndNumbersAreNotReused) {
  FakeKernel kernel(4096, 4);
  int news = 0;
  kernel.on_links_changed([&] { ++news; });
  Link link;
  link.kind = "veth";
  const auto first = kernel.add_link(link);
  ASSERT_TRUE(kernel.attach({first, Program::kFromPort}));
  kernel.remove_link(first);
  EXPECT_TRUE(kernel.attachments()->empty());
  EXPECT_EQ(kernel.attach({first, Program::kFromPort}).error().code, Code::kNotFound);
  EXPECT_NE(kernel.add_link(link), first);
  EXPECT_EQ(news, 3);
}

TEST(FakeKernel, FailsWhenTold) {
  FakeKernel kernel(4096, 4);
  const auto one = bytes_of(std::uint8_t{1});
  kernel.faults.calls_until_failure = 1;
  EXPECT_TRUE(kernel.map_put(Map::kFlood, one, one));
  EXPECT_EQ(kernel.map_put(Map::kFlood, one, one).error().code, Code::kUnavailable);
  EXPECT_FALSE(kernel.create_vxlan({}));
}

TEST(FakeKernel, ARebootForgetsAllButTheHardware) {
  FakeKernel kernel(4096, 4);
  Link uplink, veth;
  veth.kind = "veth";
  kernel.add_link(uplink);
  kernel.add_link(veth);
  kernel.arena()[100] = kernel.ports()[5] = std::byte{1};
  ASSERT_TRUE(kernel.map_put(Map::kFlood, bytes_of(1), bytes_of(1)));
  kernel.reboot();
  EXPECT_EQ(kernel.devices().size(), 1u);
  EXPECT_EQ(kernel.arena()[100], std::byte{0});
  EXPECT_EQ(kernel.ports()[5], std::byte{0});
  EXPECT_TRUE(kernel.map_dump(Map::kFlood)->empty());
}

struct FakeHypervisorTest : testing::Test {
  SimClock clock{1};
  FakeKernel kernel{4096, 4};
  FakeMachines machines{kernel};
  InstanceSpec spec{
      "acme/web", true, {NicSpec{PortId(5), "eth0", {}, 1450, AddressMode::kStatic, {}, {}}}};
};

TEST_F(FakeHypervisorTest, TheGuestIsQuietUntilItsDevicesAreReady) {
  SimRuntime runtime(clock, {});
  FakeHypervisor driver(runtime, machines);
  bool done = false;
  driver.ensure_instance(
      spec,
      [&](const InstanceInfo& info) -> Status {
        EXPECT_FALSE(machines.machines.at("acme/web").sending);
        EXPECT_TRUE(kernel.devices().contains(info.ports.at(0).ifindex));
        return {};
      },
      [&](Status status) { done = status.has_value(); });
  EXPECT_FALSE(done) << "never within the call";
  clock.run_until({1s});
  EXPECT_TRUE(done);
  EXPECT_TRUE(machines.machines.at("acme/web").sending);
  EXPECT_EQ(driver.list()->size(), 1u);
}

TEST_F(FakeHypervisorTest, AnErrorOfTheSwitchKeepsItQuiet) {
  SimRuntime runtime(clock, {});
  FakeHypervisor driver(runtime, machines);
  Status outcome;
  driver.ensure_instance(
      spec, [](const InstanceInfo&) -> Status { return fail(Code::kInternal, "no policy"); },
      [&](Status status) { outcome = std::move(status); });
  clock.run_until({1s});
  EXPECT_FALSE(outcome);
  EXPECT_FALSE(machines.machines.at("acme/web").sending);
}

TEST_F(FakeHypervisorTest, MachinesOutliveTheAgent) {
  {
    SimRuntime runtime(clock, {});
    FakeHypervisor driver(runtime, machines);
    driver.ensure_instance(
        spec, [](const InstanceInfo&) -> Status { return {}; }, [](Status) {});
    clock.run_until({1s});
    driver.remove_instance("acme/web", [](Status) { FAIL() << "after the crash"; });
  }
  clock.run_until({2s});
  SimRuntime runtime(clock, {});
  FakeHypervisor driver(runtime, machines);
  EXPECT_EQ(driver.list()->at(0).ports.size(), 1u);
}

}  // namespace
}  // namespace penstock::host
