#include "compile/policy/vectors.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::policy {
namespace {

bool has(const Bits& bits, std::size_t row) {
  return bits[row / 64] >> row % 64 & 1;
}

// The last row covers two spans that touch, the one before it two that do not.
const std::vector<RowSpan> kSpans{{0, {0, 4}}, {1, {1, 1}}, {2, {3, 3}}, {3, {0, 0}},
                                  {3, {3, 4}}, {4, {1, 2}}, {4, {3, 3}}};
constexpr std::size_t kRows = 5;

bool covers(std::size_t row, std::uint32_t interval) {
  return std::ranges::any_of(kSpans, [&](const RowSpan& one) {
    return one.row == row && one.span.first <= interval && interval <= one.span.last;
  });
}

TEST(Classes, IntervalsOfEqualRowsShareOne) {
  const Classes classes = classify_intervals(5, kSpans);
  EXPECT_EQ(classes.count, 4u);
  EXPECT_EQ(classes.of_interval[0], classes.of_interval[4]);  // rows 0 and 3
  EXPECT_NE(classes.of_interval[1], classes.of_interval[3]);
}

TEST(Classes, ExactWhenThereAreVectorsForAll) {
  const Classes classes = classify_intervals(5, kSpans);
  const auto vectors = class_vectors(classes, kSpans, kRows, classes.count);
  for (std::uint32_t interval = 0; interval < 5; interval++)
    for (std::size_t row = 0; row < kRows; row++)
      EXPECT_EQ(has(vectors[classes.of_interval[interval]], row), covers(row, interval));
}

TEST(Classes, NeverTooFewRowsWhenVectorsAreShared) {
  const Classes classes = classify_intervals(5, kSpans);
  for (std::size_t granted = 1; granted < classes.count; granted++) {
    const auto vectors = class_vectors(classes, kSpans, kRows, granted);
    for (std::uint32_t interval = 0; interval < 5; interval++)
      for (std::size_t row = 0; row < kRows; row++)
        if (covers(row, interval)) {
          EXPECT_TRUE(
              has(vectors[share(classes.of_interval[interval], classes.count, granted)], row));
        }
  }
}

TEST(Grant, SmallWishesAreMetTheRestIsShared) {
  using testing::ElementsAre;
  EXPECT_THAT(grant(std::vector<std::size_t>{100, 3, 100}, 43), ElementsAre(20, 3, 20));
  EXPECT_THAT(grant(std::vector<std::size_t>{5, 7}, 100), ElementsAre(5, 7));
  EXPECT_THAT(grant(std::vector<std::size_t>{50, 0, 50}, 1), ElementsAre(1, 1, 1));
}

TEST(Vectors, SummarySaysWhichLinesAreNotEmpty) {
  std::vector<ps_line> image(7);
  Bits bits = no_rows(2000);
  set_row(bits, 513);
  set_row(bits, 1999);
  const ps_vector vector = append_vector(image, bits);
  EXPECT_EQ(vector.line, 7u);
  EXPECT_EQ(vector.summary, 0b1010u);
  ASSERT_EQ(image.size(), 11u);
  EXPECT_EQ(image[8].d[0], 2u);
}

}  // namespace
}  // namespace penstock::policy
