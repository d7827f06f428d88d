// Changing objects in part, and edits that are refused for what they would bring.
#include <gtest/gtest.h>

#include "model/ids.h"
#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;

struct PatchTest : public ::testing::Test {
  World world;

  void SetUp() override { world.furnish(); }
  Result<v1::PutResponse> patch(const std::string& kind, const std::string& tenant,
                                const std::string& name, const std::string& text,
                                std::optional<std::string> secret = {},
                                v1::WriteOptions options = {}) {
    v1::PatchRequest request;
    request.set_kind(kind);
    request.set_tenant(tenant);
    request.set_name(name);
    request.set_patch(text);
    *request.mutable_options() = std::move(options);
    return world.call(&Api::patch, std::move(request), secret);
  }
  Result<v1::PutResponse> patch_vm(const std::string& text, v1::WriteOptions options = {}) {
    return patch("vm", "acme", "web-1", text, {}, std::move(options));
  }
  v1::VirtualMachine vm() {
    return World::must(world.get("VirtualMachine", "acme", "web-1")).virtual_machine();
  }
};

TEST_F(PatchTest, ChangesWhatItNamesAndNothingElse) {
  const auto before = vm();
  const auto answer = World::must(patch_vm(
      R"({"metadata": {"labels": {"role": "web", "old": "1"}}, "spec": {"power": "STOPPED"}})"));
  EXPECT_EQ(answer.outcome().change(), v1::WriteOutcome::UPDATED);
  const auto after = answer.object().virtual_machine();
  EXPECT_EQ(after.spec().power(), v1::VirtualMachineSpec::STOPPED);
  EXPECT_EQ(after.spec().nics(0).port_id(), before.spec().nics(0).port_id());
  EXPECT_EQ(after.spec().nics(0).addresses(0), before.spec().nics(0).addresses(0));
  EXPECT_EQ(after.spec().owner(), before.spec().owner());
  EXPECT_EQ(after.metadata().uid(), before.metadata().uid());
  EXPECT_EQ(after.metadata().labels().at("role"), "web");
  // null removes; both spellings of a field are the field.
  World::must(patch_vm(R"({"metadata": {"labels": {"old": null}, "resource_version": null}})"));
  EXPECT_EQ(vm().metadata().labels().size(), 1u);
  World::must(patch("networks", "acme", "blue", R"({"spec": {"virtual_switch": "s1"}})"));
  World::must(patch("networks", "acme", "blue", R"({"spec": {"virtualSwitch": "s2"}})"));
  EXPECT_EQ(World::must(world.get("VirtualNetwork", "acme", "blue"))
                .virtual_network()
                .spec()
                .virtual_switch(),
            "s2");
  const auto again = World::must(patch_vm(R"({"spec": {"power": "STOPPED"}})"));
  EXPECT_EQ(again.outcome().change(), v1::WriteOutcome::UNCHANGED);
}

TEST_F(PatchTest, RefusesWithAllErrorsAndStoresNothing) {
  const auto before = world.server->engine().head().revision();
  const auto both =
      patch_vm(R"({"spec": {"powr": "STOPPED", "nics": [{"name": "eth0", "netwrk": "blue"}]}})");
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, Code::kInvalidArgument);
  std::set<std::string> fields;
  for (const auto& detail : both.error().details) fields.insert(detail.field);
  EXPECT_TRUE(fields.contains("spec.powr"));
  EXPECT_TRUE(fields.contains("spec.nics[0].netwrk"));
  for (const auto* bad : {"[]", "\"x\"", "{", "", R"({"metadata": {"name": "other"}})",
                          R"({"metadata": {"tenant": "other"}})", R"({"kind": "Host"})",
                          R"({"spec": {"virtual_switch": "a", "virtualSwitch": "b"}})",
                          R"({"spec": {"nics": [{"name": "eth0", "network": "nowhere"}]}})"}) {
    const auto answer = patch(
        std::string_view(bad).find("witch") != std::string_view::npos ? "networks" : "vm", "acme",
        std::string_view(bad).find("witch") != std::string_view::npos ? "blue" : "web-1", bad);
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().code, Code::kInvalidArgument) << bad << answer.error().text();
  }
  EXPECT_EQ(patch("vm", "acme", "gone", "{}").error().code, Code::kNotFound);
  EXPECT_EQ(patch("catalog", "", "office", "{}").error().code, Code::kInvalidArgument);
  EXPECT_EQ(world.server->engine().head().revision(), before);
}

