// Two hundred worlds, each twice; and proof that planted defects are found.
#include <algorithm>

#include <gtest/gtest.h>

#include "sim/world.h"

namespace penstock::sim {
namespace {

constexpr int kTestSteps = 60;
constexpr std::uint64_t kSeedsToFind = 60;

std::string tell(const RunReport& report) {
  std::string out;
  if (report.broken) {
    out = fmt::format("step {}: {}: {}\n", report.step, report.broken->invariant,
                      report.broken->details);
    for (const auto& line : report.last_lines) out += "  " + line + "\n";
    out += fmt::format("again: penstock-sim --seed {} --steps {} --verbose\n", report.seed,
                       kTestSteps);
  }
  return out;
}

class Worlds : public testing::TestWithParam<int> {};

// Ten seeds a test, so that several run side by side.
TEST_P(Worlds, KeepTheirInvariantsAndRepeatThemselves) {
  for (int i = 0; i < 10; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 10 + i + 1);
    const auto once = run({.seed = seed, .steps = kTestSteps});
    ASSERT_FALSE(once.broken) << "seed " << seed << ", " << tell(once);
    EXPECT_GT(once.succeeded, 10) << "seed " << seed << ": a world in which little happens";
    const auto again = run({.seed = seed, .steps = kTestSteps});
    ASSERT_EQ(once.hash, again.hash) << "seed " << seed << ": two runs differ";
    ASSERT_EQ(once.trace_lines, again.trace_lines);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, Worlds, testing::Range(0, 20));

class Planted : public testing::TestWithParam<DefectInfo> {};

TEST_P(Planted, IsFound) {
  for (std::uint64_t seed = 1; seed <= kSeedsToFind; ++seed) {
    const auto report = run({.seed = seed, .steps = kTestSteps, .defect = GetParam().defect});
    if (!report.broken) continue;
    RecordProperty("seed", static_cast<int>(seed));
    RecordProperty("invariant", report.broken->invariant);
    return;
  }
  FAIL() << GetParam().help << ": not found in " << kSeedsToFind << " worlds";
}
INSTANTIATE_TEST_SUITE_P(Defects, Planted, testing::ValuesIn(defects().begin(), defects().end()),
                         [](const auto& info) {
                           std::string name(info.param.name);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace penstock::sim
