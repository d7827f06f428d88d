// Services that are asked for, services that cannot be switched off, and how much a tenant may
// have, through the server's interface.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::World;
using Decision = v1::ApprovalDecision;

class Catalog : public ::testing::Test {
 protected:
  World world_;
  std::string owner_, approver_, tenant_admin_;

  void SetUp() override {
    world_.furnish();
    const auto put = [&](const std::string& json) { World::must(world_.put(json)); };
    put(R"({"kind":"Group","metadata":{"name":"netadmins"}})");
    put(R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})");
    put(R"({"kind":"User","metadata":{"name":"tom"},"spec":{"roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}]}})");
    put(R"({"kind":"User","metadata":{"name":"nat"},"spec":{"groups":["netadmins"]}})");
    owner_ = world_.token_for_user("ann");
    tenant_admin_ = world_.token_for_user("tom");
    approver_ = world_.token_for_user("nat");
    world_.add_vm("mine", "h1", R"(,"owner":"user:ann")");
    put(R"({"kind":"ServiceProfile","metadata":{"name":"ips"},"spec":{"definition":"fw","published":true,
            "availability":{"everyone":true},"approval":{"groups":["netadmins"]}}})");
  }

  Result<v1::EnableResponse> enable(const std::string& profile, const std::string& secret,
                                    std::function<void(v1::EnableRequest&)> more = {}) {
    v1::EnableRequest request;
    request.set_tenant("acme");
    request.set_profile(profile);
    request.set_vm("mine");
    request.mutable_options()->set_wait_applied(true);
    request.mutable_options()->mutable_deadline()->set_seconds(5);
    if (more) more(request);
    return world_.call(&Api::enable, request, secret);
  }
  Result<v1::DisableResponse> disable(const std::string& profile, const std::string& secret) {
    v1::DisableRequest request;
    request.set_tenant("acme");
    request.set_profile(profile);
    request.set_vm("mine");
    return world_.call(&Api::disable, request, secret);
  }
  Result<v1::PutResponse> decide(bool grant, const std::string& reason, const std::string& secret) {
    v1::DecideRequest request;
    request.set_tenant("acme");
    request.set_name("ips-mine");
    request.set_grant(grant);
    request.set_reason(reason);
    return world_.call(&Api::decide, request, secret);
  }
  v1::CatalogEntryStatus entry(const std::string& profile, const std::string& secret,
                               const std::string& vm = "mine") {
    v1::ListCatalogRequest request;
    request.set_tenant("acme");
    request.set_vm(vm);
    const auto listed =
        World::must(world_.call<v1::ListCatalogResponse, const v1::ListCatalogRequest&>(
            &Api::list_entries, request, secret));
    for (const auto& one : listed.entries())
      if (one.metadata().name() == profile) return one.status();
    return {};
  }
  v1::Condition ready(const std::string& name, const std::string& secret) {
    const auto object = World::must(world_.get("Enablement", "acme", name, secret));
    for (const auto& condition : object.enablement().status().conditions())
      if (condition.type() == "Ready") return condition;
    return {};
  }
  std::vector<std::string> events(const std::string& secret) {
    v1::ListRequest request;
    request.set_kind("Event");
    const auto listed = World::must(
        world_.call<v1::ListResponse, const v1::ListRequest&>(&Api::list, request, secret));
    std::vector<std::string> out;
    for (const auto& item : listed.items())
      if (item.event().reason().starts_with("Approval"))
        out.push_back(item.event().reason() + " " + item.event().message());
    return out;
  }
  std::size_t steps(const std::string& secret) {
    return static_cast<std::size_t>(
        World::must(world_.get("VirtualMachine", "acme", "mine", secret))
            .virtual_machine()
            .status()
            .steps_size());
  }
};

