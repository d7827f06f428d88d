#include "server/api.h"

#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;

v1::WriteOptions wait_for(int ms) {
  v1::WriteOptions options;
  options.set_wait_applied(true);
  options.mutable_deadline()->set_nanos(ms % 1000 * 1'000'000);
  options.mutable_deadline()->set_seconds(ms / 1000);
  return options;
}

TEST(Api, FirstStartMakesOneAdministrator) {
  World world;
  ASSERT_TRUE(world.ok);
  const auto who =
      World::must(world.call<v1::WhoAmIResponse, const v1::WhoAmIRequest&>(&Api::who_am_i, {}));
  EXPECT_EQ(who.user(), "admin");
  const auto first = world.admin;
  world.crash();
  world.boot();
  EXPECT_EQ(world.admin, first);  // no second secret
  EXPECT_TRUE((world.call<v1::WhoAmIResponse, const v1::WhoAmIRequest&>(&Api::who_am_i, {})));
}

TEST(Api, WithoutAValidTokenNothing) {
  World world;
  for (const auto* secret : {"", "pst_wrong"}) {
    const auto answer = world.get("Tenant", "", "acme", secret);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
  }
}

TEST(Api, PutTwiceIsUnchanged) {
  World world;
  const auto first = World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"acme"}})"));
  EXPECT_EQ(first.outcome().change(), v1::WriteOutcome::CREATED);
  const auto again = World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"acme"}})"));
  EXPECT_EQ(again.outcome().change(), v1::WriteOutcome::UNCHANGED);
  const auto changed = World::must(
      world.put(R"({"kind":"Tenant","metadata":{"name":"acme"},"spec":{"displayName":"A"}})"));
  EXPECT_EQ(changed.outcome().change(), v1::WriteOutcome::UPDATED);
  EXPECT_GT(changed.outcome().revision(), first.outcome().revision());
}

TEST(Api, AStaleResourceVersionIsAConflict) {
  World world;
  const auto first = World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"acme"}})"));
  const auto version = first.object().tenant().metadata().resource_version();
  EXPECT_EQ(version, std::to_string(first.outcome().revision()));
  const auto with = [&](const std::string& text) {
    return R"({"kind":"Tenant","metadata":{"name":"acme","resourceVersion":")" + version +
           R"("},"spec":{"displayName":")" + text + R"("}})";
  };
  World::must(world.put(with("one")));
  const auto stale = world.put(with("two"));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, Code::kConflict);
}

TEST(Api, DryRunChangesNothing) {
  World world;
  v1::WriteOptions options;
  options.set_dry_run(true);
  const auto before = world.server->engine().head().revision();
  const auto answer =
      World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"acme"}})", {}, options));
  EXPECT_EQ(answer.outcome().change(), v1::WriteOutcome::CREATED);
  EXPECT_EQ(world.server->engine().head().revision(), before);
  EXPECT_FALSE(world.get("Tenant", "", "acme"));
}

TEST(Api, ARequestIdGetsTheFirstAnswerAgain) {
  World world;
  v1::WriteOptions options;
  options.set_request_id("r1");
  World::must(world.put(R"({"kind":"User","metadata":{"name":"ann"}})"));
  const auto json = R"({"kind":"Token","metadata":{"name":"t"},"spec":{"user":"ann"}})";
  const auto first = World::must(world.put(json, {}, options));
  const auto again = World::must(world.put(json, {}, options));
  EXPECT_EQ(again.object().token().status().secret(), first.object().token().status().secret());
  EXPECT_EQ(again.outcome().change(), v1::WriteOutcome::CREATED);
  const auto other = world.put(R"({"kind":"User","metadata":{"name":"bob"}})", {}, options);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kInvalidArgument);
}

TEST(Api, ATokensSecretIsShownOnce) {
  World world;
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"ADMINISTRATOR"}]}})"));
  const auto secret = world.token_for_user("ann");
  EXPECT_EQ(secret.size(), 68u);
  EXPECT_TRUE(world.get("User", "", "ann", secret));
  const auto token = World::must(world.get("Token", "", "t-ann")).token();
  EXPECT_EQ(token.status().secret(), "");
  EXPECT_EQ(token.spec().sha256(), "");
  for (const auto& [key, value] : world.disk.state())
    EXPECT_EQ(value.value.find(secret), std::string::npos) << key;
  World::must(world.put(R"({"kind":"User","metadata":{"name":"ann"},"spec":{"disabled":true}})"));
  EXPECT_FALSE(world.get("User", "", "ann", secret));
}

