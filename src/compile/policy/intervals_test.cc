#include "compile/policy/intervals.h"

#include <numeric>

#include <gtest/gtest.h>

#include "lib/classify.h"

namespace penstock::policy {
namespace {

// The index that the classifier's search finds in the written tree.
std::uint32_t searched(const Intervals& intervals, std::uint32_t x) {
  std::vector<ps_line> image(1);
  ps_dimension dim{};
  intervals.write_tree(image, dim);
  const ps_arena_view arena{image.data(), static_cast<std::uint32_t>(image.size())};
  ps_scratch scratch{};
  scratch.arena = &arena;
  return ps_interval(&scratch, &dim, x);
}

TEST(Intervals, TreeFindsWhatTheSortedKeysSay) {
  // Around every change of the tree's shape: no tree, one block, full block, two and three levels.
  for (std::size_t n :
       {0u, 1u, 2u, 3u, 15u, 16u, 17u, 271u, 272u, 273u, 289u, 4623u, 4624u, 4625u, 32768u}) {
    std::vector<std::uint32_t> keys(n);
    for (std::size_t i = 0; i < n; i++) keys[i] = static_cast<std::uint32_t>(1000 + i * 10);
    const Intervals intervals(keys);
    std::vector<ps_line> image(1);
    ps_dimension dim{};
    intervals.write_tree(image, dim);
    const ps_arena_view arena{image.data(), static_cast<std::uint32_t>(image.size())};
    ps_scratch scratch{};
    scratch.arena = &arena;
    for (std::size_t i = 0; i < n; i += 1 + n / 500)
      for (std::uint32_t x : {keys[i] - 1, keys[i], keys[i] + 1})
        ASSERT_EQ(ps_interval(&scratch, &dim, x), intervals.find(x)) << n << " keys, " << x;
    for (std::uint32_t x : {0u, 999u, n == 0 ? 0 : keys[n - 1], 0xfffffffeu, kTop})
      ASSERT_EQ(ps_interval(&scratch, &dim, x), intervals.find(x)) << n << " keys, " << x;
  }
}

TEST(Intervals, TheLargestNumberMayBeAKey) {
  for (std::size_t n : {1u, 2u, 3u, 40u, 300u}) {
    std::vector<std::uint32_t> keys(n);
    std::iota(keys.rbegin(), keys.rend(), 0);
    for (auto& key : keys) key = kTop - key;
    const Intervals intervals(keys);
    EXPECT_EQ(searched(intervals, kTop), n);
    EXPECT_EQ(searched(intervals, kTop - 1), n - 1);
    EXPECT_EQ(searched(intervals, 0), 0u);
  }
}

TEST(Intervals, RowsCutWhereTheirRangesBeginAndAfterTheyEnd) {
  std::vector<Row> rows(3);
  for (Row& row : rows) row.high.fill(kTop);
  rows[0].low[PS_FIELD_DPORT] = 80, rows[0].high[PS_FIELD_DPORT] = 90;
  rows[1].low[PS_FIELD_DPORT] = 85;
  const std::vector<std::uint32_t> all{0, 1, 2};
  const Intervals intervals(rows, all, PS_FIELD_DPORT);
  ASSERT_EQ(intervals.keys(), 3u);  // 80, 85, 91
  EXPECT_EQ(intervals.find(79), 0u);
  EXPECT_EQ(intervals.find(80), 1u);
  EXPECT_EQ(intervals.find(90), 2u);
  EXPECT_EQ(intervals.find(91), 3u);
  const auto span = [&](const Row& row) {
    Span only;
    intervals.each_span(row, PS_FIELD_DPORT, [&](const Span& one) { only = one; });
    return only;
  };
  EXPECT_EQ(span(rows[0]).size(), 2u);
  EXPECT_EQ(span(rows[1]).last, 3u);
  EXPECT_EQ(span(rows[2]).size(), 4u);
}

TEST(Intervals, ATestOfTcpFlagsIsSeveralRanges) {
  Row row;
  row.high.fill(kTop);
  row.tail.l4_mask = 0x12, row.tail.l4_value = 0x02;  // SYN without ACK
  row.low[PS_FIELD_L4] = PS_L4_TCP | 0x02, row.high[PS_FIELD_L4] = PS_L4_TCP | 0xef;
  const std::vector<Row> rows{row};
  const Intervals intervals(rows, std::vector<std::uint32_t>{0}, PS_FIELD_L4);
  std::vector<bool> covered(intervals.count());
  intervals.each_span(row, PS_FIELD_L4, [&](const Span& span) {
    for (auto i = span.first; i <= span.last; i++) covered[i] = true;
  });
  for (std::uint32_t flags = 0; flags < 256; flags++)
    EXPECT_EQ(covered[intervals.find(PS_L4_TCP | flags)], (flags & 0x12) == 0x02) << flags;
  EXPECT_FALSE(covered[intervals.find(0x0200)]) << "ICMP type 2";
  EXPECT_FALSE(covered[intervals.find(PS_L4_NONE)]);
}

}  // namespace
}  // namespace penstock::policy