TEST_F(Catalog, AskingStoresAndDoesNothingUntilItIsGranted) {
  EXPECT_EQ(entry("ips", owner_).usable(), "ask");
  EXPECT_EQ(entry("ips", owner_).why_not(), "needs approval by netadmins");
  EXPECT_EQ(entry("ips", world_.admin).usable(), "yes") << "administrators never ask";
  const auto before = world_.clock.now();
  const auto asked = World::must(enable("ips", owner_));
  EXPECT_LT(world_.clock.now() - before, std::chrono::seconds(1)) << "nothing is waited for";
  EXPECT_EQ(asked.enablement().spec().approval().state(), Decision::ASKED);
  EXPECT_EQ(asked.enablement().spec().approval().asked_by(), "ann");
  EXPECT_EQ(asked.outcome().rollout().hosts(), 0);
  EXPECT_EQ(steps(owner_), 0u);
  const auto condition = ready("ips-mine", owner_);
  EXPECT_EQ(condition.reason(), "AwaitingApproval");
  EXPECT_THAT(condition.message(), HasSubstr("netadmins"));
  world_.run_for(std::chrono::hours(2) + std::chrono::minutes(1));
  EXPECT_EQ(entry("ips", owner_).why_not(), "asked 2 h ago");
  const auto again = World::must(enable("ips", owner_));
  EXPECT_EQ(again.outcome().change(), v1::WriteOutcome::UNCHANGED);

  EXPECT_EQ(decide(true, "", owner_).error().code, Code::kPermissionDenied);
  EXPECT_EQ(decide(true, "", tenant_admin_).error().code, Code::kPermissionDenied);
  World::must(decide(false, "the licences are used up", approver_));
  EXPECT_EQ(entry("ips", owner_).why_not(), "refused: the licences are used up");
  EXPECT_EQ(entry("ips", owner_).usable(), "ask");
  EXPECT_EQ(ready("ips-mine", owner_).reason(), "Refused");
  EXPECT_THAT(ready("ips-mine", owner_).message(), HasSubstr("licences"));
  EXPECT_EQ(steps(owner_), 0u);
  World::must(decide(true, "", approver_));
  EXPECT_EQ(steps(owner_), 1u);
  EXPECT_EQ(entry("ips", owner_).usable(), "on");
  const auto twice = World::must(decide(true, "", approver_));
  EXPECT_EQ(twice.outcome().change(), v1::WriteOutcome::UNCHANGED);
  for (const auto& secret : {owner_, approver_})
    EXPECT_THAT(events(secret), ::testing::ElementsAre(HasSubstr("ann asked for ips"),
                                                       HasSubstr("nat refused ips (basic): the"),
                                                       HasSubstr("nat granted ips")));
}

TEST_F(Catalog, RequestsAreAskedAgainAndWithdrawn) {
  World::must(enable("ips", owner_));
  World::must(decide(false, "no", approver_));
  const auto again = World::must(enable("ips", owner_));
  EXPECT_EQ(again.enablement().spec().approval().state(), Decision::ASKED);
  EXPECT_TRUE(again.enablement().spec().approval().reason().empty());
  World::must(decide(true, "", world_.admin));
  const auto higher =
      World::must(enable("ips", owner_, [](auto& request) { request.set_level("strict"); }));
  EXPECT_EQ(higher.enablement().spec().approval().state(), Decision::ASKED);
  EXPECT_THAT(higher.outcome().warnings(0), HasSubstr("off from now until"));
  const auto gone = World::must(disable("ips", owner_));
  EXPECT_THAT(gone.warnings(0), HasSubstr("withdrawn"));
  EXPECT_EQ(entry("ips", owner_).why_not(), "needs approval by netadmins");
  // An administrator who enables what was asked for has granted it.
  World::must(enable("ips", owner_));
  const auto granted = World::must(enable("ips", world_.admin));
  EXPECT_EQ(granted.enablement().spec().approval().state(), Decision::GRANTED);
  EXPECT_EQ(steps(owner_), 1u);
}

TEST_F(Catalog, AnApproverSeesRequestsAndNothingElse) {
  World::must(enable("ips", owner_));
  World::must(enable("office", owner_));
  v1::ListRequest request;
  request.set_kind("Enablement");
  const auto listed = World::must(
      world_.call<v1::ListResponse, const v1::ListRequest&>(&Api::list, request, approver_));
  ASSERT_EQ(listed.items_size(), 1);
  EXPECT_EQ(listed.items(0).enablement().metadata().name(), "ips-mine");
  EXPECT_EQ(world_.get("VirtualMachine", "acme", "mine", approver_).error().code, Code::kNotFound);
  EXPECT_EQ(world_.erase("Enablement", "acme", "ips-mine", false, approver_).error().code,
            Code::kPermissionDenied);
  v1::DecideRequest other;
  other.set_tenant("acme");
  other.set_name("office-mine");
  other.set_grant(true);
  EXPECT_EQ(world_.call(&Api::decide, other, approver_).error().code, Code::kNotFound);
  EXPECT_EQ(world_.call(&Api::decide, other, world_.admin).error().code, Code::kFailedPrecondition);
}

