#include "compile/policy/build.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compile/policy/decode.h"
#include "compile/policy/model.h"
#include "compile/policy/random_rules.h"
#include "lib/classify.h"

namespace penstock::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

IpPrefix net(std::string_view text) {
  return *IpPrefix::parse(text);
}

ps_packet_view packet(std::string_view src, std::string_view dst, std::uint8_t proto,
                      std::uint16_t sport = 0, std::uint16_t dport = 0) {
  ps_packet_view out{};
  const IpAddress from = *IpAddress::parse(src), to = *IpAddress::parse(dst);
  out.family = from.family == Family::kV4 ? 4 : 6;
  std::memcpy(out.src.b, from.bytes.data(), 16);
  std::memcpy(out.dst.b, to.bytes.data(), 16);
  out.proto = proto;
  out.sport = sport;
  out.dport = dport;
  if (proto == 6 || proto == 17 || proto == 132) out.flags = PS_VIEW_PORTS_VALID;
  return out;
}

// One rule that is to match or not, alone and behind enough others that it is found by searching.
class OneRule {
 public:
  explicit OneRule(Rule rule) : rule_(std::move(rule)) {}
  bool matches(const ps_packet_view& view) const {
    const bool alone = decide({}, view);
    std::vector<Rule> others;
    for (int i = 0; i < 300; i++) {
      Rule other;
      other.src = {IpPrefix{IpAddress::v4(0xcb007100u + i % 20), 32}};
      other.dst = {IpPrefix{IpAddress::v4(0xcb007200u + i / 20), 32}, net("2001:db8:ffff::/48")};
      other.dst_ports = {
          {static_cast<std::uint16_t>(60'000 + i), static_cast<std::uint16_t>(61'000 + i)}};
      others.push_back(other);
    }
    const bool behind = decide(std::move(others), view);
    EXPECT_EQ(alone, behind);
    EXPECT_EQ(alone, policy::matches(rule_, view)) << "the model";
    return alone;
  }

 private:
  bool decide(std::vector<Rule> before, const ps_packet_view& view) const {
    const auto place = static_cast<std::uint32_t>(before.size());
    RuleSet set{.rules = std::move(before)};
    set.rules.push_back(rule_);
    const auto image = build_policy(set);
    EXPECT_TRUE(image) << image.error().text();
    const ps_arena_view arena{image->lines.data(), static_cast<std::uint32_t>(image->lines.size())};
    ps_match match{};
    ps_classify(&arena, 0, &view, &match);
    EXPECT_EQ(match.error, 0);
    EXPECT_TRUE(!match.matched || match.rule == place);
    return match.matched;
  }
  Rule rule_;
};

TEST(Rules, WithoutAnyPartMatchesEverything) {
  const OneRule rule{Rule{}};
  EXPECT_TRUE(rule.matches(packet("10.0.0.1", "10.0.0.2", 6)));
  EXPECT_TRUE(rule.matches(packet("fd00::1", "fd00::2", 47)));
}

TEST(Rules, Prefixes) {
  Rule r;
  r.src = {net("10.1.0.0/16"), net("fd00:1::/32")};
  r.dst = {net("192.0.2.7/32"), net("2001:db8::7/128")};
  const OneRule rule{r};
  EXPECT_TRUE(rule.matches(packet("10.1.255.255", "192.0.2.7", 6)));
  EXPECT_FALSE(rule.matches(packet("10.2.0.0", "192.0.2.7", 6)));
  EXPECT_FALSE(rule.matches(packet("10.0.255.255", "192.0.2.7", 6)));
  EXPECT_FALSE(rule.matches(packet("10.1.0.0", "192.0.2.8", 6)));
  EXPECT_TRUE(rule.matches(packet("fd00:1:ffff::1", "2001:db8::7", 6)));
  EXPECT_FALSE(rule.matches(packet("fd00:2::1", "2001:db8::7", 6)));
  EXPECT_FALSE(rule.matches(packet("fd00:1::1", "2001:db8::8", 6)));
}

