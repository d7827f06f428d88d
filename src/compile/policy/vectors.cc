#include "compile/policy/vectors.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

namespace penstock::policy {
namespace {

constexpr std::size_t kWordsPerLine = PS_ROWS_PER_LINE / 64;

// Rows by the interval at which their span begins, and by the one after which it has ended.
class Events {
 public:
  Events(std::size_t intervals, std::span<const RowSpan> spans) : at_(intervals + 2) {
    for (const auto& [row, span] : spans) {
      at_[span.first + 1]++;
      if (span.last + 1 < intervals) at_[span.last + 2]++;
    }
    std::partial_sum(at_.begin(), at_.end(), at_.begin());
    rows_.resize(at_.back());
    auto next = at_;
    for (const auto& [row, span] : spans) {
      rows_[next[span.first]++] = row;
      if (span.last + 1 < intervals) rows_[next[span.last + 1]++] = row;
    }
  }
  // Rows that begin or end to cover at this interval.
  std::span<const std::uint32_t> at(std::size_t interval) const {
    return std::span(rows_).subspan(at_[interval], at_[interval + 1] - at_[interval]);
  }

 private:
  std::vector<std::uint32_t> at_;
  std::vector<std::uint32_t> rows_;
};

// splitmix64: a number for each row, so that the exclusive or over a set of rows names the set.
// Should two sets share a name, their class gets the union of both: nothing depends on its being
// unique.
std::uint64_t name_of(std::uint64_t row) {
  std::uint64_t z = (row + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Bits no_rows(std::size_t dense_rows) {
  return Bits((dense_rows + PS_ROWS_PER_LINE - 1) / PS_ROWS_PER_LINE * kWordsPerLine);
}

void join(Bits& into, const Bits& from) {
  for (std::size_t i = 0; i < into.size(); i++) into[i] |= from[i];
}

Classes classify_intervals(std::size_t intervals, std::span<const RowSpan> spans) {
  const Events events(intervals, spans);
  Classes classes;
  classes.of_interval.resize(intervals);
  std::unordered_map<std::uint64_t, std::uint32_t> known;  // looked up only, never walked
  known.reserve(intervals);
  std::uint64_t name = 0;
  for (std::size_t i = 0; i < intervals; i++) {
    for (std::uint32_t row : events.at(i)) name ^= name_of(row);
    const auto found = known.try_emplace(name, static_cast<std::uint32_t>(known.size())).first;
    classes.of_interval[i] = found->second;
  }
  classes.count = known.size();
  return classes;
}

std::size_t share(std::size_t which, std::size_t of, std::size_t granted) {
  return which * granted / of;
}

std::vector<Bits> class_vectors(const Classes& classes, std::span<const RowSpan> spans,
                                std::size_t dense_rows, std::size_t granted) {
  const Events events(classes.of_interval.size(), spans);
  std::vector<Bits> vectors(granted, no_rows(dense_rows));
  Bits now = no_rows(dense_rows);
  for (std::size_t i = 0; i < classes.of_interval.size(); i++) {
    const auto changes = events.at(i);
    for (std::uint32_t row : changes) now[row / 64] ^= std::uint64_t{1} << row % 64;
    if (i == 0 || !changes.empty())
      join(vectors[share(classes.of_interval[i], classes.count, granted)], now);
  }
  return vectors;
}

std::vector<std::size_t> grant(std::span<const std::size_t> wanted, std::size_t total) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return wanted[i]; });
  std::vector<std::size_t> granted(wanted.size());
  std::size_t left = order.size();
  for (std::size_t i : order) {
    granted[i] = std::max<std::size_t>(1, std::min(wanted[i], total / left--));
    total -= std::min(total, granted[i]);
  }
  return granted;
}

ps_vector append_vector(std::vector<ps_line>& image, const Bits& bits) {
  ps_vector vector{.line = static_cast<std::uint32_t>(image.size()), .summary = 0};
  for (std::size_t word = 0; word < bits.size(); word += kWordsPerLine) {
    ps_line& line = image.emplace_back();
    std::memcpy(line.d, &bits[word], sizeof line.d);
    const auto end = bits.begin() + word + kWordsPerLine;
    if (std::any_of(bits.begin() + word, end, [](std::uint64_t w) { return w != 0; }))
      vector.summary |= 1u << word / kWordsPerLine;
  }
  return vector;
}

}  // namespace penstock::policy
