// The agent against a simulated kernel: what it brings about, in which order, and what it does
// about failures.
#include <gtest/gtest.h>

#include "host/gateway.h"
#include "host/inspect.h"
#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::uint32_t>;

struct ReconcilerTest : testing::Test {
  HostWorld world;
  std::int64_t revision = 1;
  // A port that forwards without these policies, at any instant, is a hole.
  std::map<std::uint32_t, Ids> must_have;

  void SetUp() override {
    const auto look = [this] {
      const auto ports = inspect(world.kernel).value();
      for (const auto& [id, wanted] : must_have) {
        const auto found = ports.find(PortId(id));
        if (found == ports.end() || !found->second.forwards()) continue;
        for (const auto direction : {PS_OUT, PS_IN}) {
          auto have = found->second.policies(direction);
          for (const auto policy : wanted)
            EXPECT_NE(std::ranges::find(have, policy), have.end())
                << "port " << id << " forwards without policy " << policy;
        }
      }
    };
    world.kernel.after_change = look;
    world.machines.after_change = look;
    ASSERT_TRUE(world.start());
    world.run(1ms);
  }
  void sync(std::vector<v1::IntentItem> things) {
    world.server.say(items::full({"A", revision, 1}, std::move(things)));
    world.run(50ms);
  }
  void change(std::vector<v1::IntentItem> put, std::vector<std::string> remove = {}) {
    const auto before = revision++;
    world.server.say(items::delta(before, {"A", revision, 1}, std::move(put), std::move(remove)));
    world.run(50ms);
  }
  InspectedPort port(std::uint32_t id) {
    const auto ports = inspect(world.kernel).value();
    const auto found = ports.find(PortId(id));
    return found == ports.end() ? InspectedPort{} : found->second;
  }
  const Trouble* trouble(const std::string& key) {
    const auto& all = world.agent().reconciler().troubles();
    const auto found = all.find(key);
    return found == all.end() ? nullptr : &found->second;
  }
  std::optional<ps_endpoint> endpoint(std::uint32_t vni, const std::string& mac) {
    const auto found = world.kernel.map_get(
        Map::kEndpoints, bytes_of(endpoint_key(Vni(vni), Mac::parse(mac).value())));
    if (!found.value()) return std::nullopt;
    return value_of<ps_endpoint>(**found).value();
  }
  std::vector<v1::IntentItem> small_world() {
    return {items::overlay("vs0", "up0", "192.0.2.1"),
            items::network(7),
            items::firewall(1, 80),
            items::vm("web", {5}),
            items::port(5, "web", 7),
            items::neighbor(90, 7, "192.0.2.2")};
  }
};

TEST_F(ReconcilerTest, BringsUpAWholeHost) {
  sync(small_world());
  EXPECT_TRUE(world.agent().reconciler().troubles().empty());
  const auto web = port(5);
  EXPECT_TRUE(web.forwards());
  EXPECT_TRUE(web.policies(PS_OUT).empty());
  EXPECT_TRUE(world.machines.machines.at("acme/web").sending);
  EXPECT_EQ(world.machines.machines.at("acme/web").spec.nics.at(0).addresses.at(0).second, 16);

  EXPECT_EQ(endpoint(7, "02:00:00:00:00:05")->kind, PS_ENDPOINT_LOCAL);
  EXPECT_EQ(endpoint(7, "02:00:00:00:00:5a")->kind, PS_ENDPOINT_REMOTE);
  EXPECT_EQ(endpoint(7, gateway_mac(Vni(7)).text())->kind, PS_ENDPOINT_GATEWAY);
  const auto flood =
      value_of<ps_flood>(**world.kernel.map_get(Map::kFlood, bytes_of(std::uint32_t{7}))).value();
  EXPECT_EQ(flood.local_count, 1u);
  EXPECT_EQ(flood.remote_count, 1u);

  const auto ack = world.last_ack();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->position().revision(), 1);
  EXPECT_EQ(ack->not_ready_size(), 0) << ack->ShortDebugString();
}

