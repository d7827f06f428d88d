#include "lab/links/impairment.h"

#include <cmath>

#include <gtest/gtest.h>

#include "link/chance.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

TEST(Impairment, TextsAreReadAndWritten) {
  Impairment way;
  for (const auto& [word, text] :
       std::vector<std::pair<const char*, const char*>>{{"loss", "1.5%"},
                                                        {"duplicate", "0.1%"},
                                                        {"reorder", "100%"},
                                                        {"delay", "20ms"},
                                                        {"jitter", "1.5ms"},
                                                        {"rate", "2.5mbit"},
                                                        {"seed", "7"}})
    ASSERT_TRUE(set_impairment(way, word, text)) << word;
  EXPECT_EQ(way.loss.ppm, 15'000u);
  EXPECT_EQ(way.duplicate.ppm, 1'000u);
  EXPECT_EQ(way.reorder.ppm, 1'000'000u);
  EXPECT_EQ(way.delay, 20ms);
  EXPECT_EQ(way.jitter, 1'500us);
  EXPECT_EQ(way.rate_bit_s, 2'500'000u);
  EXPECT_EQ(way.text(),
            "loss 1.5%, duplicate 0.1%, reorder 100%, delay 20ms ± 1.5ms, rate 2.5mbit");
  const Impairments both{way, {}};
  EXPECT_EQ(Impairments::from_json(both.json()), both);
  EXPECT_EQ(both.text(), "in: " + way.text() + "; out: none");
}

TEST(Impairment, OddValuesSurviveTheFile) {
  Impairments odd;
  odd.in.delay = 1'234'567us;
  odd.in.jitter = 1us;
  odd.out.rate_bit_s = 123'456'789;
  odd.out.loss.ppm = 1;
  EXPECT_EQ(Impairments::from_json(odd.json()), odd);
}

TEST(Impairment, WhatIsNotUnderstoodIsRefusedWithAWayOut) {
  Impairment way;
  for (const auto& [word, text] :
       std::vector<std::pair<const char*, const char*>>{{"loss", "1"},
                                                        {"loss", "101%"},
                                                        {"loss", "-1%"},
                                                        {"loss", "0.00001%"},
                                                        {"loss", "nan%"},
                                                        {"delay", "20"},
                                                        {"delay", "11s"},
                                                        {"delay", "20 ms"},
                                                        {"rate", "10"},
                                                        {"rate", "1bit"},
                                                        {"rate", "10mbps"},
                                                        {"seed", "x"},
                                                        {"seed", "-1"}}) {
    const auto set = set_impairment(way, word, text);
    ASSERT_FALSE(set) << word << " " << text;
    EXPECT_FALSE(set.error().hint.empty()) << word << " " << text;
    EXPECT_EQ(way, Impairment{});
  }
  for (const auto* word : {"loss", "delay", "rate"})
    EXPECT_TRUE(set_impairment(way, word, "0")) << word;
  EXPECT_FALSE(check_impairment({.delay = 1ms, .jitter = 2ms}));
  EXPECT_TRUE(check_impairment({.delay = 2ms, .jitter = 2ms}));
}

TEST(Chance, IsAsOftenAsItSaysAndTheSameForEqualSeeds) {
  for (const std::uint32_t ppm : {0u, 10'000u, 500'000u, 1'000'000u}) {
    int lost = 0, duplicated = 0, both = 0;
    constexpr int kFrames = 200'000;
    for (int i = 0; i < kFrames; ++i) {
      const auto dice = link_dice(7, static_cast<__u64>(i));
      EXPECT_EQ(dice, link_dice(7, static_cast<__u64>(i)));
      lost += link_loses(dice, ppm);
      duplicated += link_duplicates(dice, ppm);
      both += link_loses(dice, ppm) && link_duplicates(dice, ppm);
    }
    const double share = ppm / 1e6;
    const double deviation = std::sqrt(share * (1 - share) * kFrames);
    EXPECT_NEAR(lost, share * kFrames, 4 * deviation);
    EXPECT_NEAR(duplicated, share * kFrames, 4 * deviation);
    EXPECT_NEAR(both, share * share * kFrames, 4 * deviation + 1);  // one says nothing of the other
  }
}

}  // namespace
}  // namespace penstock::lab