TEST_F(Catalog, AClientCannotApproveItselfByWritingTheObject) {
  const auto put = World::must(world_.put(
      R"({"kind":"Enablement","metadata":{"tenant":"acme","name":"e"},"spec":{"profile":"ips","vm":"mine"}})",
      owner_));
  auto object = put.object();
  object.mutable_enablement()->mutable_spec()->mutable_approval()->set_state(Decision::GRANTED);
  object.mutable_enablement()->mutable_metadata()->clear_resource_version();
  v1::PutRequest request;
  *request.mutable_object() = object;
  const auto again = World::must(world_.call(&Api::put, request, owner_));
  EXPECT_EQ(again.object().enablement().spec().approval().state(), Decision::ASKED);
}

TEST_F(Catalog, TheOwnerSeesAMandatoryServiceAndCannotWeakenIt) {
  EXPECT_EQ(enable("office", owner_, [](auto& r) { r.set_mandatory(true); }).error().code,
            Code::kPermissionDenied);
  World::must(enable("office", world_.admin, [](auto& r) {
    r.set_network("blue");
    r.set_mandatory(true);
    r.set_level("strict");
  }));
  const auto seen = entry("office", owner_);
  EXPECT_EQ(seen.usable(), "on");
  EXPECT_TRUE(seen.mandatory());
  EXPECT_THAT(seen.why_not(), HasSubstr("mandatory"));
  // An own one at a lower level does not go before it.
  World::must(enable("office", owner_, [](auto& r) { r.set_level("basic"); }));
  const auto vm = World::must(world_.get("VirtualMachine", "acme", "mine", owner_));
  ASSERT_EQ(vm.virtual_machine().status().steps_size(), 1);
  EXPECT_EQ(vm.virtual_machine().status().steps(0).level(), "strict");
  EXPECT_TRUE(vm.virtual_machine().status().steps(0).mandatory());
  World::must(disable("office", owner_));

  const auto refused = [](const auto& result) {
    return result ? std::string("it went") : std::string(name(result.error().code));
  };
  for (const auto& secret : {owner_, tenant_admin_}) {
    v1::DisableRequest off;
    off.set_tenant("acme");
    off.set_profile("office");
    off.set_network("blue");
    EXPECT_EQ(refused(world_.call(&Api::disable, off, secret)), "permission_denied");
    EXPECT_EQ(refused(world_.erase("Enablement", "acme", "office-blue", true, secret)),
              "permission_denied");
    const auto weaker = [&](auto change) {
      return refused(enable("office", secret, [&](auto& r) {
        r.set_network("blue");
        change(r);
      }));
    };
    EXPECT_EQ(weaker([](auto& r) { r.set_level("basic"); }), "permission_denied");
    EXPECT_EQ(weaker([](auto& r) { r.set_observe(true); }), "permission_denied");
    EXPECT_EQ(weaker([](auto& r) { r.set_mandatory(false); }), "permission_denied");
  }
  const auto error =
      world_.erase("Enablement", "acme", "office-blue", false, tenant_admin_).error();
  EXPECT_THAT(error.hint, HasSubstr("administrator of the deployment"));
  World::must(enable("office", world_.admin, [](auto& r) {
    r.set_network("blue");
    r.set_mandatory(false);
  }));
  World::must(world_.erase("Enablement", "acme", "office-blue", false, tenant_admin_));
}

TEST_F(Catalog, WhatIsOnAVmIsSeenThereEvenByWhoMayNotEnableIt) {
  World::must(world_.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,"availability":{"allow":{"groups":["netadmins"]}}}})"));
  EXPECT_EQ(entry("office", owner_).usable(), "");
  World::must(enable("office", world_.admin, [](auto& r) { r.set_mandatory(true); }));
  EXPECT_EQ(entry("office", owner_).usable(), "on");
  EXPECT_EQ(entry("office", tenant_admin_, "web-1").usable(), "");
}

TEST_F(Catalog, AMandatoryServiceGoesWithItsVmAndNotWithItsPool) {
  World::must(world_.put(
      R"({"kind":"VirtualMachine","metadata":{"tenant":"acme","name":"mine","labels":{"role":"web"}},"spec":{"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h1"},"owner":"user:ann"}})"));
  World::must(world_.put(
      R"({"kind":"VmPool","metadata":{"tenant":"acme","name":"web"},"spec":{"selector":{"matchLabels":{"role":"web"}}}})"));
  World::must(enable("office", world_.admin, [](auto& r) { r.set_mandatory(true); }));
  World::must(enable("office", world_.admin, [](auto& r) {
    r.set_pool("web");
    r.set_mandatory(true);
  }));
  EXPECT_EQ(world_.erase("VmPool", "acme", "web", true, tenant_admin_).error().code,
            Code::kPermissionDenied);
  EXPECT_EQ(
      world_
          .put(
              R"({"kind":"VmPool","metadata":{"tenant":"acme","name":"web"},"spec":{"selector":{"matchLabels":{"role":"db"}}}})",
              tenant_admin_)
          .error()
          .code,
      Code::kPermissionDenied);
  EXPECT_EQ(
      world_
          .put(
              R"({"kind":"VirtualMachine","metadata":{"tenant":"acme","name":"mine"},"spec":{"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h1"},"owner":"user:ann"}})",
              tenant_admin_)
          .error()
          .code,
      Code::kPermissionDenied)
      << "without its label it would leave the pool";
  World::must(world_.erase("VirtualMachine", "acme", "mine", true, tenant_admin_));
  World::must(world_.erase("VmPool", "acme", "web", true, tenant_admin_));
}

