// The classifier as the kernel runs it against the same source compiled natively, and what a
// look-up costs there.
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <memory>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bench/rulesets/as_policy.h"
#include "compile/policy/build.h"
#include "compile/policy/random_rules.h"
#include "lib/classify.h"
#include "tests/classify/run.h"

// After the types that it names.
#include "classify_run.skel.h"

namespace penstock::policy {
namespace {

constexpr std::uint32_t kLine = 5;  // not 0, so that a reference that is not relative shows
// Growth past this is looked at: the verifier's limit is a million, and the switch needs room for
// itself.
constexpr std::uint32_t kMostVerified = 40'000;

class Kernel {
 public:
  explicit Kernel(std::span<const ps_line> image) {
    object_.reset(classify_run__open());
    if (!object_) return;
    const std::size_t lines = kLine + image.size();
    bpf_map* arena = object_->maps.ps_arena;
    bpf_map__set_max_entries(arena, static_cast<std::uint32_t>(lines));
    if (classify_run__load(object_.get()) != 0) return;
    void* at = mmap(nullptr, lines * PS_LINE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                    bpf_map__fd(arena), 0);
    if (at == MAP_FAILED) return;
    std::memcpy(static_cast<ps_line*>(at) + kLine, image.data(), image.size_bytes());
    munmap(at, lines * PS_LINE_BYTES);
    run_ = &object_->bss->run;
    run_->policy_line = kLine;
    loaded_ = true;
  }

