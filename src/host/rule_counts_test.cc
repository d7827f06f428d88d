#include "host/rule_counts.h"

#include <gtest/gtest.h>

#include "host/sim/fake_kernel.h"

namespace penstock::host {
namespace {

constexpr std::uint32_t kBlock = PS_RULES_PER_BLOCK;

struct RuleCountsTest : testing::Test {
  FakeKernel kernel{1 << 16, 16};
  RuleCountsTest() { kernel.rule_counters_most = 8 * kBlock; }
  void counted(std::uint32_t index, std::uint64_t flows) {
    kernel.counted_rules[index] = {
        .flows = flows, .would_deny = 0, .last_ns = 1, .packets = 0, .bytes = 0};
  }
};

TEST_F(RuleCountsTest, RangesAreWholeBlocksAndNeverIndexZero) {
  RuleCounts counts(kernel);
  EXPECT_EQ(counts.take(1), kBlock);
  EXPECT_EQ(counts.take(kBlock + 1), 2 * kBlock);
  EXPECT_EQ(counts.take(3), 4 * kBlock);
  EXPECT_EQ(counts.take(4 * kBlock), 0u) << "three blocks are left";
  EXPECT_EQ(counts.refused(), 1u);
  EXPECT_EQ(counts.take(3 * kBlock), 5 * kBlock);
}

TEST_F(RuleCountsTest, ARangeBeginsAtZeroAndIsUsedAgainAsLateAsPossible) {
  RuleCounts counts(kernel);
  const auto first = counts.take(4);
  counted(first, 9);
  counts.hold_again(first);
  counts.release(first);
  EXPECT_TRUE(counts.is_held(first));
  counts.release(first);
  EXPECT_FALSE(counts.is_held(first));
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < 7; ++i) taken.push_back(counts.take(4));
  EXPECT_EQ(taken.back(), first) << "after all others";
  EXPECT_TRUE(kernel.counted_rules.empty());
  EXPECT_EQ(counts.take(1), 0u);
  for (const auto one : taken) counts.release(one);
  EXPECT_EQ(counts.take(7 * kBlock), kBlock) << "neighbours are one again";
}

TEST_F(RuleCountsTest, CleanedPlacesNeedNoCallWhenTheyAreTaken) {
  RuleCounts counts(kernel);
  counted(3 * kBlock, 5);
  counts.clean(100);
  EXPECT_TRUE(kernel.counted_rules.empty());
  const auto calls = kernel.calls.count_writes;
  const auto first = counts.take(2 * kBlock);
  EXPECT_EQ(kernel.calls.count_writes, calls);
  counted(first, 5);
  counts.clean(100);
  EXPECT_EQ(kernel.calls.count_writes, calls) << "what is in use is left alone";
  counts.release(first);
  counts.clean(1);
  counts.clean(1);
  EXPECT_TRUE(kernel.counted_rules.empty());
  counts.clean(100);
  EXPECT_EQ(kernel.calls.count_writes, calls + 2);
}

TEST_F(RuleCountsTest, AdoptedRangesKeepTheirCounts) {
  RuleCounts counts(kernel);
  counted(4 * kBlock + 2, 7);
  EXPECT_TRUE(counts.adopt(4 * kBlock, kBlock + 3));
  EXPECT_TRUE(counts.adopt(4 * kBlock, kBlock + 3)) << "two ports of one tenant";
  EXPECT_FALSE(counts.adopt(4 * kBlock, 3)) << "of another length";
  EXPECT_FALSE(counts.adopt(5 * kBlock, 3)) << "overlaps";
  EXPECT_FALSE(counts.adopt(7 * kBlock, 40)) << "outside";
  EXPECT_FALSE(counts.adopt(kBlock + 1, 3));
  EXPECT_FALSE(counts.adopt(0, 3));
  counts.clean(100);
  EXPECT_EQ(kernel.counted_rules.size(), 1u);
  counts.release(4 * kBlock);
  EXPECT_TRUE(counts.is_held(4 * kBlock));
}

TEST_F(RuleCountsTest, CarriesOverWhatTheRulesCounted) {
  RuleCounts counts(kernel);
  const auto old = counts.take(3), now = counts.take(4);
  counted(old, 1);
  counted(old + 1, 10);
  counted(old + 2, 20);
  ASSERT_TRUE(counts.carry_over(now, old, 3, std::vector<std::int64_t>{-1, 2, -1, 1}));
  EXPECT_EQ(kernel.rule_counts(now, 4)->at(1).flows, 20u);
  EXPECT_EQ(kernel.rule_counts(now, 4)->at(3).flows, 10u);
  EXPECT_EQ(kernel.rule_counts(now, 4)->at(0).flows, 0u);
}

TEST_F(RuleCountsTest, WithoutRoomOrAfterAFailureNothingIsCounted) {
  kernel.rule_counters_most = 0;
  EXPECT_EQ(RuleCounts(kernel).take(1), 0u);
  kernel.rule_counters_most = 8 * kBlock;
  RuleCounts counts(kernel);
  kernel.faults.calls_until_failure = 0;
  EXPECT_EQ(counts.take(1), 0u);
  kernel.faults.calls_until_failure = -1;
  EXPECT_EQ(counts.take(1), kBlock) << "nothing was lost";
}

}  // namespace
}  // namespace penstock::host