TEST_F(Catalog, AVmThatLeavesTheAvailabilityKeepsTheServiceAndSaysSo) {
  World::must(world_.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,"availability":{"allow":{"hosts":["h1"]}}}})"));
  World::must(enable("office", owner_));
  const auto condition = [&](const std::string& secret) {
    const auto object = World::must(world_.get("Enablement", "acme", "office-mine", secret));
    for (const auto& one : object.enablement().status().conditions())
      if (one.type() == "Available") return one.message();
    return std::string();
  };
  EXPECT_EQ(condition(owner_), "");
  World::must(world_.put(
      R"({"kind":"VirtualMachine","metadata":{"tenant":"acme","name":"mine"},"spec":{"nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h2"},"owner":"user:ann"}})"));
  EXPECT_THAT(condition(owner_), HasSubstr("not available on its host; it stays on"));
  EXPECT_EQ(steps(owner_), 1u);
  v1::ExplainRequest explain;
  explain.set_kind("VirtualMachine");
  explain.set_tenant("acme");
  explain.set_name("mine");
  const auto text = World::must(world_.call<v1::ExplainResponse, const v1::ExplainRequest&>(
                                    &Api::explain, explain, owner_))
                        .DebugString();
  EXPECT_THAT(text, HasSubstr("not available on its host"));
  EXPECT_THAT(text, Not(HasSubstr("h1"))) << "tenants learn no hosts";
  EXPECT_EQ(entry("office", owner_, "mine").usable(), "on");
}

TEST_F(Catalog, APoolIsJudgedVmByVmAndTheObstacleNamedToWhoMayKnowIt) {
  World::must(world_.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"office"},"spec":{"definition":"fw","published":true,"availability":{"allow":{"vms":["acme/mine"]}}}})"));
  World::must(world_.put(
      R"({"kind":"VmPool","metadata":{"tenant":"acme","name":"p"},"spec":{"vms":["mine"],"owner":"user:ann"}})"));
  World::must(enable("office", owner_, [](auto& r) { r.set_pool("p"); }));
  World::must(world_.put(
      R"({"kind":"VmPool","metadata":{"tenant":"acme","name":"q"},"spec":{"vms":["mine","web-1"],"owner":"user:ann"}})"));
  const auto on_q = [](auto& r) { r.set_pool("q"); };
  EXPECT_THAT(enable("office", world_.admin, on_q).error().message, HasSubstr("VM web-1: not"));
  const auto told = enable("office", owner_, on_q).error();
  EXPECT_EQ(told.code, Code::kFailedPrecondition);
  EXPECT_THAT(told.message, HasSubstr("one of its VMs: not available to this VM"));
}

TEST_F(Catalog, SearchLooksInCategoriesToo) {
  World::must(world_.put(
      R"({"kind":"ServiceDefinition","metadata":{"name":"av"},"spec":{"vendor":"Example","serviceName":"Scanner","version":"1","categories":["malware","Security"],"levels":[{"name":"l"}],"filter":{"rules":[]}}})"));
  World::must(world_.put(
      R"({"kind":"ServiceProfile","metadata":{"name":"scan"},"spec":{"definition":"av","published":true,"description":"Looks at mail","availability":{"everyone":true}}})"));
  const auto found = [&](const std::string& query) {
    v1::ListCatalogRequest request;
    request.set_tenant("acme");
    request.set_query(query);
    return World::must(world_.call<v1::ListCatalogResponse, const v1::ListCatalogRequest&>(
                           &Api::list_entries, request, owner_))
        .entries_size();
  };
  EXPECT_EQ(found("security"), 1);
  EXPECT_EQ(found(" MAIL\texample  scanner "), 1);
  EXPECT_EQ(found("security ips"), 0);
}