TEST_F(ReconcilerTest, EnablingIsOneStoreADirectionAndNoKernelCall) {
  sync(small_world());
  const auto before = port(5);
  const auto calls = world.kernel.calls;
  change({items::port(5, "web", 7, {1})});
  const auto after = port(5);
  EXPECT_EQ(after.policies(PS_OUT), Ids{1});
  EXPECT_EQ(after.policies(PS_IN), Ids{1});
  EXPECT_EQ(after.slot, before.slot);
  EXPECT_EQ(world.kernel.calls.writes, calls.writes);
  EXPECT_EQ(world.kernel.calls.attach_calls, calls.attach_calls);
  EXPECT_EQ(world.kernel.calls.synchronizes, calls.synchronizes);
  EXPECT_EQ(world.kernel.calls.count_writes, calls.count_writes);
  EXPECT_EQ(world.machines.ensures, 1) << "the instance is not concerned";
  EXPECT_GT(after.direction[PS_OUT].generation, before.direction[PS_OUT].generation);

  change({items::port(5, "web", 7)});
  EXPECT_TRUE(port(5).policies(PS_OUT).empty());
  EXPECT_GT(port(5).direction[PS_OUT].generation, after.direction[PS_OUT].generation);
}

TEST_F(ReconcilerTest, StepsRunInOrderOutAndBackwardsIn) {
  sync({items::network(7), items::firewall(1, 80), items::firewall(2, 443), items::vm("web", {5}),
        items::port(5, "web", 7, {1, 2})});
  EXPECT_EQ(port(5).policies(PS_OUT), (Ids{1, 2}));
  EXPECT_EQ(port(5).policies(PS_IN), (Ids{2, 1}));
}

TEST_F(ReconcilerTest, PoliciesThatTheSwitchNumbersAlikeAreNotMixedUp) {
  const std::uint64_t one = 0x1'0000'0005, two = 0x2'0000'0005;
  sync({items::network(7), items::firewall(one, 80), items::firewall(two, 443),
        items::vm("web", {5}), items::vm("db", {6}), items::port(5, "web", 7, {one}),
        items::port(6, "db", 7, {two})});
  EXPECT_TRUE(world.agent().reconciler().troubles().empty());
  const auto opens = [&](std::uint32_t id) {
    const auto step = port(id).direction[PS_IN].steps.at(0);
    EXPECT_EQ(step.policy, 5u);
    return step.rules.rows.at(0).at(0).text();
  };
  EXPECT_NE(opens(5).find("80"), std::string::npos) << opens(5);
  EXPECT_NE(opens(6).find("443"), std::string::npos) << opens(6);
  change({items::port(6, "db", 7)}, {policy_key(two)});
  EXPECT_NE(opens(5).find("80"), std::string::npos) << opens(5);
}

TEST_F(ReconcilerTest, GroupsOfTwoTenantsThatTheSwitchNumbersAlikeStayApart) {
  const std::uint64_t acme = 0x1'0000'0009, globex = 0x2'0000'0009;
  sync({items::network(7), items::network(8), items::group(acme, {{7, "10.7.0.20"}}),
        items::group(globex, {{8, "10.8.0.20"}}), items::firewall(1, 80, acme),
        items::vm("web", {5}), items::port(5, "web", 7, {1})});
  const auto groups = [&](std::uint32_t vni, const char* address) {
    const auto found = world.kernel.map_get(
        Map::kGroups, bytes_of(network_key(Vni(vni), IpAddress::parse(address).value())));
    return found.value() ? value_of<ps_group_list>(**found).value().group[0] : 0;
  };
  EXPECT_EQ(groups(7, "10.7.0.20"), 9u);
  EXPECT_EQ(groups(8, "10.8.0.20"), 9u);
  const auto generation = port(5).direction[PS_IN].generation;
  change({}, {group_key(globex)});
  EXPECT_EQ(groups(7, "10.7.0.20"), 9u);
  EXPECT_EQ(groups(8, "10.8.0.20"), 0u);
  EXPECT_EQ(port(5).direction[PS_IN].generation, generation) << "the other tenant's flows rest";
}

