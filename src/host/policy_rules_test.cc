#include "host/policy_rules.h"

#include <gtest/gtest.h>

namespace penstock::host {
namespace {

v1::ResolvedRule& add(v1::ResolvedFilter& filter, v1::FilterRule::Direction direction) {
  auto& rule = *filter.add_rules();
  rule.set_index(static_cast<std::uint32_t>(filter.rules_size() - 1));
  rule.set_direction(direction);
  rule.set_action(v1::DENY);
  return rule;
}

TEST(PolicyRules, EachDirectionGetsItsRulesAndTheirPlaceInTheProfile) {
  v1::ResolvedFilter filter;
  filter.set_default_in(v1::REJECT);
  add(filter, v1::FilterRule::OUT);
  add(filter, v1::FilterRule::IN);
  add(filter, v1::FilterRule::BOTH);
  add(filter, v1::FilterRule::DIRECTION_UNSPECIFIED);
  const auto rules = policy_rules(filter).value();
  EXPECT_EQ(rules.direction[PS_OUT].index, (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(rules.direction[PS_IN].index, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_EQ(rules.direction[PS_OUT].set.default_action, policy::Action::kAllow);
  EXPECT_EQ(rules.direction[PS_IN].set.default_action, policy::Action::kReject);
}

TEST(PolicyRules, SelfIsAnyAtItsOwnEndAndNothingAtTheOther) {
  v1::ResolvedFilter filter;
  add(filter, v1::FilterRule::BOTH).add_from()->set_self(true);
  const auto rules = policy_rules(filter).value();
  ASSERT_EQ(rules.direction[PS_OUT].set.rules.size(), 1u);
  EXPECT_TRUE(
      std::holds_alternative<policy::AnyAddress>(rules.direction[PS_OUT].set.rules[0].src.at(0)));
  EXPECT_TRUE(rules.direction[PS_IN].set.rules.empty());
}

TEST(PolicyRules, CollectsGroups) {
  v1::ResolvedFilter filter;
  auto& rule = add(filter, v1::FilterRule::IN);
  rule.add_from()->set_group(7);
  rule.add_from()->set_cidr("10.0.0.0/8");
  const auto rules = policy_rules(filter).value();
  EXPECT_EQ(rules.groups, std::set<std::uint64_t>{7});
  EXPECT_EQ(rules.direction[PS_IN].set.rules[0].src.size(), 2u);
}

TEST(PolicyRules, NamesTheFieldThatCannotBe) {
  const auto field_of = [](const v1::ResolvedFilter& filter) {
    const auto rules = policy_rules(filter);
    return rules ? std::string("accepted") : rules.error().details.at(0).field;
  };
  v1::ResolvedFilter filter;
  add(filter, v1::FilterRule::OUT).add_to()->set_cidr("10.0.0.1/33");
  EXPECT_EQ(field_of(filter), "rules[0].to[0].cidr");
  filter.Clear();
  auto& span = *add(filter, v1::FilterRule::OUT).add_ports();
  span.set_low(90);
  span.set_high(80);
  EXPECT_EQ(field_of(filter), "rules[0].ports");
  filter.Clear();
  add(filter, v1::FilterRule::OUT).add_protocols(256);
  EXPECT_EQ(field_of(filter), "rules[0].protocols");
  filter.Clear();
  add(filter, v1::FilterRule::OUT).add_icmp()->set_type(300);
  EXPECT_EQ(field_of(filter), "rules[0].icmp");
}

TEST(PolicyRules, IcmpCodesBecomeMatches) {
  v1::ResolvedFilter filter;
  auto& icmp = *add(filter, v1::FilterRule::OUT).add_icmp();
  icmp.set_type(3);
  icmp.add_codes(1);
  icmp.add_codes(4);
  const auto rules = policy_rules(filter).value();
  EXPECT_EQ(rules.direction[PS_OUT].set.rules[0].icmp.size(), 2u);
}

}  // namespace
}  // namespace penstock::host
