#include "base/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(MetricsText, FamiliesAndSamples) {
  MetricsText text;
  text.counter("drops_total", "Packets\nlost.");
  text.sample(std::int64_t{7}, {{"reason", "a \"b\" \\ c"}});
  text.gauge("up", "Is it.");
  text.sample(1.5);
  EXPECT_EQ(std::move(text).text(),
            "# HELP drops_total Packets\\nlost.\n# TYPE drops_total counter\n"
            "drops_total{reason=\"a \\\"b\\\" \\\\ c\"} 7\n"
            "# HELP up Is it.\n# TYPE up gauge\nup 1.5\n");
}

TEST(MetricsText, BucketsOfAHistogramAddUp) {
  Histogram histogram;
  for (const int us : {100, 250, 251, 3'000, 9'000'000})
    histogram.add(std::chrono::microseconds(us));
  MetricsText text;
  text.histogram("commit_seconds", "x", histogram);
  const auto all = std::move(text).text();
  EXPECT_THAT(all, HasSubstr("commit_seconds_bucket{le=\"0.00025\"} 2\n"));
  EXPECT_THAT(all, HasSubstr("commit_seconds_bucket{le=\"0.0005\"} 3\n"));
  EXPECT_THAT(all, HasSubstr("commit_seconds_bucket{le=\"4\"} 4\n"));
  EXPECT_THAT(all, HasSubstr("commit_seconds_bucket{le=\"+Inf\"} 5\n"));
  EXPECT_THAT(all, HasSubstr("commit_seconds_count 5\n"));
}

}  // namespace
}  // namespace penstock
