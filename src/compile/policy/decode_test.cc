#include "compile/policy/decode.h"

#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compile/policy/build.h"
#include "compile/policy/model.h"
#include "compile/policy/random_rules.h"
#include "compile/policy/rows.h"
#include "lib/classify.h"

namespace penstock::policy {
namespace {

// The row as a rule of its own.
Rule as_rule(const DecodedRow& row, Family family) {
  Rule rule;
  rule.family = family;
  rule.src = {row.src};
  rule.dst = {row.dst};
  if (row.protocol) rule.protocols = {*row.protocol};
  if (row.needs_ports) {
    rule.src_ports = {row.src_ports};
    rule.dst_ports = {row.dst_ports};
  }
  if (row.protocol == 6 && row.l4_mask)
    rule.tcp_flags =
        TcpFlags{static_cast<std::uint8_t>(row.l4_mask), static_cast<std::uint8_t>(row.l4_value)};
  else if (row.l4_mask) {
    IcmpMatch icmp{family, static_cast<std::uint8_t>(row.l4_value), {}};
    if (row.l4_mask == 0xffff) icmp.code = static_cast<std::uint8_t>(row.l4_value >> 8);
    rule.icmp = {icmp};
  }
  return rule;
}

TEST(Decode, RowsMeanWhatTheRulesMeant) {
  for (std::uint64_t seed = 1; seed <= 150; seed++) {
    RandomRules random(seed);
    const RuleSet set = random.rule_set();
    const auto image = build_policy(set);
    ASSERT_TRUE(image);
    const auto decoded = decode_policy(image->lines);
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(decoded->default_action, set.default_action);
    EXPECT_EQ(decoded->log_default, set.log_default);
    ASSERT_EQ(decoded->rules.size(), set.rules.size());
    for (std::size_t i = 0; i < set.rules.size(); i++)
      EXPECT_EQ(decoded->rules[i], (DecodedPolicy::Verdict{set.rules[i].action, set.rules[i].log,
                                                           set.rules[i].stateless}));
    for (int family : {0, 1}) {
      RuleSet rows;
      for (const DecodedRow& row : decoded->rows[family])
        rows.rules.push_back(as_rule(row, family == 0 ? Family::kV4 : Family::kV6));
      for (int i = 0; i < 60; i++) {
        const ps_packet_view packet = random.packet(set);
        if ((packet.family == 6) != (family == 1)) continue;
        const auto want = first_match(set, packet);
        const auto got = first_match(rows, packet);
        ASSERT_EQ(want.has_value(), got.has_value()) << "seed " << seed;
        if (got) {
          ASSERT_EQ(decoded->rows[family][*got].rule, *want) << "seed " << seed;
        }
      }
    }
  }
}

TEST(Decode, SaysRowsInWords) {
  RuleSet set;
  set.rules.push_back({.name = "web",
                       .src = {*IpPrefix::parse("10.0.0.0/8")},
                       .dst = {GroupId(7)},
                       .protocols = {6},
                       .src_ports = {},
                       .dst_ports = {{80, 90}},
                       .icmp = {},
                       .tcp_flags = {},
                       .family = {}});
  const auto decoded = *decode_policy(build_policy(set)->lines);
  ASSERT_EQ(decoded.rows[0].size(), 1u);
  EXPECT_EQ(decoded.rows[0][0].text(), "rule 0: 10.0.0.0/8 -> group 7, tcp, from 0-65535 to 80-90");
  EXPECT_TRUE(decoded.rows[1].empty());
}

TEST(Decode, RefusesWhatIsNotAnImage) {
  EXPECT_FALSE(decode_policy({}));
  std::vector<ps_line> lines = build_policy({})->lines;
  ASSERT_TRUE(decode_policy(lines));
  for (auto spoil : std::initializer_list<void (*)(ps_policy_header&)>{
           [](auto& h) { h.magic++; }, [](auto& h) { h.version++; }, [](auto& h) { h.lines = 2; },
           [](auto& h) { h.lines = 0; }, [](auto& h) { h.default_verdict = 3; },
           [](auto& h) { h.reserved[9] = 1; }, [](auto& h) { h.rules = 1; },
           [](auto& h) { h.family_line[0] = 5; }, [](auto& h) { h.family_line[1] = 0xffffffff; }}) {
    auto spoilt = lines;
    spoil(spoilt[0].header);
    EXPECT_FALSE(decode_policy(spoilt));
  }
}

// Natively, and by the same source in the kernel, where the verifier promises it.
TEST(Decode, SpoiltImagesHurtNobody) {
  std::mt19937_64 dice(7);
  std::size_t refused = 0, rounds = 0;
  for (std::uint64_t seed = 1; seed <= 100; seed++) {
    RandomRules random(seed);
    const RuleSet set = random.rule_set();
    const auto lines = build_policy(set)->lines;
    for (int i = 0; i < 30; i++, rounds++) {
      auto spoilt = lines;
      // One in two in the structures at the front.
      const std::size_t bytes =
          (dice() % 2 ? std::min<std::size_t>(lines.size(), 6) : lines.size()) * PS_LINE_BYTES;
      for (std::size_t n = 1 + dice() % 4; n > 0; n--)
        reinterpret_cast<std::uint8_t*>(spoilt.data())[dice() % bytes] =
            static_cast<std::uint8_t>(dice());
      if (dice() % 8 == 0) spoilt.resize(1 + dice() % spoilt.size());
      refused += !decode_policy(spoilt);
      const ps_arena_view arena{spoilt.data(), static_cast<std::uint32_t>(spoilt.size())};
      for (int packet = 0; packet < 10; packet++) {
        const ps_packet_view view = random.packet(set);
        ps_match match{};
        ps_classify(&arena, 0, &view, &match);
        ASSERT_LE(match.error, 1);
      }
    }
  }
  EXPECT_GT(refused, rounds / 10);
}

}  // namespace
}  // namespace penstock::policy
