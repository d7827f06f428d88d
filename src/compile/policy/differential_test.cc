// The classifier against the model: random rule sets, random packets near their edges.
// --gtest_random_seed=n (1 to 99999) draws others.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "compile/policy/build.h"
#include "compile/policy/decode.h"
#include "compile/policy/model.h"
#include "compile/policy/random_rules.h"
#include "lib/classify.h"

namespace penstock::policy {
namespace {

constexpr std::uint64_t kPackets = 1'000'000;

std::string text(const ps_packet_view& p) {
  const auto address = [&](const ps_address& from) {
    IpAddress a;
    a.family = p.family == 6 ? Family::kV6 : Family::kV4;
    std::copy(from.b, from.b + 16, a.bytes.begin());
    return a.text();
  };
  return fmt::format("{} -> {} proto {} ports {} {} flags {:#x} icmp {} {} view {:#x} groups {} {}",
                     address(p.src), address(p.dst), p.proto, p.sport, p.dport, p.tcp_flags,
                     p.icmp_type, p.icmp_code, p.flags, p.src_groups[0], p.dst_groups[0]);
}

TEST(Differential, ClassifierAgreesWithModel) {
  const auto seed = static_cast<std::uint64_t>(GTEST_FLAG_GET(random_seed));
  std::uint64_t packets = 0, matched = 0, dense = 0, pivoted = 0, always = 0, shared = 0;
  for (std::uint64_t round = 0; packets < kPackets; round++) {
    RandomRules random(seed * 1'000'003 + round);
    const RuleSet set = random.rule_set();
    auto image = build_policy(set);
    ASSERT_TRUE(image) << image.error().text();
    for (const FamilyStats& stats : image->stats.family) {
      dense += stats.dense != 0;
      pivoted += stats.pivoted != 0;
      always += stats.always != 0;
      shared += stats.vectors < stats.classes;
    }
    // Somewhere in an arena, so that a reference that is not relative shows.
    std::vector<ps_line> arena(3 + round % 7);
    const auto base = static_cast<std::uint32_t>(arena.size());
    arena.insert(arena.end(), image->lines.begin(), image->lines.end());
    const ps_arena_view view{arena.data(), static_cast<std::uint32_t>(arena.size())};
    for (int i = 0; i < 4000; i++, packets++) {
      const ps_packet_view packet = random.packet(set);
      const auto expected = first_match(set, packet);
      ps_match match{};
      ps_classify(&view, base, &packet, &match);
      ASSERT_EQ(match.error, 0);
      ASSERT_EQ(match.rule, expected ? *expected : PS_NO_RULE)
          << "seed " << seed << " round " << round << ", " << set.rules.size()
          << " rules: " << text(packet);
      const Action action = expected ? set.rules[*expected].action : set.default_action;
      const bool log = expected ? set.rules[*expected].log : set.log_default;
      ASSERT_EQ(match.action, static_cast<int>(action));
      ASSERT_EQ((match.flags & PS_VERDICT_LOG) != 0, log);
      ASSERT_EQ((match.flags & PS_VERDICT_STATELESS) != 0,
                expected && set.rules[*expected].stateless);
      matched += expected.has_value();
    }
  }
  // The run must have been worth something.
  EXPECT_GT(matched, packets / 5);
  EXPECT_LT(matched, packets);
  EXPECT_GT(dense, 0u);
  EXPECT_GT(pivoted, 0u);
  EXPECT_GT(always, 0u);
  EXPECT_GT(shared, 0u);
  fmt::print(
      "{} packets, {} matched a rule; classifiers with dense rows {}, pivots {}, lists {}, shared "
      "vectors {}\n",
      packets, matched, dense, pivoted, always, shared);
}

}  // namespace
}  // namespace penstock::policy