TEST_F(ReconcilerTest, AProtectedPortNeverForwardsWithoutItsPolicy) {
  must_have[5] = {1};
  sync({items::network(7), items::firewall(1, 80), items::firewall(2, 443), items::vm("web", {5}),
        items::port(5, "web", 7, {1})});
  EXPECT_TRUE(port(5).forwards());
  change({items::firewall(1, 8080)});
  change({items::port(5, "web", 7, {1, 2})});
  change({items::port(5, "web", 7, {1})}, {"40/policy/2"});
  change({}, {"60/port/5", "50/vm/acme/web", "40/policy/1"});
  EXPECT_EQ(port(5).slot, 0u);
  EXPECT_TRUE(world.machines.machines.empty());
}

TEST_F(ReconcilerTest, APortWhosePolicyIsMissingStaysOutUntilItIsThere) {
  must_have[5] = {1};
  sync({items::network(7), items::vm("web", {5}), items::port(5, "web", 7, {1})});
  EXPECT_FALSE(port(5).forwards());
  EXPECT_FALSE(world.machines.machines.at("acme/web").sending);
  ASSERT_TRUE(trouble("60/port/5"));
  EXPECT_NE(
      trouble("60/port/5")->message.find("policy 1 (firewall-1, level standard) is not in place"),
      std::string::npos);
  change({items::firewall(1, 80)});
  world.run(2s);
  EXPECT_TRUE(port(5).forwards());
  EXPECT_TRUE(world.machines.machines.at("acme/web").sending);
}

TEST_F(ReconcilerTest, AChangedPolicyReachesItsPortsUnderANewGeneration) {
  auto things = small_world();
  things.push_back(items::vm("db", {6}));
  things.push_back(items::port(6, "db", 7));
  things[4] = items::port(5, "web", 7, {1});
  sync(things);
  const auto web = port(5), db = port(6);
  change({items::firewall(1, 8080)});
  EXPECT_GT(port(5).direction[PS_IN].generation, web.direction[PS_IN].generation);
  EXPECT_NE(port(5).direction[PS_IN].line, web.direction[PS_IN].line);
  EXPECT_EQ(port(5).direction[PS_IN].steps.at(0).rules.rows[0].at(0).dst_ports.low, 8080);
  EXPECT_EQ(port(6).direction[PS_IN].generation, db.direction[PS_IN].generation);
}

TEST_F(ReconcilerTest, APolicyThatCannotBeBuiltLeavesTheOldOneInForce) {
  auto things = small_world();
  things[4] = items::port(5, "web", 7, {1});
  sync(things);
  const auto before = port(5);
  auto bad = items::firewall(1, 80);
  bad.mutable_policy()->mutable_filter()->mutable_rules(0)->add_from()->set_cidr("10.0.0.300/8");
  change({bad});
  EXPECT_EQ(port(5).direction[PS_IN].generation, before.direction[PS_IN].generation);
  ASSERT_TRUE(trouble("40/policy/1"));
  EXPECT_TRUE(trouble("40/policy/1")->final);
  EXPECT_NE(trouble("40/policy/1")->message.find("rules[0].from[0].cidr"), std::string::npos)
      << trouble("40/policy/1")->message;
  EXPECT_EQ(world.last_ack()->not_ready(0).retry_in_ms(), 0);
  change({items::firewall(1, 443)});
  EXPECT_EQ(world.last_ack()->not_ready_size(), 0);
  EXPECT_GT(port(5).direction[PS_IN].generation, before.direction[PS_IN].generation);
}

