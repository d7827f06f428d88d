#include "server/previews.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::FakeHost;
using ::testing::HasSubstr;
using testing::World;

class PreviewsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world.furnish();
    World::must(world.put(
        R"({"kind":"ServiceProfile","metadata":{"name":"second"},"spec":{"definition":"fw","published":true,
            "availability":{"everyone":true}}})"));
    World::must(world.enable("web-1"));
    world.run_for(50ms);
  }
  v1::PreviewOrder order(const std::string& host) {
    v1::PreviewOrder last;
    for (const auto& message : world.hosts[host]->received)
      if (message.has_preview()) last = message.preview();
    return last;
  }
  std::size_t orders(const std::string& host) {
    return static_cast<std::size_t>(std::ranges::count_if(
        world.hosts[host]->received, [](const auto& message) { return message.has_preview(); }));
  }
  // Dry run of enabling `profile` on web-1.
  void start(const std::string& profile, std::optional<std::string> secret = {},
             bool observe = false) {
    v1::EnableRequest request;
    request.set_tenant("acme");
    request.set_profile(profile);
    request.set_vm("web-1");
    request.set_observe(observe);
    request.mutable_options()->set_dry_run(true);
    answer.reset();
    world.server->api().enable(
        secret.value_or(world.admin), request,
        [this](Result<v1::EnableResponse> response) { answer = std::move(response); });
    world.run_for(1ms);
  }
  v1::PreviewReport report(const std::string& host) {
    v1::PreviewReport out;
    out.set_id(order(host).id());
    out.set_ports(1);
    out.set_flows(12);
    out.set_cut(2);
    auto& flow = *out.add_examples();
    const auto nic =
        World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine().spec().nics(0);
    flow.set_port_id(static_cast<std::uint32_t>(nic.port_id()));
    flow.set_out(true);
    flow.set_outcome(v1::LoggedFlow::DENY);
    flow.set_profile("second");
    flow.set_rule("no-ssh");
    flow.set_rule_number(1);
    const auto address = *IpAddress::parse(nic.addresses(0));
    flow.set_source(address.bytes.data(), 4);
    flow.set_destination("\x08\x08\x08\x08", 4);
    flow.set_protocol(6);
    flow.set_destination_port(22);
    return out;
  }
  void say(const std::string& host, const v1::PreviewReport& report) {
    v1::HostMessage message;
    *message.mutable_preview() = report;
    world.hosts[host]->say(message);
    world.run_for(1ms);  // the audit log
  }
  const v1::Effect& effect() { return answer->value().outcome().effect(); }

  World world;
  std::optional<Result<v1::EnableResponse>> answer;
};

TEST_F(PreviewsTest, ADryRunSaysWhatItWouldDoToTraffic) {
  const auto revision = world.server->engine().head().revision();
  start("second");
  EXPECT_FALSE(answer) << "the host is asked";
  ASSERT_EQ(order("h1").put_size(), 1);
  const auto& port = order("h1").put(0).port();
  ASSERT_EQ(port.steps_size(), 2);
  EXPECT_EQ(order("h1").examples(), 5);
  EXPECT_EQ(orders("h2"), 0u) << "nothing changes there";
  say("h1", report("h1"));
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ(effect().hosts(), 1);
  EXPECT_EQ(effect().ports(), 1);
  EXPECT_EQ(effect().flows(), 12);
  EXPECT_EQ(effect().flows_cut(), 2);
  ASSERT_EQ(effect().examples_size(), 1);
  EXPECT_EQ(effect().examples(0).vm(), "web-1");
  EXPECT_EQ(effect().examples(0).host(), "h1");
  EXPECT_EQ(effect().examples(0).rule(), "no-ssh");
  EXPECT_EQ(effect().examples(0).outcome(), v1::FlowRecord::DENY);
  ASSERT_EQ(effect().by_host_size(), 1);
  EXPECT_EQ(effect().by_host(0).host(), "h1");
  EXPECT_TRUE(effect().incomplete().empty());
  EXPECT_EQ(world.server->engine().head().revision(), revision);
  EXPECT_FALSE(world.get("Enablement", "acme", "second-web-1"));
}

