#include "server/journal.h"

#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;

struct FlowsTest : ::testing::Test {
  World world;
  std::string owner, other;

  void SetUp() override {
    world.furnish();
    const auto user = [&](const std::string& name) {
      World::must(world.put(R"({"kind":"User","metadata":{"name":")" + name +
                            R"("},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
      return world.token_for_user(name);
    };
    owner = user("me");
    other = user("you");
    world.add_vm("mine", "h1", R"(,"owner":"user:me")");
    world.run_for(std::chrono::milliseconds(50));
  }

  v1::VirtualMachine vm(const std::string& name) {
    return World::must(world.get("VirtualMachine", "acme", name)).virtual_machine();
  }
  // web-1 tried to reach a port of `mine`, which denied it.
  v1::LoggedFlow denied() {
    v1::LoggedFlow flow;
    flow.set_time_ns(1'700'000'000'123'000'000);
    flow.set_port_id(vm("mine").spec().nics(0).port_id());
    flow.set_outcome(v1::LoggedFlow::DENY);
    flow.set_profile("office");
    flow.set_rule("no-ssh");
    flow.set_rule_number(3);
    const auto address = [&](const std::string& name) {
      const auto a = IpAddress::parse(vm(name).spec().nics(0).addresses(0)).value();
      return std::string(reinterpret_cast<const char*>(a.bytes.data()), 4);
    };
    flow.set_source(address("web-1"));
    flow.set_destination(address("mine"));
    flow.set_protocol(6);
    flow.set_source_port(40000);
    flow.set_destination_port(22);
    flow.set_tcp_flags(0x02);
    return flow;
  }
  void tell(const v1::LoggedFlow& flow, std::int64_t lost = 0) {
    v1::HostMessage message;
    *message.mutable_flow_log()->add_flows() = flow;
    message.mutable_flow_log()->set_lost(lost);
    world.hosts["h1"]->say(message);
  }
  Result<v1::ListResponse> list(const std::string& kind, std::optional<std::string> secret = {},
                                const std::string& selector = "") {
    v1::ListRequest request;
    request.set_kind(kind);
    request.set_label_selector(selector);
    return world.call<v1::ListResponse, const v1::ListRequest&>(&Api::list, request, secret);
  }
};

TEST_F(FlowsTest, ARecordHasTheNamesOfPeople) {
  tell(denied());
  const auto listed = World::must(list("FlowRecord"));
  ASSERT_EQ(listed.items_size(), 1);
  const auto& flow = listed.items(0).flow_record();
  EXPECT_EQ(flow.metadata().tenant(), "acme");
  EXPECT_EQ(flow.vm(), "mine");
  EXPECT_EQ(flow.nic(), "eth0");
  EXPECT_EQ(flow.host(), "h1");
  EXPECT_EQ(flow.outcome(), v1::FlowRecord::DENY);
  EXPECT_EQ(flow.direction(), v1::FlowRecord::IN);
  EXPECT_EQ(flow.rule(), "no-ssh");
  EXPECT_EQ(flow.source().vm(), "web-1");
  EXPECT_EQ(flow.destination().vm(), "mine");
  EXPECT_EQ(flow.destination().port(), 22u);
  EXPECT_EQ(flow.protocol(), "tcp");
  EXPECT_EQ(flow.tcp_flags(), "SYN");
  EXPECT_EQ(flow.time().nanos(), 123'000'000);
  EXPECT_EQ(World::must(list("FlowRecord", {}, "outcome=DENY,vm=mine")).items_size(), 1);
  EXPECT_EQ(World::must(list("FlowRecord", {}, "outcome=ALLOW")).items_size(), 0);
  const auto again = world.get("FlowRecord", "acme", flow.metadata().name());
  ASSERT_TRUE(again) << again.error().text();
}

TEST_F(FlowsTest, OwnersSeeTheFlowsOfTheirVmsAndNoHosts) {
  tell(denied());
  const auto mine = World::must(list("FlowRecord", owner));
  ASSERT_EQ(mine.items_size(), 1);
  EXPECT_EQ(mine.items(0).flow_record().host(), "");
  EXPECT_EQ(World::must(list("FlowRecord", other)).items_size(), 0);
  const auto name = mine.items(0).flow_record().metadata().name();
  EXPECT_EQ(world.get("FlowRecord", "acme", name, other).error().code, Code::kNotFound);
}

TEST_F(FlowsTest, AWatchGoesOnWithNewRecords) {
  tell(denied());
  std::vector<v1::WatchEvent> events;
  v1::WatchRequest request;
  request.set_kind("FlowRecord");
  request.set_tenant("acme");
  request.set_label_selector("outcome=DENY");
  World::must(world.server->api().watch(
      owner, request,
      [&](const v1::WatchEvent& event) {
        events.push_back(event);
        return true;
      },
      [](const Error&) {}));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].type(), v1::WatchEvent::BOOKMARK);
  auto allowed = denied();
  allowed.set_outcome(v1::LoggedFlow::ALLOW);
  tell(allowed);
  tell(denied());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].object().flow_record().outcome(), v1::FlowRecord::DENY);
}

TEST_F(FlowsTest, RecordsOfUnknownPortsAreDroppedAndLossesTold) {
  auto flow = denied();
  flow.set_port_id(4'000'000);
  tell(flow, 17);
  EXPECT_EQ(World::must(list("FlowRecord")).items_size(), 0);
  const auto events = World::must(list("Event"));
  EXPECT_EQ(events.items(events.items_size() - 1).event().reason(), "FlowRecordsLost");
}

TEST_F(FlowsTest, OnlyTheNewestAreKept) {
  Tunables tunables;
  tunables.flow_records_kept = 16;
  SimClock clock(1);
  SimRuntime runtime(clock, tunables);
  Journal journal(runtime);
  v1::FlowLog log;
  for (int i = 0; i < 40; ++i) *log.add_flows() = denied();
  journal.flows(world.server->engine().head(), "h1", log);
  const auto* kept = journal.of(kind_of<v1::FlowRecord>());
  ASSERT_EQ(kept->size(), 16u);
  EXPECT_FALSE(kept->find("f000000000001"));
  EXPECT_TRUE(kept->find("f000000000040"));
}

TEST(Journal, NoTenantPushesOutWhatAnotherIsToSee) {
  Tunables tunables;
  tunables.events_kept = 20;
  SimClock clock(1);
  SimRuntime runtime(clock, tunables);
  Journal journal(runtime);
  const auto event = [&](const std::string& tenant, int n) {
    journal.event(v1::Event::NORMAL, "Changed", ObjectKey::of<v1::VmPool>(tenant, "p"),
                  std::to_string(n), "x", n);
  };
  for (int i = 0; i < 3; ++i) event("quiet", i);
  for (int i = 0; i < 500; ++i) event("loud", i);
  std::map<std::string, int> kept;
  std::string last;
  journal.of(kind_of<v1::Event>())->each([&](const MessagePtr& entry) {
    ++kept[std::string(Journal::tenant_of(*entry))];
    EXPECT_LT(last, metadata_of(*entry).name()) << "in order of time";
    last = metadata_of(*entry).name();
    return true;
  });
  EXPECT_EQ(kept, (std::map<std::string, int>{{"quiet", 3}, {"loud", 17}}));
  for (int i = 0; i < 100; ++i) event("third", i);
  EXPECT_EQ(journal.of(kind_of<v1::Event>())->size(), 20u);
}

}  // namespace
}  // namespace penstock