TEST(Api, EnableReachesTheHostAndWaits) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  const auto before = h1.received.size();
  const auto answer = World::must(world.enable("web-1", wait_for(1000)));
  EXPECT_EQ(answer.outcome().change(), v1::WriteOutcome::CREATED);
  EXPECT_FALSE(answer.outcome().deadline_passed());
  EXPECT_EQ(answer.outcome().rollout().hosts(), 1);
  EXPECT_EQ(answer.outcome().rollout().applied(), 1);
  EXPECT_EQ(answer.enablement().status().protected_(), 1);
  ASSERT_EQ(h1.received.size(), before + 1);
  const auto& delta = h1.last().delta();
  ASSERT_EQ(delta.put_size(), 1);  // the policy was there before: only the port changes
  ASSERT_TRUE(delta.put(0).has_port());
  ASSERT_EQ(delta.put(0).port().steps_size(), 1);
  EXPECT_EQ(delta.put(0).port().steps(0).profile(), "office");
}

TEST(Api, TheDeadlineNamesTheLaggards) {
  World world;
  world.furnish();
  world.hosts["h1"]->auto_ack = false;
  const auto answer = World::must(world.enable("web-1", wait_for(200)));
  EXPECT_TRUE(answer.outcome().deadline_passed());
  ASSERT_EQ(answer.outcome().rollout().waiting_size(), 1);
  EXPECT_EQ(answer.outcome().rollout().waiting(0).host(), "h1");
  EXPECT_EQ(answer.outcome().rollout().waiting(0).state(), v1::HostRollout::PENDING);
}

TEST(Api, ATerminalFailureEndsTheWaitEarly) {
  World world;
  world.furnish();
  auto& h1 = *world.hosts["h1"];
  const auto vm = World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  h1.fail(fmt::format("60/port/{}", vm.spec().nics(0).port_id()), "map full (4096 of 4096)", 0);
  const auto start = world.clock.now();
  const auto answer = World::must(world.enable("web-1", wait_for(30'000)));
  EXPECT_LT(world.clock.now() - start, std::chrono::seconds(1));
  EXPECT_FALSE(answer.outcome().deadline_passed());
  ASSERT_EQ(answer.outcome().rollout().waiting_size(), 1);
  EXPECT_EQ(answer.outcome().rollout().waiting(0).state(), v1::HostRollout::FAILED);
  EXPECT_EQ(answer.outcome().rollout().waiting(0).message(), "map full (4096 of 4096)");
  const auto after = World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  ASSERT_EQ(after.status().steps_size(), 1);
  EXPECT_FALSE(after.status().steps(0).applied());
  EXPECT_EQ(after.status().conditions(0).reason(), "Failed");
  EXPECT_EQ(after.status().rollout().gave_up(), 1);
  const auto name = answer.enablement().metadata().name();
  const auto ready = [&] {
    return World::must(world.get("Enablement", "acme", name)).enablement().status().conditions(0);
  };
  EXPECT_EQ(ready().reason(), "Failed");
  EXPECT_NE(ready().message().find("h1: map full (4096 of 4096); it is not tried again"),
            std::string::npos)
      << ready().message();
  // One that is tried again is no terminal failure, nor one whose host is away.
  h1.fail(fmt::format("60/port/{}", vm.spec().nics(0).port_id()), "busy", 500);
  h1.ack();
  EXPECT_EQ(ready().reason(), "NotApplied");
  h1.leave();
  EXPECT_EQ(ready().reason(), "HostAway");
}

TEST(Api, DisableTakesTheStepAwayAgain) {
  World world;
  world.furnish();
  World::must(world.enable("web-1", wait_for(1000)));
  v1::DisableRequest request;
  request.set_tenant("acme");
  request.set_profile("office");
  request.set_vm("web-1");
  *request.mutable_options() = wait_for(1000);
  const auto answer = World::must(world.call(&Api::disable, request));
  EXPECT_EQ(answer.outcome().rollout().applied(), 1);
  EXPECT_EQ(world.hosts["h1"]->last().delta().put(0).port().steps_size(), 0);
  const auto again = world.call(&Api::disable, request);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kNotFound);
}

TEST(Api, WhatIsInUseIsNotDeletedUnlessCascaded) {
  World world;
  world.furnish();
  World::must(world.enable("web-1"));
  const auto refused = world.erase("VirtualNetwork", "acme", "blue");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  ASSERT_FALSE(refused.error().details.empty());
  const auto gone = World::must(world.erase("VirtualNetwork", "acme", "blue", true));
  EXPECT_EQ(gone.deleted_size(), 3);  // enablement, VM, network
  EXPECT_FALSE(world.get("VirtualMachine", "acme", "web-1"));
  EXPECT_FALSE(world.erase("VirtualNetwork", "acme", "blue"));
}

TEST(Api, ListsArePagedAtOneRevision) {
  World world;
  for (int i = 0; i < 7; ++i)
    World::must(world.put(fmt::format(
        R"({{"kind":"Tenant","metadata":{{"name":"t{}","labels":{{"odd":"{}"}}}}}})", i, i % 2)));
  v1::ListRequest request;
  request.set_kind("tenants");
  request.set_limit(3);
  const auto list = [&] {
    return world.call<v1::ListResponse, const v1::ListRequest&>(&Api::list, request);
  };
  const auto first = World::must(list());
  EXPECT_EQ(first.items_size(), 3);
  EXPECT_EQ(first.remaining(), 4);
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"t3a"}})"));
  World::must(world.erase("Tenant", "", "t6"));
  request.set_continue_(first.continue_());
  const auto second = World::must(list());
  EXPECT_EQ(second.revision(), first.revision());
  ASSERT_EQ(second.items_size(), 3);
  EXPECT_EQ(second.items(0).tenant().metadata().name(), "t3");
  request.set_continue_(second.continue_());
  const auto third = World::must(list());
  ASSERT_EQ(third.items_size(), 1);
  EXPECT_EQ(third.items(0).tenant().metadata().name(), "t6");
  EXPECT_EQ(third.continue_(), "");
  request.set_continue_("");
  request.set_label_selector("odd=1");
  EXPECT_EQ(World::must(list()).items_size(), 3);
  request.set_continue_("12:nonsense");
  EXPECT_FALSE(list());
}

