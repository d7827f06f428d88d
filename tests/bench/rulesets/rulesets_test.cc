#include "bench/rulesets/rulesets.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/rulesets/as_policy.h"
#include "compile/policy/build.h"
#include "compile/policy/model.h"

namespace penstock::bench {
namespace {

TEST(RuleSets, OnlyTheLastRuleMatchesTheConnection) {
  for (Family ip : {Family::kV4, Family::kV6})
    for (auto name : family_names())
      for (std::size_t count : {1, 2, 17, 4096}) {
        const Connection connection = standard_connection(ip);
        const auto rules = generate(name, count, connection);
        ASSERT_TRUE(rules) << rules.error().text();
        ASSERT_EQ(rules->size(), count);
        EXPECT_EQ(policy::first_match(as_policy(*rules), packet_of(connection)), count - 1)
            << name << " " << count;
      }
}

TEST(RuleSets, FamiliesAreWhatTheirNamesSay) {
  const auto count_distinct = [](std::vector<BenchRule> rules, auto member) {
    std::ranges::sort(rules, {}, member);
    const auto rest = std::ranges::unique(rules, {}, member);
    return rules.size() - rest.size();
  };
  const Connection connection = standard_connection(Family::kV4);
  const auto few = *generate("few-hosts", 4096, connection);
  EXPECT_EQ(count_distinct(few, &BenchRule::source), 16u);
  EXPECT_EQ(count_distinct(few, &BenchRule::destination), 16u);
  const auto thousand = *generate("1000-destinations", 4096, connection);
  EXPECT_EQ(count_distinct(thousand, &BenchRule::source), 1u);
  EXPECT_EQ(count_distinct(thousand, &BenchRule::destination), 1000u);
  const auto distinct = *generate("distinct-destinations-and-ports", 4096, connection);
  EXPECT_EQ(count_distinct(distinct, &BenchRule::destination), 4096u);
  EXPECT_EQ(count_distinct(distinct, &BenchRule::port), 4096u);
  const auto all = *generate("all-distinct", 4096, connection);
  EXPECT_EQ(count_distinct(all, &BenchRule::source), 4096u);
  EXPECT_EQ(count_distinct(all, &BenchRule::port), 4096u);
}

TEST(RuleSets, FormatsAreReadable) {
  const auto rules = *generate("few-hosts", 2, standard_connection(Family::kV4));
  EXPECT_THAT(
      to_nft(rules, "inet"),
      testing::HasSubstr("ip saddr 10.0.0.2/32 ip daddr 10.0.0.3/32 tcp dport 5201 accept"));
  EXPECT_THAT(
      to_penstock_yaml(rules),
      testing::HasSubstr("- {name: bench-2, action: ALLOW, from: [{cidr: \"10.0.0.2/32\"}], "
                         "to: [{cidr: \"10.0.0.3/32\"}], protocols: [tcp], ports: [\"5201\"]}"));
  EXPECT_THAT(to_json(rules), testing::HasSubstr("\"port\": 5201, \"action\": \"allow\"}\n]"));
}

TEST(RuleSets, WrongRequestsAreRefused) {
  EXPECT_FALSE(generate("nonsense", 10, standard_connection(Family::kV4)));
  EXPECT_FALSE(generate("few-hosts", 0, standard_connection(Family::kV4)));
  EXPECT_FALSE(generate("few-hosts", 60'001, standard_connection(Family::kV4)));
}

TEST(RuleSets, CompileSmallAndQuickly) {
  for (Family ip : {Family::kV4, Family::kV6})
    for (auto name : family_names())
      for (std::size_t count : {4096u, 16384u}) {
        const auto set = as_policy(*generate(name, count, standard_connection(ip)));
        double best_ms = 1e9;
        policy::PolicyImage image;
        for (int i = 0; i < 5; i++) {
          const auto start = std::chrono::steady_clock::now();
          image = *policy::build_policy(set);
          const std::chrono::duration<double, std::milli> took =
              std::chrono::steady_clock::now() - start;
          best_ms = std::min(best_ms, took.count());
        }
        const policy::FamilyStats& stats = image.stats.family[ip == Family::kV4 ? 0 : 1];
        fmt::print(
            "v{} {:32} {:6} rules: {:5.1f} ms, {:4.0f} B a rule; pivoted {}, dense {}, vectors "
            "{}/{}\n",
            ip == Family::kV4 ? 4 : 6, name, count, best_ms, image.stats.bytes_per_rule,
            stats.pivoted, stats.dense, stats.vectors, stats.classes);
        EXPECT_LE(image.stats.bytes_per_rule, 200);
        EXPECT_LT(best_ms, 500) << "far from the usual 10 ms even for a busy machine";
      }
}

}  // namespace
}  // namespace penstock::bench