TEST_F(PatchTest, AStaleVersionIsAConflictAndTwoPatchesOfDifferentFieldsAreBothIn) {
  const auto version = vm().metadata().resource_version();
  const auto with = [&](const std::string& label) {
    return patch_vm(R"({"metadata": {"resourceVersion": ")" + version + R"(", "labels": {")" +
                    label + R"(": "1"}}})");
  };
  World::must(with("a"));
  const auto stale = with("b");
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, Code::kConflict);

  int answered = 0;
  for (const auto* label : {"x", "y"}) {
    v1::PatchRequest request;
    request.set_kind("vm");
    request.set_tenant("acme");
    request.set_name("web-1");
    request.set_patch(std::string(R"({"metadata": {"labels": {")") + label + R"(": "1"}}})");
    world.server->api().patch(world.admin, request, [&](Result<v1::PutResponse> answer) {
      EXPECT_TRUE(answer);
      ++answered;
    });
  }
  world.run_until([&] { return answered == 2; });
  EXPECT_TRUE(vm().metadata().labels().contains("x"));
  EXPECT_TRUE(vm().metadata().labels().contains("y"));
}

TEST_F(PatchTest, DryRunsWaitsAndRequestIdsAreThoseOfEveryWrite) {
  v1::WriteOptions dry;
  dry.set_dry_run(true);
  EXPECT_EQ(World::must(patch_vm(R"({"spec": {"power": "STOPPED"}})", dry))
                .object()
                .virtual_machine()
                .spec()
                .power(),
            v1::VirtualMachineSpec::STOPPED);
  EXPECT_NE(vm().spec().power(), v1::VirtualMachineSpec::STOPPED);
  v1::WriteOptions options;
  options.set_wait_applied(true);
  options.set_request_id("p1");
  const auto first = World::must(patch_vm(R"({"spec": {"power": "STOPPED"}})", options));
  EXPECT_EQ(first.outcome().rollout().applied(), 1);
  EXPECT_FALSE(world.hosts["h1"]->holds.items.contains("50/vm/acme/web-1"));
  const auto again = World::must(patch_vm(R"({"spec": {"power": "STOPPED"}})", options));
  EXPECT_EQ(again.outcome().change(), v1::WriteOutcome::UPDATED) << "the first answer";
}

TEST_F(PatchTest, NeedsTheRightToChangeAndKeepsSecrets) {
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
  const auto ann = world.token_for_user("ann");
  EXPECT_EQ(patch("vm", "acme", "web-1", R"({"spec": {"owner": "user:ann"}})", ann).error().code,
            Code::kNotFound);
  World::must(patch_vm(R"({"spec": {"owner": "user:ann"}})"));
  EXPECT_EQ(patch("vm", "acme", "web-1", R"({"spec": {"power": "STOPPED"}})", ann).error().code,
            Code::kPermissionDenied);
  // A token keeps working when its labels change: its hash is not part of what clients see.
  World::must(patch("token", "", "t-ann", R"({"metadata": {"labels": {"a": "b"}}})"));
  EXPECT_TRUE(world.get("VirtualMachine", "acme", "web-1", ann));
}