TEST_F(PreviewsTest, TenantsLearnNoHostNames) {
  World::must(world.put(R"({"kind":"User","metadata":{"name":"ann"},
      "spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}]}})"));
  start("second", world.token_for_user("ann"));
  say("h1", report("h1"));
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ(effect().hosts(), 1);
  EXPECT_EQ(effect().flows_cut(), 2);
  ASSERT_EQ(effect().examples_size(), 1);
  EXPECT_THAT(answer->value().DebugString(), ::testing::Not(HasSubstr("\"h1\"")));
}

TEST_F(PreviewsTest, AHostThatIsAwayOrSilentMakesItIncomplete) {
  start("second");
  world.run_until([&] { return answer.has_value(); });
  ASSERT_TRUE(*answer);
  EXPECT_THAT(effect().incomplete(), ElementsAre("host h1 did not answer within 2000 ms"));
  EXPECT_EQ(effect().ports(), 1);
  say("h1", report("h1"));  // too late: nobody waits

  world.hosts["h1"]->leave();
  start("second");
  ASSERT_TRUE(answer && *answer);
  EXPECT_THAT(effect().incomplete(), ElementsAre("host h1 is away"));
  EXPECT_EQ(effect().by_host(0).problem(), "is away");
}

TEST_F(PreviewsTest, AFailureOfTheHostIsSaid) {
  start("second");
  v1::PreviewReport failed;
  failed.set_id(order("h1").id());
  failed.set_code("unavailable");
  failed.set_message("policy 3 is not in place");
  say("h2", failed);
  EXPECT_FALSE(answer) << "not of a host that was asked";
  say("h1", failed);
  ASSERT_TRUE(answer && *answer);
  EXPECT_THAT(effect().incomplete(), ElementsAre("host h1 policy 3 is not in place"));
}

TEST_F(PreviewsTest, TheFirstServiceOfANicIsSaidToBeJudgedLater) {
  world.add_vm("new-1", "h1");
  world.run_for(50ms);
  v1::EnableRequest request;
  request.set_tenant("acme");
  request.set_profile("second");
  request.set_vm("new-1");
  request.mutable_options()->set_dry_run(true);
  world.server->api().enable(world.admin, request, [this](Result<v1::EnableResponse> response) {
    answer = std::move(response);
  });
  auto nothing = report("h1");
  nothing.clear_examples();
  nothing.set_flows(0);
  nothing.set_cut(0);
  say("h1", nothing);
  ASSERT_TRUE(answer && *answer);
  ASSERT_EQ(effect().incomplete_size(), 1);
  EXPECT_THAT(effect().incomplete(0), HasSubstr("acme/new-1/eth0 has no service yet"));
}

TEST_F(PreviewsTest, EveryWriteThatIsADryRunHasAnEffect) {
  v1::WriteOptions dry;
  dry.set_dry_run(true);
  std::optional<Result<v1::PutResponse>> put;
  v1::PutRequest request;
  *request.mutable_object() = World::object(
      R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,
          "observe":true,"availability":{"everyone":true}}})");
  *request.mutable_options() = dry;
  world.server->api().put(world.admin, request,
                          [&](Result<v1::PutResponse> response) { put = std::move(response); });
  ASSERT_EQ(orders("h1"), 1u);
  ASSERT_EQ(order("h1").put_size(), 1) << "the policy is the same, the port's step observes";
  EXPECT_TRUE(order("h1").put(0).port().steps(0).observe());
  say("h1", report("h1"));
  ASSERT_TRUE(put && *put);
  EXPECT_EQ((*put)->outcome().effect().flows_cut(), 2);

  std::optional<Result<v1::DeleteResponse>> erased;
  v1::DeleteRequest gone;
  gone.set_kind("VirtualMachine");
  gone.set_tenant("acme");
  gone.set_name("web-1");
  gone.set_cascade(true);
  *gone.mutable_options() = dry;
  world.server->api().erase(world.admin, gone, [&](Result<v1::DeleteResponse> response) {
    erased = std::move(response);
  });
  ASSERT_EQ(orders("h1"), 2u);
  EXPECT_THAT(order("h1").remove(), ::testing::Contains(HasSubstr("60/port/")));
  say("h1", report("h1"));
  ASSERT_TRUE(erased && *erased) << erased->error().text();
  EXPECT_EQ((*erased)->outcome().effect().flows_cut(), 2);

  // What fails says so; nothing is asked.
  start("nowhere");
  ASSERT_TRUE(answer);
  EXPECT_FALSE(*answer);
  EXPECT_EQ(orders("h1"), 2u);
  // What is so already concerns nobody.
  start("office");
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ(effect().hosts(), 0);
}