TEST_F(Catalog, QuotasHoldAndSayWhatIsUsed) {
  World::must(world_.put(
      R"({"kind":"Tenant","metadata":{"name":"acme"},"spec":{"quota":{"vms":"3","nics":"4","enablements":"1","networks":"1","pools":"1"}}})"));
  const auto vm = [](const std::string& name, int nics) {
    std::string list;
    for (int i = 0; i < nics; ++i)
      list += (i ? "," : "") + ("{\"name\":\"eth" + std::to_string(i)) + "\",\"network\":\"blue\"}";
    return R"({"kind":"VirtualMachine","metadata":{"tenant":"acme","name":")" + name +
           R"("},"spec":{"nics":[)" + list + "]}}";
  };
  const auto code = [&](const std::string& json) {
    const auto put = world_.put(json);
    return put ? std::string("stored") : std::string(name(put.error().code));
  };
  EXPECT_EQ(code(vm("third", 3)), "resource_exhausted") << "two NICs are in use, four allowed";
  EXPECT_EQ(code(vm("third", 1)), "stored");
  EXPECT_EQ(code(vm("third", 2)), "stored");
  EXPECT_EQ(code(vm("third", 3)), "resource_exhausted");
  const auto full = world_.put(vm("fourth", 0)).error();
  EXPECT_EQ(full.message, "the quota of tenant acme is 3 vms: 3 in use, 1 more wanted");
  EXPECT_EQ(
      code(
          R"({"kind":"VirtualNetwork","metadata":{"tenant":"acme","name":"red"},"spec":{"subnets":[{"cidr":"10.9.0.0/16"}]}})"),
      "resource_exhausted");
  World::must(enable("office", owner_));
  EXPECT_EQ(enable("ips", owner_).error().code, Code::kResourceExhausted);

  // A batch counts what its earlier items make.
  v1::BatchRequest batch;
  batch.set_atomic(true);
  for (const auto* name : {"p1", "p2"})
    *batch.add_items()->mutable_put() = World::object(
        std::string(R"({"kind":"VmPool","metadata":{"tenant":"acme","name":")") + name + "\"}}");
  const auto both = world_.call(&Api::batch, batch);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->items(1).error().code(), "resource_exhausted");
  EXPECT_FALSE(world_.get("VmPool", "acme", "p1"));

  const auto lowered = World::must(
      world_.put(R"({"kind":"Tenant","metadata":{"name":"acme"},"spec":{"quota":{"vms":"2"}}})"));
  ASSERT_EQ(lowered.outcome().warnings_size(), 1);
  EXPECT_THAT(lowered.outcome().warnings(0), HasSubstr("vms is 2, and 3 are in use"));
  EXPECT_EQ(lowered.object().tenant().status().usage().vms(), 3);
  EXPECT_EQ(lowered.object().tenant().status().usage().nics(), 4);
  EXPECT_EQ(code(vm("third", 1)), "stored") << "what is there may be changed";
  EXPECT_EQ(
      world_.put(R"({"kind":"Tenant","metadata":{"name":"acme"},"spec":{"quota":{"pools":"-1"}}})")
          .error()
          .details.at(0)
          .field,
      "spec.quota.pools");
}

TEST_F(Catalog, PagesAreOfOneRevision) {
  const auto publish = [&](const std::string& name, const char* whom) {
    World::must(world_.put(R"({"kind":"ServiceProfile","metadata":{"name":")" + name +
                           R"("},"spec":{"definition":"fw","published":true,"availability":)" +
                           whom + "}}"));
  };
  for (const auto* name : {"a1", "a2", "b1"}) publish(name, R"({"everyone":true})");
  publish("foreign", R"({"allow":{"tenants":["acme"],"groups":["netadmins"]}})");
  v1::ListCatalogRequest request;
  request.set_tenant("acme");
  request.set_limit(2);
  const auto page = [&] {
    const auto got =
        World::must(world_.call<v1::ListCatalogResponse, const v1::ListCatalogRequest&>(
            &Api::list_entries, request, owner_));
    std::string names;
    for (const auto& entry : got.entries()) names += entry.metadata().name() + " ";
    request.set_continue_(got.continue_());
    return fmt::format("{}+{}", names, got.remaining());
  };
  EXPECT_EQ(page(), "a1 a2 +3") << "what is not for her is not counted";
  publish("a3", R"({"everyone":true})");
  EXPECT_EQ(page(), "b1 ips +1") << "as it was when the list began";
  EXPECT_EQ(page(), "office +0");
  EXPECT_EQ(request.continue_(), "");
  EXPECT_EQ(page(), "a1 a2 +4") << "a new list";
  request.set_continue_("nonsense");
  const auto bad = world_.call<v1::ListCatalogResponse, const v1::ListCatalogRequest&>(
      &Api::list_entries, request, owner_);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace penstock