TEST(Api, WhatCouldNotBeReadBackIsRefused) {
  World world;
  const auto nested = [](int levels) {
    std::string schema = R"({"type":"string"})";
    for (int i = 0; i < levels; ++i)
      schema = R"({"type":"object","properties":{"p":)" + schema + "}}";
    return R"({"kind":"ServiceDefinition","metadata":{"name":"brick"},"spec":{"vendor":"v","serviceName":"s",
              "version":"1","draft":true,"parameters":)" +
           schema + "}}";
  };
  const auto refused = world.put(nested(22));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  World::must(world.put(nested(8)));
  world.crash();
  world.boot();
  EXPECT_TRUE(world.ok) << "the server starts again";
}

TEST(Api, AWatchEndsWithItsToken) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}]}})"));
  v1::PutRequest request;
  *request.mutable_object() =
      World::object(R"({"kind":"Token","metadata":{"name":"brief"},"spec":{"user":"ann"}})");
  const auto soon = world.runtime->wall().since_epoch + std::chrono::seconds(3);
  request.mutable_object()->mutable_token()->mutable_spec()->mutable_expires_at()->set_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(soon).count());
  const auto secret = World::secret_of(world.call(&Api::put, request));
  int told = 0;
  bool ended = false;
  v1::WatchRequest watch;
  watch.set_kind("VirtualMachine");
  World::must(world.server->api().watch(
      secret, watch,
      [&](const v1::WatchEvent&) {
        ++told;
        return true;
      },
      [&](const Error&) { ended = true; }));
  const auto before = told;
  world.add_vm("early", "h1");
  EXPECT_GT(told, before);
  world.run_for(std::chrono::seconds(5));
  const auto at_expiry = told;
  world.add_vm("late", "h1");
  world.run_for(std::chrono::seconds(1));
  EXPECT_EQ(told, at_expiry);
  EXPECT_TRUE(ended);
}

