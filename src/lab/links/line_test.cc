#include "lab/links/line.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

Frame frame(std::uint8_t number, std::size_t size = 100) {
  Frame out(size);
  out.front() = std::byte{number};
  return out;
}

struct Departure {
  Moment when;
  int number;
  bool operator==(const Departure&) const = default;
};

// Frames 0, 1, 2, ... at these times; then time goes on until the line is empty.
std::vector<Departure> run(Line& line, const std::vector<Moment>& arrivals,
                           std::size_t size = 100) {
  std::vector<Departure> out;
  const auto until = [&](Moment end) {
    while (line.next() && *line.next() <= end) {
      const auto now = *line.next();
      line.depart(now, [&](const Frame& sent) {
        out.push_back({now, std::to_integer<int>(sent.front())});
      });
    }
  };
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    until(arrivals[i]);
    line.take(frame(static_cast<std::uint8_t>(i), size), arrivals[i]);
  }
  until(Moment::max());
  return out;
}

TEST(Line, EveryFrameWaitsTheDelay) {
  Line line({.delay = 20ms});
  EXPECT_EQ(run(line, {0ms, 1ms, 50ms}), (std::vector<Departure>{{20ms, 0}, {21ms, 1}, {70ms, 2}}));
  EXPECT_FALSE(line.next());
}

TEST(Line, JitterStraysToBothSidesAndKeepsTheOrder) {
  Line line({.delay = 20ms, .jitter = 5ms, .seed = 1});
  std::vector<Moment> arrivals;
  for (int i = 0; i < 200; ++i)
    arrivals.push_back(i * 100ms);  // far apart: nobody waits for another
  const auto out = run(line, arrivals);
  ASSERT_EQ(out.size(), 200u);
  Moment least = 1s, most = 0s, sum = 0s;
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].number, static_cast<int>(i));
    const auto waited = out[i].when - arrivals[i];
    least = std::min(least, waited);
    most = std::max(most, waited);
    sum += waited;
  }
  EXPECT_GE(least, 15ms);
  EXPECT_LT(least, 16ms);
  EXPECT_LE(most, 25ms);
  EXPECT_GT(most, 24ms);
  EXPECT_NEAR(static_cast<double>((sum / 200).count()), 20e6, 1e6);
}

TEST(Line, JitterDoesNotReorderABurst) {
  Line line({.delay = 20ms, .jitter = 20ms, .seed = 2});
  const auto out = run(line, std::vector<Moment>(100, 0ms));
  EXPECT_TRUE(std::ranges::is_sorted(out, {}, &Departure::number));
}

TEST(Line, TheRateSpacesFramesByTheirSizeOnTheWire) {
  Line line({.rate_bit_s = 1'000'000});  // (101 + 24) bytes: 1 ms
  EXPECT_EQ(run(line, {0ms, 0ms, 0ms, 10ms}, 101),
            (std::vector<Departure>{{1ms, 0}, {2ms, 1}, {3ms, 2}, {11ms, 3}}));
}

TEST(Line, AFullQueueLosesAndCounts) {
  Line line({.rate_bit_s = 1'000'000});
  const auto out = run(line, std::vector<Moment>(250, 0ms), 101);
  // 12 ms of frames is the "few frames" of this rate, so the 100 ms hold: 101 begin in time.
  EXPECT_NEAR(static_cast<double>(out.size()), 121.0, 1.0);
  EXPECT_EQ(line.counts().overrun, 250 - out.size());
}

TEST(Line, AReorderedFrameIsOvertakenByThree) {
  Line line({.reorder = Share{1'000'000}, .delay = 5ms});
  line.take(frame(0), 0ms);
  line.set({.delay = 5ms});
  for (std::uint8_t i = 1; i < 6; ++i) line.take(frame(i), i * 1ms);
  std::vector<int> order;
  while (line.next())
    line.depart(*line.next(),
                [&](const Frame& sent) { order.push_back(std::to_integer<int>(sent.front())); });
  EXPECT_EQ(order, (std::vector{1, 2, 3, 0, 4, 5}));
  EXPECT_EQ(line.counts().reordered, 1u);
}

TEST(Line, AReorderedFrameWithNobodyBehindItStillArrives) {
  Line line({.reorder = Share{1'000'000}});
  EXPECT_EQ(run(line, {0ms}), (std::vector<Departure>{{50ms, 0}}));
}

TEST(Line, EqualSeedsReorderTheSameFrames) {
  const auto numbers = [](std::uint64_t seed) {
    Line line({.reorder = Share{100'000}, .seed = seed});
    std::vector<Moment> arrivals;
    for (int i = 0; i < 200; ++i) arrivals.push_back(i * 1ms);
    return run(line, arrivals);
  };
  EXPECT_EQ(numbers(7), numbers(7));
  EXPECT_NE(numbers(7), numbers(8));
}

TEST(Line, ANewSettingDoesNotLetFramesOvertakeThoseUnderWay) {
  Line line({.delay = 50ms});
  line.take(frame(0), 0ms);
  line.set({.delay = 1ms});
  line.take(frame(1), 1ms);
  std::vector<int> order;
  line.depart(50ms,
              [&](const Frame& sent) { order.push_back(std::to_integer<int>(sent.front())); });
  EXPECT_EQ(order, (std::vector{0, 1}));
}

TEST(Line, FlushSendsWhatIsUnderWay) {
  Line line({.delay = 1s});
  for (std::uint8_t i = 0; i < 3; ++i) line.take(frame(i), 0ms);
  std::vector<int> order;
  line.flush([&](const Frame& sent) { order.push_back(std::to_integer<int>(sent.front())); });
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_FALSE(line.next());
}

}  // namespace
}  // namespace penstock::lab