TEST_F(PatchTest, OwnersOfPoolsAndNetworksEnableOnThem) {
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
  const auto ann = world.token_for_user("ann");
  World::must(world.put(
      R"({"kind":"VmPool","metadata":{"name":"web","tenant":"acme"},"spec":{"selector":{"matchLabels":{"role":"web"}}}})"));
  World::must(patch_vm(R"({"metadata": {"labels": {"role": "web"}}})"));
  const auto enable = [&](bool pool, const std::string& secret) {
    v1::EnableRequest request;
    request.set_tenant("acme");
    request.set_profile("office");
    pool ? request.set_pool("web") : request.set_network("blue");
    request.mutable_options()->set_wait_applied(true);
    return world.call(&Api::enable, request, secret);
  };
  EXPECT_FALSE(enable(true, ann)) << "nobody owns it";
  EXPECT_FALSE(enable(false, ann));
  EXPECT_FALSE(patch("pool", "acme", "web", R"({"spec": {"owner": "user:nobody"}})"));
  EXPECT_FALSE(patch("pool", "acme", "web", R"({"spec": {"owner": "ann"}})"));
  World::must(patch("pool", "acme", "web", R"({"spec": {"owner": "user:ann"}})"));
  World::must(patch("networks", "acme", "blue", R"({"spec": {"owner": "user:ann"}})"));
  EXPECT_FALSE(patch("pool", "acme", "web", R"({"spec": {"selector": {}}})", ann))
      << "an owner uses it, the tenant's administrator says what is in it";
  EXPECT_FALSE(patch("networks", "acme", "blue", R"({"metadata": {"labels": {"a": "b"}}})", ann));
  const auto on_pool = World::must(enable(true, ann));
  EXPECT_EQ(on_pool.enablement().status().protected_(), 1);
  World::must(enable(false, ann));
  v1::DisableRequest disable;
  disable.set_tenant("acme");
  disable.set_profile("office");
  disable.set_network("blue");
  EXPECT_TRUE(world.call(&Api::disable, disable, ann));
  EXPECT_FALSE(world.erase("User", "", "ann", true)) << "who owns something is in use";
  World::must(patch("pool", "acme", "web", R"({"spec": {"owner": null}})"));
  disable.set_pool("web");
  EXPECT_FALSE(world.call(&Api::disable, disable, ann)) << "no longer an owner";
  EXPECT_TRUE(world.call(&Api::disable, disable));
}

TEST_F(PatchTest, ASelectorTheSwitchCouldNotTellFromAnotherIsRefused) {
  // Two labels whose selectors have the same 32-bit number: tried until two meet.
  std::map<std::uint32_t, std::string> seen;
  std::string one, other;
  for (int i = 0; other.empty(); ++i) {
    const auto label = fmt::format("w{}", i);
    const auto [it, fresh] = seen.emplace(selector_number("role=" + label), label);
    if (!fresh) std::tie(one, other) = std::pair(it->second, label);
  }
  const auto put = [&](const std::string& name, const std::string& label, bool published) {
    World::must(world.put(fmt::format(
        R"({{"kind":"ServiceDefinition","metadata":{{"name":"{}"}},"spec":{{"vendor":"v","serviceName":"s","version":"1",
           "levels":[{{"name":"l"}}],"filter":{{"rules":[{{"action":"DENY","to":[{{"vms":{{"matchLabels":{{"role":"{}"}}}}}}]}}]}}}}}})",
        name, label)));
    return world.put(fmt::format(
        R"({{"kind":"ServiceProfile","metadata":{{"name":"{0}"}},"spec":{{"definition":"{0}","published":{1},"availability":{{"everyone":true}}}}}})",
        name, published));
  };
  World::must(put("d1", one, true));
  const auto held = world.hosts["h1"]->holds.digest();
  const auto refused = put("d2", other, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("role=" + one), std::string::npos);
  EXPECT_NE(refused.error().message.find("role=" + other), std::string::npos);
  EXPECT_EQ(world.hosts["h1"]->holds.digest(), held) << "nothing reached the hosts";
  World::must(put("d2", other, false));
  EXPECT_FALSE(patch("profile", "", "d2", R"({"spec": {"published": true}})"));
  World::must(patch(
      "definition", "", "d2",
      R"({"spec": {"version": "2", "filter": {"rules": [{"action": "DENY", "to": [{"vms": {"matchLabels": {"role": ")" +
          other + R"("}, "expressions": [{"key": "role", "operator": "EXISTS"}]}}]}]}}})"));
  World::must(patch("profile", "", "d2", R"({"spec": {"published": true}})"));
}

}  // namespace
}  // namespace penstock