TEST(Api, ARequestIdOfAnotherRequestIsDoneAfterARestart) {
  World world;
  v1::WriteOptions options;
  options.set_request_id("r-1");
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"one"}})", {}, options));
  EXPECT_FALSE(world.put(R"({"kind":"Tenant","metadata":{"name":"two"}})", {}, options));
  world.crash();
  world.boot();
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"two"}})", {}, options));
  EXPECT_TRUE(world.get("Tenant", "", "two")) << "success was answered";
}

TEST(Api, TenantsLearnNothingOfHostsVnisAndHiddenProfiles) {
  World world;
  world.furnish();
  World::must(world.put(R"({"kind":"Cluster","metadata":{"name":"c1"}})"));
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"evil"}})"));
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"eve"},"spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"evil"}]}})"));
  const auto eve = world.token_for_user("eve");
  const auto text = [&](const std::string& json) { return world.put(json, eve).error().text(); };
  EXPECT_EQ(
      text(
          R"({"kind":"VirtualMachine","metadata":{"name":"v","tenant":"evil"},"spec":{"nics":[{"name":"eth0","network":"n"}],"placement":{"cluster":"c9"}}})")
          .find("c1"),
      std::string::npos);
  const auto vni = [&](int number) {
    return text(
        R"({"kind":"VirtualNetwork","metadata":{"name":"n","tenant":"evil"},"spec":{"vni":)" +
        std::to_string(number) + R"(,"subnets":[{"cidr":"10.0.0.0/24"}]}})");
  };
  const auto taken = World::must(world.get("VirtualNetwork", "acme", "blue")).virtual_network();
  EXPECT_EQ(vni(taken.spec().vni()), vni(4711)) << "taken and free look alike";
  World::must(world.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"vip"},"spec":{"definition":"fw","published":true,"availability":{"allow":{"tenants":["acme"]}}}})"));
  World::must(world.put(
      R"({"kind":"VirtualNetwork","metadata":{"name":"n","tenant":"evil"},"spec":{"subnets":[{"cidr":"10.0.0.0/24"}]}})",
      eve));
  const auto enable = [&](const std::string& profile) {
    return text(
        R"({"kind":"Enablement","metadata":{"name":"e","tenant":"evil"},"spec":{"profile":")" +
        profile + R"(","network":"n"}})");
  };
  auto hidden = enable("vip"), absent = enable("nil");
  EXPECT_NE(hidden.find("no profile \"vip\""), std::string::npos) << hidden;
  hidden.replace(hidden.find("vip"), 3, "nil");
  EXPECT_EQ(hidden, absent);
}

TEST(Api, ACascadeTakesOnlyWhatTheCallerMayDelete) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"vera"},"spec":{"roles":[{"role":"VENDOR","vendor":"v"}]}})"));
  const auto vera = world.token_for_user("vera");
  EXPECT_FALSE(world.erase("ServiceDefinition", "", "fw", /*cascade=*/true, vera));
  EXPECT_TRUE(world.get("ServiceDefinition", "", "fw"));
  EXPECT_TRUE(world.get("ServiceProfile", "", "office"));
}

TEST(Api, WhatIsDeletedShowsTenantsNoHostEither) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}]}})"));
  std::vector<v1::WatchEvent> events;
  v1::WatchRequest watch;
  watch.set_kind("VirtualMachine");
  World::must(world.server->api().watch(
      world.token_for_user("ann"), watch,
      [&](const v1::WatchEvent& event) {
        events.push_back(event);
        return true;
      },
      [](const Error&) {}));
  World::must(world.erase("VirtualMachine", "acme", "web-1", true));
  ASSERT_EQ(events.back().type(), v1::WatchEvent::DELETED);
  for (const auto& event : events) EXPECT_EQ(event.object().virtual_machine().status().host(), "");
}

TEST(Api, APoolMayBeCalledLikeAVm) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"VmPool","metadata":{"name":"web-1","tenant":"acme"},"spec":{"vms":["web-1"]}})"));
  const auto vm = World::must(world.enable("web-1")).enablement().metadata().name();
  v1::EnableRequest request;
  request.set_tenant("acme");
  request.set_profile("office");
  request.set_pool("web-1");
  const auto pool = World::must(world.call(&Api::enable, request)).enablement().metadata().name();
  EXPECT_NE(vm, pool);
  EXPECT_EQ(World::must(world.call(&Api::enable, request)).enablement().metadata().name(), pool)
      << "again: the same";
}

