#include "compile/policy/vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::policy {
namespace {

bool has(const Bits& bits, std::size_t row) {
  return bits[row / 64] >> row % 64 & 1;
}

const std::vector<Span> kSpans{{0, 4}, {1, 1}, {3, 3}, {1, 3}};

TEST(Classes, IntervalsOfEqualRowsShareOne) {
  const Classes classes = classify_intervals(5, kSpans);
  EXPECT_EQ(classes.count, 4u);
  EXPECT_EQ(classes.of_interval[0], classes.of_interval[4]);  // only row 0
  EXPECT_NE(classes.of_interval[1], classes.of_interval[3]);
}

TEST(Classes, ExactWhenThereAreVectorsForAll) {
  const Classes classes = classify_intervals(5, kSpans);
  const auto vectors = class_vectors(classes, kSpans, classes.count);
  for (std::uint32_t interval = 0; interval < 5; interval++)
    for (std::size_t row = 0; row < kSpans.size(); row++)
      EXPECT_EQ(has(vectors[classes.of_interval[interval]], row),
                kSpans[row].first <= interval && interval <= kSpans[row].last);
}

TEST(Classes, NeverTooFewRowsWhenVectorsAreShared) {
  const Classes classes = classify_intervals(5, kSpans);
  for (std::size_t granted = 1; granted < classes.count; granted++) {
    const auto vectors = class_vectors(classes, kSpans, granted);
    for (std::uint32_t interval = 0; interval < 5; interval++)
      for (std::size_t row = 0; row < kSpans.size(); row++)
        if (kSpans[row].first <= interval && interval <= kSpans[row].last) {
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