TEST(Rules, PrefixesThatEndInsideEveryWord) {
  for (const char* text :
       {"fd00::/9", "fd00:0:8000::/33", "fd00:0:0:0:8000::/65", "fd00::8000:0/97", "fd00::1/128"}) {
    Rule r;
    r.src = {net(text)};
    const OneRule rule{r};
    const auto first = net(text).address, last = net(text).last();
    EXPECT_TRUE(rule.matches(packet(first.text(), "fd00::2", 6))) << text;
    EXPECT_TRUE(rule.matches(packet(last.text(), "fd00::2", 6))) << text;
    EXPECT_FALSE(rule.matches(packet(last.plus(1).text(), "fd00::2", 6))) << text;
    EXPECT_FALSE(rule.matches(packet("fc00::1", "fd00::2", 6))) << text;
  }
}

TEST(Rules, EndsOfTheAddressSpace) {
  Rule r;
  r.src = {net("255.255.255.255/32"), net("0.0.0.0/32"),
           net("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")};
  const OneRule rule{r};
  EXPECT_TRUE(rule.matches(packet("255.255.255.255", "10.0.0.1", 6)));
  EXPECT_TRUE(rule.matches(packet("0.0.0.0", "10.0.0.1", 6)));
  EXPECT_FALSE(rule.matches(packet("255.255.255.254", "10.0.0.1", 6)));
  EXPECT_TRUE(rule.matches(packet("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::1", 6)));
  EXPECT_FALSE(rule.matches(packet("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "fd00::1", 6)));
}

TEST(Rules, AnyOfOneFamily) {
  Rule r;
  r.src = {net("0.0.0.0/0")};
  EXPECT_TRUE(OneRule{r}.matches(packet("10.0.0.1", "10.0.0.2", 6)));
  EXPECT_FALSE(OneRule{r}.matches(packet("fd00::1", "fd00::2", 6)));
  Rule by_family;
  by_family.family = Family::kV6;
  EXPECT_FALSE(OneRule{by_family}.matches(packet("10.0.0.1", "10.0.0.2", 6)));
  EXPECT_TRUE(OneRule{by_family}.matches(packet("fd00::1", "fd00::2", 6)));
}

TEST(Rules, Groups) {
  Rule r;
  r.src = {GroupId(7), net("10.9.0.0/16")};
  r.dst = {GroupId(0xffffffff)};
  const OneRule rule{r};
  for (const char* address : {"10.0.0.1", "fd00::1"}) {
    auto p = packet(address, address, 6);
    EXPECT_FALSE(rule.matches(p));
    p.src_groups[0] = 7;
    EXPECT_FALSE(rule.matches(p));
    p.dst_groups[0] = 3, p.dst_groups[1] = 0xffffffff;
    EXPECT_TRUE(rule.matches(p));
    p.src_groups[0] = 8;
    EXPECT_FALSE(rule.matches(p));
    for (std::uint32_t i = 0; i < 8; i++)
      p.src_groups[i] = i;  // 0 ends nothing for the last of them
    p.src_groups[0] = 9;
    EXPECT_TRUE(rule.matches(p));
  }
  auto p = packet("10.9.0.1", "10.0.0.1", 6);
  p.dst_groups[0] = 0xffffffff;
  EXPECT_TRUE(rule.matches(p));
}

TEST(Rules, PortsAndProtocols) {
  Rule r;
  r.protocols = {6, 17};
  r.src_ports = {{1024, 65535}};
  r.dst_ports = {{0, 0}, {80, 90}, {65535, 65535}};
  const OneRule rule{r};
  for (std::uint16_t port : {0, 80, 85, 90, 65535})
    EXPECT_TRUE(rule.matches(packet("10.0.0.1", "10.0.0.2", 6, 1024, port))) << port;
  for (std::uint16_t port : {1, 79, 91, 65534})
    EXPECT_FALSE(rule.matches(packet("10.0.0.1", "10.0.0.2", 17, 1024, port))) << port;
  EXPECT_FALSE(rule.matches(packet("10.0.0.1", "10.0.0.2", 6, 1023, 80)));
  EXPECT_FALSE(rule.matches(packet("10.0.0.1", "10.0.0.2", 132, 1024, 80)));
  EXPECT_TRUE(rule.matches(packet("fd00::1", "fd00::2", 17, 1024, 90)));
}

TEST(Rules, PortsAreNeverThoseOfPacketsWithoutPorts) {
  Rule r;
  r.dst_ports = {{0, 65535}};
  const OneRule rule{r};
  EXPECT_TRUE(rule.matches(packet("10.0.0.1", "10.0.0.2", 17, 5, 0)));
  EXPECT_FALSE(rule.matches(packet("10.0.0.1", "10.0.0.2", 47)));
  auto later = packet("10.0.0.1", "10.0.0.2", 17, 5, 5);
  later.flags |= PS_VIEW_FRAGMENT_LATER;
  EXPECT_FALSE(rule.matches(later));
  Rule whole;
  whole.protocols = {17};
  EXPECT_TRUE(OneRule{whole}.matches(later));
}

TEST(Rules, Icmp) {
  Rule r;
  r.icmp = {{Family::kV4, 3, 4}, {Family::kV4, 8, {}}, {Family::kV6, 128, 0}};
  const OneRule rule{r};
  const auto icmp = [](std::string_view address, std::uint8_t proto, std::uint8_t type,
                       std::uint8_t code) {
    auto p = packet(address, address, proto);
    p.icmp_type = type;
    p.icmp_code = code;
    return p;
  };
  EXPECT_TRUE(rule.matches(icmp("10.0.0.1", 1, 3, 4)));
  EXPECT_FALSE(rule.matches(icmp("10.0.0.1", 1, 3, 3)));
  EXPECT_TRUE(rule.matches(icmp("10.0.0.1", 1, 8, 9)));
  EXPECT_FALSE(rule.matches(icmp("10.0.0.1", 1, 128, 0)));
  EXPECT_FALSE(rule.matches(icmp("10.0.0.1", 58, 128, 0)));
  EXPECT_TRUE(rule.matches(icmp("fd00::1", 58, 128, 0)));
  EXPECT_FALSE(rule.matches(icmp("fd00::1", 58, 128, 1)));
  EXPECT_FALSE(rule.matches(icmp("fd00::1", 58, 8, 0)));
  EXPECT_FALSE(rule.matches(icmp("fd00::1", 1, 8, 0)));
  auto later = icmp("10.0.0.1", 1, 8, 0);
  later.flags = PS_VIEW_FRAGMENT_LATER;
  EXPECT_FALSE(rule.matches(later));
}

TEST(Rules, TcpFlags) {
  Rule r;
  r.tcp_flags = TcpFlags{0x12, 0x02};  // SYN, no ACK
  const OneRule rule{r};
  auto p = packet("10.0.0.1", "10.0.0.2", 6, 1, 2);
  p.tcp_flags = 0x02;
  EXPECT_TRUE(rule.matches(p));
  p.tcp_flags = 0xc2;
  EXPECT_TRUE(rule.matches(p));
  p.tcp_flags = 0x12;
  EXPECT_FALSE(rule.matches(p));
  p.tcp_flags = 0x02, p.proto = 17;
  EXPECT_FALSE(rule.matches(p));
  p.proto = 6, p.flags = PS_VIEW_FRAGMENT_LATER;
  EXPECT_FALSE(rule.matches(p));
}

TEST(Rules, FirstMatchDecidesAndCarriesItsVerdict) {
  RuleSet set{.rules = {}, .default_action = Action::kReject, .log_default = true};
  Rule deny, allow;
  deny.action = Action::kDeny, deny.log = true, deny.src = {net("10.0.0.0/24")};
  allow.action = Action::kAllow, allow.stateless = true, allow.src = {net("10.0.0.0/8")};
  set.rules = {deny, allow};
  const auto image = *build_policy(set);
  const ps_arena_view arena{image.lines.data(), static_cast<std::uint32_t>(image.lines.size())};
  const auto run = [&](std::string_view from) {
    ps_match match{};
    const auto view = packet(from, "10.0.0.9", 6);
    ps_classify(&arena, 0, &view, &match);
    return std::tuple(match.rule, int{match.action}, int{match.flags}, int{match.matched});
  };
  EXPECT_EQ(run("10.0.0.1"), std::tuple(0u, PS_ACTION_DENY, PS_VERDICT_LOG, 1));
  EXPECT_EQ(run("10.0.1.1"), std::tuple(1u, PS_ACTION_ALLOW, PS_VERDICT_STATELESS, 1));
  EXPECT_EQ(run("11.0.0.1"), std::tuple(PS_NO_RULE, PS_ACTION_REJECT, PS_VERDICT_LOG, 0));
}

TEST(Build, WrongRulesAreRefusedWithTheirField) {
  const auto error = [](auto change) {
    RuleSet set{.rules = std::vector<Rule>(4)};
    change(set.rules[2]);
    const auto image = build_policy(set);
    return image ? std::string("accepted") : image.error().text();
  };
  EXPECT_THAT(error([](Rule& r) { r.dst_ports = {{90, 80}}; }), HasSubstr("rules[2].dst_ports"));
  EXPECT_THAT(error([](Rule& r) {
                r.src_ports = {{1, 2}}, r.protocols = {6, 1};
              }),
              HasSubstr("rules[2].src_ports"));
  EXPECT_THAT(error([](Rule& r) { r.icmp = {{}}, r.protocols = {6}; }), HasSubstr("rules[2].icmp"));
  EXPECT_THAT(error([](Rule& r) {
                r.icmp = {{}}, r.dst_ports = {{1, 1}};
              }),
              HasSubstr("rules[2].icmp"));
  EXPECT_THAT(error([](Rule& r) {
                r.tcp_flags = TcpFlags{2, 2}, r.protocols = {17};
              }),
              HasSubstr("rules[2].tcp_flags"));
  EXPECT_THAT(error([](Rule& r) {
                r.tcp_flags = TcpFlags{2, 3};
              }),
              HasSubstr("rules[2].tcp_flags"));
  EXPECT_THAT(error([](Rule& r) { r.src = {GroupId(0)}; }), HasSubstr("rules[2].src"));
}

TEST(Build, TooManyRowsNamesTheRule) {
  RuleSet set{.rules = std::vector<Rule>(2)};
  Rule& wide = set.rules[1];
  wide.name = "wide";
  for (std::uint32_t i = 0; i < 200; i++) {
    wide.src.push_back(IpPrefix{IpAddress::v4(0x0a000000 + i), 32});
    wide.dst.push_back(IpPrefix{IpAddress::v4(0x0b000000 + i), 32});
  }
  const auto image = build_policy(set);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kResourceExhausted);
  EXPECT_THAT(image.error().text(), HasSubstr("rule 1 (wide) makes 40000 IPv4 rows"));
  wide.dst.resize(81);
  EXPECT_TRUE(build_policy(set));  // 16,200 + 1
  EXPECT_FALSE(build_policy(set, {.max_rows = 16'200}));
  for (auto* side : {&wide.src, &wide.dst}) side->assign(100'000, AnyAddress{});
  EXPECT_TRUE(build_policy(set)) << "equal addresses are one";
}

TEST(Build, SaysWhichRulesNeverMatch) {
  RuleSet set{.rules = std::vector<Rule>(3)};
  set.rules[1].src = {net("10.0.0.0/8")};
  set.rules[1].dst = {net("fd00::/8")};
  EXPECT_THAT(build_policy(set)->stats.never, ElementsAre(1));
}

TEST(Build, SameRulesSameBytes) {
  for (std::uint64_t seed = 1; seed <= 60; seed++) {
    RandomRules first(seed), second(seed);
    const auto a = *build_policy(first.rule_set()), b = *build_policy(second.rule_set());
    ASSERT_EQ(a.lines.size(), b.lines.size());
    EXPECT_EQ(std::memcmp(a.lines.data(), b.lines.data(), a.bytes().size()), 0);
    EXPECT_TRUE(decode_policy(a.lines)) << "unused bytes are zero";
  }
}

// Enough dense rows that the vectors of two groups differ in which lines are not empty.
TEST(Build, PacketInSeveralGroupsFindsTheRulesOfEach) {
  RuleSet set;
  for (std::uint32_t i = 0; i < 3000; i++) {
    Rule r;
    r.src = {GroupId(1 + i / 150)};
    r.dst_ports = {{static_cast<std::uint16_t>(i % 40), static_cast<std::uint16_t>(i % 40 + 30)}};
    set.rules.push_back(r);
  }
  const auto image = *build_policy(set);
  ASSERT_GT(image.stats.family[0].dense, 2000u);
  const ps_arena_view arena{image.lines.data(), static_cast<std::uint32_t>(image.lines.size())};
  for (std::uint32_t a = 1; a <= 21; a++)
    for (std::uint32_t b = 1; b <= 21; b += 3)
      for (std::uint16_t port : {0, 35, 69, 70}) {
        auto view = packet("10.0.0.1", "10.0.0.2", 6, 1, port);
        view.src_groups[0] = a, view.src_groups[1] = b;
        ps_match match{};
        ps_classify(&arena, 0, &view, &match);
        ASSERT_EQ(match.rule, first_match(set, view).value_or(PS_NO_RULE))
            << a << " " << b << " " << port;
        view.src_groups[0] = 21, view.src_groups[1] = a;  // the first is in no rule
        ps_classify(&arena, 0, &view, &match);
        ASSERT_EQ(match.rule, first_match(set, view).value_or(PS_NO_RULE)) << a << " " << port;
      }
}

// Ranges and prefixes that overlap at random: exact vectors would need the square of the number of
// rules.
TEST(Build, MemoryStaysBoundedWhenEverythingOverlaps) {
  for (std::size_t rules : {500u, 4096u, 16384u})
    for (Family family : {Family::kV4, Family::kV6}) {
      RandomRules random(3);
      const RuleSet set = random.overlapping(rules, family);
      const auto image = build_policy(set);
      ASSERT_TRUE(image);
      EXPECT_LE(image->stats.bytes_per_rule, family == Family::kV4 ? 250 : 450);
      const ps_arena_view arena{image->lines.data(),
                                static_cast<std::uint32_t>(image->lines.size())};
      for (int i = 0; i < 100; i++) {
        const ps_packet_view view = random.any_packet(family);
        ps_match match{};
        ps_classify(&arena, 0, &view, &match);
        ASSERT_EQ(match.rule, first_match(set, view).value_or(PS_NO_RULE));
      }
    }
}

// Rows that agree in everything but a test of bits: of their field, each covers many ranges.
TEST(Build, RowsThatDifferInTcpFlagsOnly) {
  RuleSet set;
  for (int i = 0; i < 200; i++) {
    Rule r;
    r.tcp_flags = TcpFlags{static_cast<std::uint8_t>(200 - i), static_cast<std::uint8_t>(200 - i)};
    set.rules.push_back(r);
  }
  const auto image = *build_policy(set);
  ASSERT_EQ(image.stats.family[0].dense, 200u);
  const ps_arena_view arena{image.lines.data(), static_cast<std::uint32_t>(image.lines.size())};
  for (int flags = 0; flags < 256; flags++)
    for (std::uint8_t proto : {6, 17}) {
      auto view = packet("10.0.0.1", "10.0.0.2", proto, 1, 2);
      view.tcp_flags = static_cast<std::uint8_t>(flags);
      ps_match match{};
      ps_classify(&arena, 0, &view, &match);
      ASSERT_EQ(match.rule, first_match(set, view).value_or(PS_NO_RULE)) << flags;
    }
}

}  // namespace
}  // namespace penstock::policy