TEST(Api, AnEnablementThatAnotherGoesBeforeSaysSo) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"Enablement","metadata":{"name":"nic","tenant":"acme"},"spec":{"profile":"office","level":"strict","nic":{"vm":"web-1","nic":"eth0"}}})"));
  v1::WriteOptions wait;
  wait.set_wait_applied(true);
  const auto enabled = World::must(world.enable("web-1", wait));
  ASSERT_EQ(enabled.outcome().warnings_size(), 1);
  EXPECT_EQ(
      enabled.outcome().warnings(0),
      "on web-1 office is on through acme/nic at level strict: NIC goes before VM before pool "
      "before network");
  const auto& status = enabled.enablement().status();
  EXPECT_EQ(status.protected_(), 0);
  EXPECT_EQ(status.overridden(), 1);
  const auto& ready = status.conditions(1);
  EXPECT_EQ(ready.type(), "Ready");
  EXPECT_EQ(ready.status(), v1::Condition::FALSE);
  EXPECT_EQ(ready.reason(), "Overridden");
  const auto first = World::must(world.get("Enablement", "acme", "nic")).enablement().status();
  EXPECT_EQ(first.protected_(), 1);
  EXPECT_EQ(first.overridden(), 0);
  World::must(world.erase("Enablement", "acme", "nic"));
  world.run_for(std::chrono::milliseconds(50));
  const auto name = enabled.enablement().metadata().name();
  const auto now = World::must(world.get("Enablement", "acme", name)).enablement().status();
  EXPECT_EQ(now.protected_(), 1);
  EXPECT_EQ(now.overridden(), 0);
}

TEST(Api, OnlyAnAdministratorChangesWhatPublishedProfilesRun) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"vera"},"spec":{"roles":[{"role":"VENDOR","vendor":"v"}]}})"));
  const auto vera = world.token_for_user("vera");
  int version = 1;
  const auto definition = [&](const std::string& name, const std::string& action) {
    return R"({"kind":"ServiceDefinition","metadata":{"name":")" + name +
           R"("},"spec":{"vendor":"v","serviceName":"fw","version":")" + std::to_string(++version) +
           R"(","levels":[{"name":"basic"},{"name":"strict"}],
           "insertionPoint":"VIRTUAL_SWITCH","filter":{"rules":[{"name":"r","action":")" +
           action + R"("}]}}})";
  };
  const auto refused = world.put(definition("fw", "ALLOW"), vera);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_NE(refused.error().message.find("office"), std::string::npos) << refused.error().message;
  World::must(world.put(definition("fw-2", "ALLOW"), vera));
  World::must(world.put(definition("fw-2", "DENY"), vera));
  World::must(world.enable("web-1"));
  const auto done = World::must(world.put(definition("fw", "ALLOW")));
  ASSERT_EQ(done.outcome().warnings_size(), 1);
  EXPECT_EQ(done.outcome().warnings(0), "published profiles follow at once: office; 1 enablement");
}

TEST(Api, WhoMayNotWriteIsToldSoAndNotThatItDoesNotExist) {
  World world;
  world.furnish();
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"vera"},"spec":{"roles":[{"role":"VENDOR","vendor":"else"}]}})"));
  const auto vera = world.token_for_user("vera");
  const auto code = [&](const std::string& json) { return world.put(json, vera).error().code; };
  const auto profile = [](const std::string& name) {
    return R"({"kind":"ServiceProfile","metadata":{"name":")" + name +
           R"("},"spec":{"definition":"fw"}})";
  };
  EXPECT_EQ(code(profile("office")), Code::kPermissionDenied);
  EXPECT_EQ(code(profile("nothing")), Code::kPermissionDenied) << "the same for what is not there";
  const auto definition = [](const std::string& name, const std::string& vendor) {
    return R"({"kind":"ServiceDefinition","metadata":{"name":")" + name +
           R"("},"spec":{"vendor":")" + vendor +
           R"(","serviceName":"s","version":"1","draft":true}})";
  };
  EXPECT_EQ(code(definition("fw", "else")), Code::kPermissionDenied) << "the name is taken";
  World::must(world.put(definition("mine", "else"), vera));
  EXPECT_EQ(code(definition("mine", "v")), Code::kPermissionDenied);
  EXPECT_EQ(
      code(R"({"kind":"VirtualNetwork","metadata":{"name":"blue","tenant":"acme"},"spec":{}})"),
      Code::kNotFound)
      << "of tenants elsewhere nothing is known";
}

