// What happens when numbers of policies, groups and tenants would meet. The words of the switch
// have 32 bits, so texts that meet are found by trying some hundred thousand.
#include "model/ids.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compile/intent.h"
#include "model/testing/world.h"

namespace penstock {
namespace {

using testing::figure1;
using ::testing::HasSubstr;
using testing::World;

// The first two of text(0), text(1), ... that have the same number.
template <typename Text, typename Number>
std::pair<std::string, std::string> two_that_meet(Text text, Number number) {
  std::map<std::uint32_t, std::string> seen;
  for (std::uint64_t i = 0;; ++i) {
    const std::string one = text(i);
    const auto [it, fresh] = seen.emplace(number(one), one);
    if (!fresh) return {it->second, one};
  }
}

std::string uid(std::uint64_t low) {
  return fmt::format("{0:016x}{0:016x}", low);
}
std::uint64_t low_of(const std::string& uid) {
  return std::stoull(uid.substr(16), nullptr, 16);
}

class IdsTest : public ::testing::Test {
 protected:
  const StepKinds kinds_ = standard_step_kinds();
  World world_{kinds_};
  Compiler compiler_{kinds_};

  void SetUp() override { put(std::string(figure1())); }
  void put(const std::string& json) {
    const auto status = world_.put(json);
    ASSERT_TRUE(status) << status.error().text();
  }
  // The next uids that admission draws.
  void draw(std::vector<std::string> uids) {
    std::vector<std::uint64_t> numbers;
    for (const auto& one : uids) numbers.insert(numbers.end(), {low_of(one), low_of(one)});
    world_.context.random = [numbers, next = std::size_t{0}]() mutable {
      return next < numbers.size() ? numbers[next++] : 0xabcdef + next++;
    };
  }
  static std::string definition(const std::string& name, const std::string& label, int version = 1,
                                const std::string& more = "") {
    return fmt::format(
        R"({{"kind": "ServiceDefinition", "metadata": {{"name": "{}"}}, "spec": {{"vendor": "v", "serviceName": "s", "version": "{}",
           "levels": [{{"name": "only"}}], "filter": {{"rules": [{{"action": "DENY", "to": [{{"vms": {{"matchLabels": {{"role": "{}"}}{}}}}}]}}]}}}}}})",
        name, version, label, more);
  }
  static std::string profile(const std::string& name, const std::string& definition) {
    return fmt::format(
        R"({{"kind": "ServiceProfile", "metadata": {{"name": "{}"}}, "spec": {{"definition": "{}", "availability": {{"everyone": true}}, "published": true}}}})",
        name, definition);
  }
  std::vector<v1::IntentItem> items(std::string_view host, std::string_view prefix) {
    std::vector<v1::IntentItem> out;
    for (const auto& [key, bytes] : compiler_.compile(world_.now(), host).items)
      if (key.starts_with(prefix)) out.push_back(parse_item(*bytes));
    return out;
  }
};

TEST_F(IdsTest, PoliciesThatMeetIn32BitsAreTwoItems) {
  const auto [a, b] = two_that_meet(
      uid, [](const std::string& one) { return switch_number(policy_id(one, "only", "")); });
  ASSERT_NE(policy_id(a, "only", ""), policy_id(b, "only", ""));
  draw({a, b});
  put(profile("p1", "guard"));
  put(profile("p2", "guard"));
  std::set<std::uint64_t> ids;
  std::uint32_t number = 0;
  for (const auto& item : items("h1", "40/policy/"))
    if (item.policy().profile() == "p1" || item.policy().profile() == "p2") {
      ids.insert(item.policy().id());
      number = switch_number(item.policy().id());
    }
  EXPECT_EQ(ids.size(), 2u);
  EXPECT_EQ(number, switch_number(policy_id(a, "only", ""))) << "the clash was not planted";
}

TEST_F(IdsTest, ATenantWhoseTagIsTakenGetsAnotherUid) {
  const auto [a, b] = two_that_meet(uid, tenant_tag);
  draw({a, b});
  put(R"({"kind": "Tenant", "metadata": {"name": "t1"}})");
  ASSERT_EQ(world_.now().find<v1::Tenant>("t1")->metadata().uid(), a);
  put(R"({"kind": "Tenant", "metadata": {"name": "t2"}})");
  const auto got = world_.now().find<v1::Tenant>("t2")->metadata().uid();
  EXPECT_NE(got, b);
  EXPECT_NE(tenant_tag(got), tenant_tag(a));
}

TEST_F(IdsTest, AGroupIsOneOfOneTenantAndOneSelector) {
  EXPECT_NE(group_id("a", "role=web"), group_id("b", "role=web"));
  EXPECT_NE(group_id("a", "role=web"), group_id("a", "role=db"));
  EXPECT_EQ(switch_number(group_id("a", "role=web")), switch_number(group_id("b", "role=web")))
      << "a network is of one tenant: its members need no tenant";
  for (int i = 0; i < 1000; ++i) EXPECT_NE(selector_number(std::to_string(i)), 0u);
}

TEST_F(IdsTest, ASelectorThatMeetsAnotherIsRefusedByName) {
  const auto [a, b] =
      two_that_meet([](std::uint64_t i) { return fmt::format("role=w{}", i); }, selector_number);
  const auto label = [](const std::string& text) { return text.substr(text.find('=') + 1); };
  put(definition("d1", label(a)));
  put(profile("p1", "d1"));
  put(definition("d2", label(b)));
  const auto p2 = ObjectKey::of<v1::ServiceProfile>("", "p2");
  const auto d2 = ObjectKey::of<v1::ServiceDefinition>("", "d2");
  EXPECT_TRUE(compiler_.check_selectors(world_.now(), d2)) << "nothing published has it";
  put(profile("p2", "d2"));
  for (const auto& key : {p2, d2}) {
    const auto status = compiler_.check_selectors(world_.now(), key);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_THAT(status.error().message,
                HasSubstr(fmt::format("selector \"{}\" of profile p2 has the same number in the "
                                      "switch as \"{}\" of profile p1",
                                      b, a)));
    EXPECT_THAT(status.error().hint, HasSubstr("requirement that holds anyway"));
  }
  Compiler fresh(kinds_);
  EXPECT_FALSE(fresh.check_selectors(world_.now(), p2)) << "what was seen before is only a memo";

  // The way out that the hint names; and equal selectors in two profiles are one group.
  put(definition("d2", label(b), 2, R"(, "expressions": [{"key": "role", "operator": "EXISTS"}])"));
  EXPECT_TRUE(compiler_.check_selectors(world_.now(), d2));
  put(definition("d2", label(a), 3));
  EXPECT_TRUE(compiler_.check_selectors(world_.now(), d2));
}

}  // namespace
}  // namespace penstock