  bool loaded() const { return loaded_; }
  ps_match classify(const ps_packet_view& view) {
    run_->view = view;
    run(object_->progs.classify, 1);
    return run_->match;
  }
  // Nanoseconds of one look-up, above the empty program; the best of several runs, because others
  // use the machine too.
  int lookup_ns(const ps_packet_view& view) {
    run_->view = view;
    int best = 1 << 30, empty = 1 << 30;
    for (int i = 0; i < 7; i++) {
      best = std::min(best, run(object_->progs.classify, 10'000));
      empty = std::min(empty, run(object_->progs.nothing, 10'000));
    }
    return best - empty;
  }
  std::uint32_t verified_instructions() {
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    bpf_obj_get_info_by_fd(bpf_program__fd(object_->progs.classify), &info, &size);
    return info.verified_insns;
  }

 private:
  int run(const bpf_program* program, int repeat) const {
    std::array<std::uint8_t, 64> packet{};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_size_in = packet.size(),
                .repeat = repeat);
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0) << strerror(errno);
    return static_cast<int>(options.duration);
  }

  struct Close {
    void operator()(classify_run* object) const { classify_run__destroy(object); }
  };
  std::unique_ptr<classify_run, Close> object_;
  ps_classify_run* run_ = nullptr;
  bool loaded_ = false;
};

ps_match natively(std::span<const ps_line> image, const ps_packet_view& view) {
  const ps_arena_view arena{image.data(), static_cast<std::uint32_t>(image.size())};
  ps_match match{};
  ps_classify(&arena, 0, &view, &match);
  return match;
}

TEST(ClassifyBpf, KernelAgreesWithNative) {
  std::size_t packets = 0, matched = 0;
  for (std::uint64_t seed = 1; seed <= 60; seed++) {
    RandomRules random(seed);
    const RuleSet set = random.rule_set();
    const auto image = build_policy(set);
    ASSERT_TRUE(image) << image.error().text();
    Kernel kernel(image->lines);
    ASSERT_TRUE(kernel.loaded());
    for (int i = 0; i < 500; i++, packets++) {
      const ps_packet_view view = random.packet(set);
      const ps_match expected = natively(image->lines, view), got = kernel.classify(view);
      ASSERT_EQ(std::memcmp(&got, &expected, sizeof got), 0)
          << "seed " << seed << " packet " << i << ": rule " << got.rule << " instead of "
          << expected.rule;
      matched += got.matched;
    }
  }
  EXPECT_GE(packets, 10'000u);
  EXPECT_GT(matched, packets / 10);
}

TEST(ClassifyBpf, UnreadableImageDenies) {
  std::vector<ps_line> image(4);
  Kernel kernel(image);
  ASSERT_TRUE(kernel.loaded());
  const ps_match match = kernel.classify(ps_packet_view{});
  EXPECT_EQ(match.error, 1);
  EXPECT_EQ(match.action, PS_ACTION_DENY);
}

TEST(ClassifyBpf, VerifierWorkStaysSmall) {
  Kernel kernel(build_policy({})->lines);
  ASSERT_TRUE(kernel.loaded());
  fmt::print("classifier: {} instructions verified\n", kernel.verified_instructions());
  EXPECT_LT(kernel.verified_instructions(), kMostVerified);
}

// The bound leaves room for slow and busy machines; docs/performance.md has the figures.
TEST(ClassifyBpf, LookupTimesWithTheMatchingRuleLast) {
  for (Family ip : {Family::kV4, Family::kV6})
    for (auto name : bench::family_names())
      for (std::size_t count : {16, 256, 4096, 16384}) {
        const auto connection = bench::standard_connection(ip);
        const auto image =
            build_policy(bench::as_policy(*bench::generate(name, count, connection)));
        ASSERT_TRUE(image) << image.error().text();
        Kernel kernel(image->lines);
        ASSERT_TRUE(kernel.loaded());
        const auto view = bench::packet_of(connection);
        ASSERT_EQ(kernel.classify(view).rule, count - 1);
        const int ns = kernel.lookup_ns(view);
        fmt::print("v{} {:32} {:6} rules: {:4} ns, {:4.0f} B a rule\n", ip == Family::kV4 ? 4 : 6,
                   name, count, ns, image->stats.bytes_per_rule);
        EXPECT_LT(ns, 10'000);
      }
}

// Not what anyone writes, but what may be thrown at it: the mean over many packets.
TEST(ClassifyBpf, LookupTimesWhenEverythingOverlaps) {
  for (Family ip : {Family::kV4, Family::kV6})
    for (std::size_t count : {256, 4096, 16384}) {
      RandomRules random(5);
      const auto image = build_policy(random.overlapping(count, ip));
      ASSERT_TRUE(image) << image.error().text();
      Kernel kernel(image->lines);
      ASSERT_TRUE(kernel.loaded());
      int sum = 0, most = 0;
      constexpr int kViews = 20;
      for (int i = 0; i < kViews; i++) {
        const int ns = kernel.lookup_ns(random.any_packet(ip));
        sum += ns;
        most = std::max(most, ns);
      }
      fmt::print("v{} {:6} overlapping rules: mean {} ns, most {} ns, {:.0f} B a rule\n",
                 ip == Family::kV4 ? 4 : 6, count, sum / kViews, most, image->stats.bytes_per_rule);
      EXPECT_LT(sum / kViews, 50'000);
    }
}

// Rules that agree in addresses, protocol and ports: only ICMP type and code, TCP flags, or whether
// the packet has ports at all, tell them apart. The packet matches the last of them.
TEST(ClassifyBpf, LookupTimesWhenOnlyTheTransportHeaderDiffers) {
  const auto time = [](const char* what, RuleSet set, const ps_packet_view& view) {
    const auto image = build_policy(set);
    ASSERT_TRUE(image) << image.error().text();
    Kernel kernel(image->lines);
    ASSERT_TRUE(kernel.loaded());
    const auto last = static_cast<std::uint32_t>(set.rules.size() - 1);
    ASSERT_EQ(kernel.classify(view).rule, last) << what;
    const int ns = kernel.lookup_ns(view);
    fmt::print("{:24} {:6} rules: {:6} ns, {:4.0f} B a rule\n", what, set.rules.size(), ns,
               image->stats.bytes_per_rule);
    EXPECT_LT(ns, 10'000) << what;
  };
  ps_packet_view view{};
  view.family = 4;
  for (const std::size_t count : {64, 1024, 6306, 16'384}) {
    RuleSet types;
    for (std::size_t i = 0; i < count; i++) {
      Rule rule;
      const auto type = static_cast<std::uint8_t>(i % 256),
                 code = static_cast<std::uint8_t>(i / 256);
      rule.icmp = {{Family::kV4, type, code}};
      types.rules.push_back(rule);
    }
    view.proto = 1;
    view.icmp_type = types.rules.back().icmp[0].type;
    view.icmp_code = *types.rules.back().icmp[0].code;
    time("ICMP types", types, view);

    // All tests of the flags byte but those that a packet with all flags set would pass.
    RuleSet flags;
    for (std::uint32_t test = 0; test < 0x10000 && flags.rules.size() + 1 < count; test++) {
      const auto mask = static_cast<std::uint8_t>(test >> 8),
                 value = static_cast<std::uint8_t>(test);
      if (value & ~mask || value == mask) continue;
      Rule rule;
      rule.tcp_flags = TcpFlags{mask, value};
      flags.rules.push_back(rule);
    }
    flags.rules.emplace_back().tcp_flags = TcpFlags{0xff, 0xff};
    view = {};
    view.family = 4;
    view.proto = 6;
    view.tcp_flags = 0xff;
    view.flags = PS_VIEW_PORTS_VALID;
    time("TCP flags", flags, view);

    RuleSet ports;
    for (std::size_t i = 0; i + 1 < count; i++)
      ports.rules.emplace_back().dst_ports = {{0, static_cast<std::uint16_t>(65'535 - i % 512)}};
    ports.rules.emplace_back();
    view = {};
    view.family = 4;
    view.proto = 1;
    time("ports, for ICMP", ports, view);
  }
}

}  // namespace
}  // namespace penstock::policy