TEST(Api, WatchSendsWhatIsThereThenChangesAndStatus) {
  Tunables tunables;
  tunables.watch_history_max = 16;
  World world(1, tunables);
  world.furnish();
  std::vector<v1::WatchEvent> events;
  v1::WatchRequest request;
  request.set_kind("VirtualMachine");
  World::must(world.server->api().watch(
      world.admin, request,
      [&](const v1::WatchEvent& event) {
        events.push_back(event);
        return true;
      },
      [](const Error&) {}));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type(), v1::WatchEvent::ADDED);
  EXPECT_EQ(events[1].type(), v1::WatchEvent::BOOKMARK);
  world.add_vm("web-2", "h2");
  world.run_for(std::chrono::milliseconds(200));
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[2].type(), v1::WatchEvent::ADDED);
  EXPECT_EQ(events.back().type(), v1::WatchEvent::MODIFIED);
  EXPECT_EQ(events.back().object().virtual_machine().status().state(), "running");
  World::must(world.erase("VirtualMachine", "acme", "web-2"));
  EXPECT_EQ(events.back().type(), v1::WatchEvent::DELETED);

  // From a revision on: only what came after it.
  std::vector<v1::WatchEvent> later;
  request.set_revision(events[1].revision());
  World::must(world.server->api().watch(
      world.admin, request,
      [&](const v1::WatchEvent& event) {
        later.push_back(event);
        return true;
      },
      [](const Error&) {}));
  ASSERT_EQ(later.size(), 3u);
  EXPECT_EQ(later[0].type(), v1::WatchEvent::ADDED);
  EXPECT_EQ(later[1].type(), v1::WatchEvent::DELETED);
  for (int i = 0; i < 16; ++i)
    World::must(world.put(fmt::format(R"({{"kind":"Tenant","metadata":{{"name":"t{}"}}}})", i)));
  later.clear();  // the second watch is still there
  World::must(world.server->api().watch(
      world.admin, request,
      [&](const v1::WatchEvent& event) {
        later.push_back(event);
        return true;
      },
      [](const Error&) {}));
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].type(), v1::WatchEvent::COMPACTED);
}

TEST(Api, ExplainSaysWhoIsNotProtected) {
  World world;
  world.furnish();
  world.hosts["h1"]->auto_ack = false;
  World::must(world.enable("web-1"));
  v1::ExplainRequest request;
  request.set_kind("vm");
  request.set_tenant("acme");
  request.set_name("web-1");
  const auto explain = [&] {
    return World::must(
        world.call<v1::ExplainResponse, const v1::ExplainRequest&>(&Api::explain, request));
  };
  const auto waiting = explain();
  EXPECT_EQ(waiting.headline(), "acme/web-1 on h1: 0 of 1 service applied");
  ASSERT_EQ(waiting.lines_size(), 2);
  EXPECT_NE(waiting.lines(1).text().find("<-- you are not protected by office"), std::string::npos);
  world.hosts["h1"]->ack();
  const auto applied = explain();
  EXPECT_EQ(applied.headline(), "acme/web-1 on h1: 1 of 1 service applied");
  EXPECT_EQ(applied.lines_size(), 1);
}

TEST(Api, NothingAcknowledgedIsLostInACrash) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    world.disk.faults.unknown = 0.1;
    std::vector<std::string> acknowledged;
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < 10; ++i) {
        const auto name = fmt::format("t{}-{}", round, i);
        v1::PutRequest request;
        request.mutable_object()->mutable_tenant()->mutable_metadata()->set_name(name);
        world.server->api().put(world.admin, request,
                                [&acknowledged, name](Result<v1::PutResponse> answer) {
                                  if (answer) acknowledged.push_back(name);
                                });
      }
      const auto steps = world.clock.random().below(60);
      for (std::uint64_t i = 0; i < steps; ++i) world.clock.step();
      world.crash();
      world.boot();
      ASSERT_TRUE(world.ok);
    }
    for (const auto& name : acknowledged)
      EXPECT_TRUE(world.get("Tenant", "", name)) << seed << " " << name;
  }
}

}  // namespace
}  // namespace penstock