TEST_F(ReconcilerTest, APortWaitingForAPolicyThatWillNotComeSaysSo) {
  auto bad = items::firewall(1, 80);
  bad.mutable_policy()->mutable_filter()->mutable_rules(0)->add_from()->set_cidr("10.0.0.300/8");
  sync({items::network(7), bad, items::vm("web", {5}), items::port(5, "web", 7, {1})});
  ASSERT_TRUE(trouble("60/port/5"));
  EXPECT_TRUE(trouble("60/port/5")->final);
  EXPECT_NE(trouble("60/port/5")->message.find("rules[0].from[0].cidr"), std::string::npos)
      << trouble("60/port/5")->message;
  EXPECT_FALSE(port(5).forwards());
  change({items::firewall(1, 443)});
  EXPECT_EQ(world.last_ack()->not_ready_size(), 0) << world.last_ack()->ShortDebugString();
  EXPECT_EQ(port(5).policies(PS_OUT), Ids{1});
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, EqualPoliciesShareTheirPlaceAndEachPortCountsForItself) {
  sync({items::network(7), items::firewall(1, 80), items::firewall(2, 80), items::vm("a", {5}),
        items::vm("b", {6}), items::port(5, "a", 7, {1}), items::port(6, "b", 7, {1})});
  const auto& ports = world.agent().reconciler().ports();
  const auto& one = ports.steps(PortId(5))->at(PS_IN).steps.at(0);
  const auto& other = ports.steps(PortId(6))->at(PS_IN).steps.at(0);
  EXPECT_EQ(one.image, other.image);
  EXPECT_NE(one.counts, other.counts);
  EXPECT_EQ(world.agent().reconciler().policies().find(1)->image,
            world.agent().reconciler().policies().find(2)->image);
}

TEST_F(ReconcilerTest, AGroupChangeIsOneWriteAndJudgesItsUsersAgain) {
  sync({items::network(7), items::group(3, {{7, "10.7.0.9"}}), items::firewall(1, 80, 3),
        items::firewall(2, 80), items::vm("a", {5}), items::vm("b", {6}),
        items::port(5, "a", 7, {1}), items::port(6, "b", 7, {2})});
  const auto a = port(5), b = port(6);
  const auto writes = world.kernel.calls.writes;
  change({items::group(3, {{7, "10.7.0.9"}, {7, "10.7.0.10"}})});
  EXPECT_EQ(world.kernel.calls.writes, writes + 1);
  EXPECT_GT(port(5).direction[PS_IN].generation, a.direction[PS_IN].generation);
  EXPECT_EQ(port(5).direction[PS_IN].line, a.direction[PS_IN].line);
  EXPECT_EQ(port(6).direction[PS_IN].generation, b.direction[PS_IN].generation);
}

TEST_F(ReconcilerTest, AVmThatMovesHereIsReachedWithoutAGap) {
  auto things = small_world();
  sync(things);
  // The server's order is its own: the neighbour goes and the port comes in one delta.
  change({items::vm("moved", {90}), items::port(90, "moved", 7)}, {"70/nbr/7/90"});
  EXPECT_EQ(endpoint(7, "02:00:00:00:00:5a")->kind, PS_ENDPOINT_LOCAL);
  change({items::neighbor(90, 7, "192.0.2.2")}, {"60/port/90", "50/vm/acme/moved"});
  EXPECT_EQ(endpoint(7, "02:00:00:00:00:5a")->kind, PS_ENDPOINT_REMOTE);
}

TEST_F(ReconcilerTest, AVmThatMovesBetweenOtherHostsIsHeardFromBothForAWhile) {
  sync(small_world());
  const auto also = [&] { return endpoint(7, "02:00:00:00:00:5a").value_or(ps_endpoint{}).also; };
  EXPECT_EQ(also().family, 0);
  change({items::neighbor(90, 7, "192.0.2.3")});
  EXPECT_EQ(address_of(endpoint(7, "02:00:00:00:00:5a")->vtep).text(), "192.0.2.3");
  EXPECT_EQ(address_of(also()).text(), "192.0.2.2");
  const std::chrono::milliseconds audit(world.tunables.reconcile_audit_ms);
  world.run(audit);
  EXPECT_EQ(also().family, 4) << "at least one whole audit interval";
  world.run(audit);
  EXPECT_EQ(also().family, 0);
  change({items::neighbor(90, 7, "192.0.2.2")});
  change({}, {"70/nbr/7/90"});
  EXPECT_FALSE(endpoint(7, "02:00:00:00:00:5a")) << "a VM that is gone is heard from nowhere";
}

