#include "compile/policy/pivots.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "compile/policy/intervals.h"

namespace penstock::policy {
namespace {

// So few rows are checked faster than anything is searched.
constexpr std::size_t kFew = 8;
// A search costs about as much as this many rows in a bit vector; a field must earn its search.
constexpr std::size_t kWorthASearch = 512;

// The order in which equally good fields are taken.
constexpr std::array kOrder{PS_FIELD_DST + 3,    PS_FIELD_DST + 2,        PS_FIELD_DST + 1,
                            PS_FIELD_DST + 0,    PS_FIELD_SRC + 3,        PS_FIELD_SRC + 2,
                            PS_FIELD_SRC + 1,    PS_FIELD_SRC + 0,        int{PS_FIELD_DPORT},
                            int{PS_FIELD_SPORT}, int{PS_FIELD_DST_GROUP}, int{PS_FIELD_SRC_GROUP},
                            int{PS_FIELD_L4},    int{PS_FIELD_PROTO}};

using Eligible = std::vector<bool>;  // by row

Eligible eligible_by_range(std::span<const Row> rows, int field) {
  Eligible out(rows.size());
  std::vector<std::uint32_t> which;
  for (std::uint32_t i = 0; i < rows.size(); i++)
    if (rows[i].constrained(field)) which.push_back(i);
  if (which.empty()) return out;
  const Intervals intervals(rows, which, field);
  const auto narrow = [&](const Row& row) {
    std::uint32_t covered = 0;
    intervals.each_span(row, field, [&](const Span& span) { covered += span.size(); });
    return covered <= kMaxSpan;
  };
  std::vector<std::uint32_t> listed(intervals.count());
  for (std::uint32_t i : which) {
    if (!narrow(rows[i])) continue;
    intervals.each_span(rows[i], field, [&](const Span& span) {
      for (std::uint32_t at = span.first; at <= span.last; at++) listed[at]++;
    });
  }
  for (std::uint32_t i : which) {
    if (!narrow(rows[i])) continue;
    std::uint32_t longest = 0;
    intervals.each_span(rows[i], field, [&](const Span& span) {
      const auto begin = listed.begin() + span.first;
      longest = std::max(longest, *std::max_element(begin, begin + span.size()));
    });
    out[i] = longest <= kMaxList;
  }
  return out;
}

Eligible eligible_by_group(std::span<const Row> rows, int side) {
  Eligible out(rows.size());
  std::vector<std::uint32_t> groups;
  for (const Row& row : rows)
    if (row.group[side]) groups.push_back(row.group[side]);
  std::ranges::sort(groups);
  for (std::size_t i = 0; i < rows.size(); i++) {
    const auto same = std::ranges::equal_range(groups, rows[i].group[side]);
    out[i] = rows[i].group[side] != 0 && same.size() <= kMaxList;
  }
  return out;
}

// A word of an address tells nothing more where all rows that constrain it agree on it and
// constrain a later word too: typically the network part of hosts in one IPv6 subnet. The row's
// record still checks it.
bool implied(std::span<const Row> rows, std::span<const std::uint32_t> dense, int field) {
  const int last = field < PS_FIELD_DST ? PS_FIELD_DST - 1 : PS_FIELD_SPORT - 1;
  if (field >= last) return false;
  const Row* first = nullptr;
  for (std::uint32_t i : dense) {
    const Row& row = rows[i];
    if (!row.constrained(field)) continue;
    if (!row.constrained(field + 1)) return false;
    if (!first) first = &row;
    if (row.low[field] != first->low[field] || row.high[field] != first->high[field]) return false;
  }
  return true;
}

}  // namespace

std::vector<std::uint8_t> choose_pivots(std::span<const Row> rows) {
  if (rows.size() <= kFew) return std::vector<std::uint8_t>(rows.size(), kAlways);
  std::array<Eligible, PS_FIELDS> eligible;
  for (int field : kOrder)
    eligible[field] = field >= PS_FIELD_SRC_GROUP
                          ? eligible_by_group(rows, field - PS_FIELD_SRC_GROUP)
                          : eligible_by_range(rows, field);
  std::vector<std::uint8_t> pivots(rows.size(), kDense);
  std::size_t left = rows.size();
  while (left > kFew) {
    int best = -1;
    std::size_t most = 0;
    for (int field : kOrder) {
      std::size_t n = 0;
      for (std::size_t i = 0; i < rows.size(); i++) n += pivots[i] == kDense && eligible[field][i];
      if (n > most) {
        most = n;
        best = field;
      }
    }
    if (best < 0 || (most < kWorthASearch && most * 2 < left)) break;
    for (std::size_t i = 0; i < rows.size(); i++)
      if (pivots[i] == kDense && eligible[best][i]) pivots[i] = static_cast<std::uint8_t>(best);
    left -= most;
  }
  if (left <= kFew) std::ranges::replace(pivots, kDense, kAlways);
  return pivots;
}

std::vector<int> choose_dense_fields(std::span<const Row> rows,
                                     std::span<const std::uint32_t> dense) {
  std::vector<int> fields;
  int most_field = PS_FIELD_PROTO;
  std::size_t most = 0;
  for (int field = 0; field < PS_MAX_DIMENSIONS; field++) {
    const auto n = static_cast<std::size_t>(
        std::ranges::count_if(dense, [&](std::uint32_t i) { return rows[i].constrained(field); }));
    if (n > kFew && !implied(rows, dense, field)) fields.push_back(field);
    if (n > most) {
      most = n;
      most_field = field;
    }
  }
  // The search of the dense part starts from a vector, so there is always one.
  if (fields.empty()) fields.push_back(most_field);
  return fields;
}

}  // namespace penstock::policy