// --- observing

TEST_F(PreviewsTest, ObservingIsAnUpdateOfOnePortItemAndSaysThatItProtectsNobody) {
  v1::EnableRequest request;
  request.set_tenant("acme");
  request.set_profile("office");
  request.set_vm("web-1");
  request.set_observe(true);
  auto& h1 = *world.hosts["h1"];
  h1.received.clear();
  auto response = World::must(world.call(&Api::enable, request));
  EXPECT_EQ(response.outcome().change(), v1::WriteOutcome::UPDATED);
  world.run_for(50ms);
  ASSERT_EQ(h1.received[0].delta().put_size(), 1);
  EXPECT_TRUE(h1.received[0].delta().put(0).port().steps(0).observe());

  const auto name = response.enablement().metadata().name();
  auto enablement = World::must(world.get("Enablement", "acme", name)).enablement();
  EXPECT_EQ(enablement.status().protected_(), 0);
  ASSERT_EQ(enablement.status().conditions_size(), 2);
  EXPECT_EQ(enablement.status().conditions(0).type(), "Observing");
  EXPECT_THAT(enablement.status().conditions(0).message(), HasSubstr("not protected by office"));
  const auto vm = World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  EXPECT_TRUE(vm.status().steps(0).observe());
  v1::ExplainRequest explain;
  explain.set_kind("VirtualMachine");
  explain.set_tenant("acme");
  explain.set_name("web-1");
  const auto said = World::must(
      world.call<v1::ExplainResponse, const v1::ExplainRequest&>(&Api::explain, explain));
  EXPECT_THAT(said.DebugString(), HasSubstr("you are not protected by office"));
  v1::ListCatalogRequest catalog;
  catalog.set_tenant("acme");
  catalog.set_vm("web-1");
  const auto entries =
      World::must(world.call<v1::ListCatalogResponse, const v1::ListCatalogRequest&>(
          &Api::list_entries, catalog));
  EXPECT_TRUE(entries.entries(0).status().observe());
  EXPECT_THAT(entries.entries(0).status().why_not(), HasSubstr("observing: not protected"));

  // Not named: stays. Then enforced.
  request.clear_observe();
  EXPECT_EQ(World::must(world.call(&Api::enable, request)).outcome().change(),
            v1::WriteOutcome::UNCHANGED);
  request.set_observe(false);
  World::must(world.call(&Api::enable, request));
  world.run_for(50ms);
  EXPECT_FALSE(h1.received.back().delta().put(0).port().steps(0).observe());
  enablement = World::must(world.get("Enablement", "acme", name)).enablement();
  EXPECT_EQ(enablement.status().protected_(), 1);
}

TEST_F(PreviewsTest, AProfileThatObservesDoesSoWhereverItIsOn) {
  World::must(world.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,
          "observe":true,"availability":{"everyone":true}}})"));
  world.run_for(50ms);
  const auto enablement = World::must(world.get("Enablement", "acme", "office-web-1")).enablement();
  EXPECT_EQ(enablement.status().conditions(0).type(), "Observing");
  EXPECT_EQ(enablement.status().conditions(0).reason(), "ProfileObserves");
  const auto profile = World::must(world.get("ServiceProfile", "", "office")).service_profile();
  EXPECT_EQ(profile.status().conditions(0).type(), "Observing");
}

}  // namespace
}  // namespace penstock