TEST_F(ReconcilerTest, OneFailingItemDoesNotStopTheOthers) {
  world.machines.broken.insert("acme/bad");
  auto things = small_world();
  things.push_back(items::vm("bad", {6}));
  things.push_back(items::port(6, "bad", 7));
  sync(things);
  EXPECT_TRUE(port(5).forwards());
  ASSERT_TRUE(trouble("50/vm/acme/bad"));
  EXPECT_NE(trouble("50/vm/acme/bad")->message.find("does not boot"), std::string::npos);
  const auto ack = world.last_ack();
  EXPECT_EQ(ack->not_ready_size(), 2) << ack->ShortDebugString();
  EXPECT_GT(ack->not_ready(0).retry_in_ms(), 0);
}

TEST_F(ReconcilerTest, RetriesWithBackoffUntilItWorksAndTellsTheServer) {
  world.machines.broken.insert("acme/web");
  sync(small_world());
  const auto early = world.machines.ensures;
  world.run(60s);
  EXPECT_GT(world.machines.ensures, early + 5);
  EXPECT_LT(world.machines.ensures, early + 15) << "back-off";
  world.server.heard.clear();
  world.machines.broken.clear();
  world.run(60s);
  EXPECT_TRUE(port(5).forwards());
  ASSERT_TRUE(world.last_ack()) << "the server hears of it by itself";
  EXPECT_EQ(world.last_ack()->not_ready_size(), 0);
}

TEST_F(ReconcilerTest, AttachRefusedKeepsTheGuestQuiet) {
  world.kernel.faults.attach_denied_everywhere = true;
  auto things = small_world();
  things.erase(things.begin());  // no overlay: it would fail as well
  sync(things);
  EXPECT_FALSE(world.machines.machines.at("acme/web").sending);
  ASSERT_TRUE(trouble("50/vm/acme/web"));
  EXPECT_EQ(trouble("50/vm/acme/web")->reason, "NotPermitted");
  EXPECT_NE(trouble("50/vm/acme/web")->message.find("Operation not permitted"), std::string::npos);
  world.kernel.faults.attach_denied_everywhere = false;
  world.run(5s);
  EXPECT_TRUE(world.machines.machines.at("acme/web").sending);
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, AFullMapNamesTheItemAndIsTriedAgain) {
  sync(small_world());
  world.kernel.faults.full.insert(Map::kEndpoints);
  change({items::neighbor(91, 7, "192.0.2.3")});
  ASSERT_TRUE(trouble("70/nbr/7/91"));
  EXPECT_EQ(trouble("70/nbr/7/91")->reason, "OutOfRoom");
  EXPECT_FALSE(endpoint(7, "02:00:00:00:00:5b"));
  world.kernel.faults.full.clear();
  world.run(60s);
  EXPECT_TRUE(endpoint(7, "02:00:00:00:00:5b"));
  EXPECT_FALSE(trouble("70/nbr/7/91"));
}

TEST_F(ReconcilerTest, ARemovedDeviceIsNoticedAndMadeAgain) {
  auto things = small_world();
  things[4] = items::port(5, "web", 7, {1});
  must_have[5] = {1};
  sync(things);
  const auto before = port(5);
  world.server.heard.clear();
  world.kernel.remove_link(before.ifindex);
  world.run(200ms);
  const auto after = port(5);
  EXPECT_TRUE(after.forwards());
  EXPECT_NE(after.ifindex, before.ifindex);
  EXPECT_FALSE(world.kernel.map_get(Map::kPortSlots, bytes_of(before.ifindex)).value());
  bool told = false;
  for (const auto& message : world.server.heard)
    for (const auto& item : message.ack().not_ready()) told = told || item.key() == "60/port/5";
  EXPECT_TRUE(told) << "the server was told that the port had no device";
  EXPECT_EQ(world.last_ack()->not_ready_size(), 0);
}

TEST_F(ReconcilerTest, ADeletedOverlayDeviceIsMadeAgain) {
  sync(small_world());
  int overlay = 0;
  for (const auto& [ifindex, link] : world.kernel.devices())
    if (link.kind == "vxlan") overlay = ifindex;
  ASSERT_NE(overlay, 0);
  world.kernel.remove_link(overlay);
  world.run(200ms);
  const auto now =
      value_of<std::uint32_t>(**world.kernel.map_get(Map::kOverlay, bytes_of(std::uint32_t{0})))
          .value();
  ASSERT_TRUE(world.kernel.devices().contains(static_cast<int>(now)));
  const auto attachments = world.kernel.attachments().value();
  EXPECT_TRUE(
      std::ranges::count(attachments, Attachment{static_cast<int>(now), Program::kFromOverlay}));
}

TEST_F(ReconcilerTest, ADetachedProgramIsAttachedAgain) {
  sync(small_world());
  ASSERT_TRUE(world.kernel.detach({port(5).ifindex, Program::kToPort}));
  world.run(11s);
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, AGuestThatDiesIsStartedAgain) {
  sync(small_world());
  world.machines.kill("acme/web");
  world.run(200ms);
  EXPECT_TRUE(world.machines.machines.contains("acme/web"));
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, AStoppedInstanceIsReadyWithoutADevice) {
  sync(small_world());
  change({items::vm("web", {5}, false)});
  EXPECT_TRUE(world.agent().reconciler().troubles().empty());
  EXPECT_FALSE(port(5).forwards());
  EXPECT_FALSE(endpoint(7, "02:00:00:00:00:05"));
  change({items::vm("web", {5})});
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, AMissingUplinkIsNamedAndNothingElseSuffers) {
  auto things = small_world();
  things[0] = items::overlay("vs0", "up9", "192.0.2.1");
  sync(things);
  ASSERT_TRUE(trouble("10/switch/vs0"));
  EXPECT_NE(trouble("10/switch/vs0")->message.find("up9"), std::string::npos);
  EXPECT_TRUE(port(5).forwards());
}

TEST_F(ReconcilerTest, NeverTouchesForeignDevices) {
  Link foreign;
  foreign.name = "vxlan100";
  foreign.kind = "vxlan";
  foreign.alias = "somebody else's";
  const auto ifindex = world.kernel.add_link(foreign);
  sync(small_world());
  change({}, {"10/switch/vs0"});
  EXPECT_TRUE(world.kernel.devices().contains(ifindex));
  for (const auto& [index, link] : world.kernel.devices())
    EXPECT_FALSE(link.alias.starts_with("penstock:overlay")) << link.name;
}

TEST_F(ReconcilerTest, AnUnknownDriverOrStepKindIsSaidForGood) {
  auto things = small_world();
  things[3].mutable_instance()->set_driver("libvirt");
  sync(things);
  ASSERT_TRUE(trouble("50/vm/acme/web"));
  EXPECT_TRUE(trouble("50/vm/acme/web")->final);
  auto odd = items::port(5, "web", 7, {1});
  odd.mutable_port()->mutable_steps(0)->set_kind("teleport");
  change({items::vm("web", {5})});
  EXPECT_TRUE(port(5).forwards());
  change({odd});
  ASSERT_TRUE(trouble("60/port/5"));
  EXPECT_NE(trouble("60/port/5")->message.find("teleport"), std::string::npos);
}

TEST_F(ReconcilerTest, ReleasedPolicyMemoryIsReclaimedWhenQuiet) {
  sync(small_world());
  const auto held = world.agent().reconciler().arena().lines_held();
  change({items::firewall(1, 81)});
  EXPECT_GT(world.agent().reconciler().arena().lines_released(), 0u);
  world.run(10s);
  EXPECT_EQ(world.agent().reconciler().arena().lines_released(), 0u);
  EXPECT_EQ(world.agent().reconciler().arena().lines_held(), held);
}

TEST_F(ReconcilerTest, WorksInTurnsAndAcknowledgesOnceAllIsDone) {
  std::vector<v1::IntentItem> things{items::network(7)};
  for (std::uint32_t id = 1; id <= 500; ++id) things.push_back(items::neighbor(id, 7, "192.0.2.2"));
  world.server.heard.clear();
  sync(things);
  int acks = 0;
  for (const auto& message : world.server.heard) acks += message.has_ack();
  EXPECT_EQ(acks, 1);
  EXPECT_EQ(world.kernel.map_dump(Map::kEndpoints)->size(), 501u);
}

}  // namespace
}  // namespace penstock::host
