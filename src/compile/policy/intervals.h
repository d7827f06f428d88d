// Numbers cut into intervals by the rows that look at them, and the static search tree that finds
// an interval.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "abi/policy.h"
#include "compile/policy/rows.h"

namespace penstock::policy {

// First and last interval that a row covers.
struct Span {
  std::uint32_t first = 0, last = 0;
  std::uint32_t size() const { return last - first + 1; }
};

class Intervals {
 public:
  // Cuts `field` at the ends of the ranges of those rows (indexes into `rows`) that constrain it.
  Intervals(std::span<const Row> rows, std::span<const std::uint32_t> which, int field);
  // Cuts exactly at these numbers (sorted, distinct).
  explicit Intervals(std::vector<std::uint32_t> keys) : keys_(std::move(keys)) {}

  std::size_t count() const { return keys_.size() + 1; }
  std::size_t keys() const { return keys_.size(); }
  std::uint32_t find(std::uint32_t x) const;  // 0 .. count() - 1
  // The row's spans of intervals, ascending: f(span).
  template <typename F>
  void each_span(const Row& row, int field, F&& f) const {
    row.each_range(field, [&](std::uint32_t low, std::uint32_t high) { f(span(low, high)); });
  }

  // Appends the tree and describes it in tree_line, blocks, keys and levels.
  void write_tree(std::vector<ps_line>& image, ps_dimension& dim) const;

 private:
  Span span(std::uint32_t low, std::uint32_t high) const;

  std::vector<std::uint32_t> keys_;  // first number of every interval but the first
};

// Appends items packed into zeroed lines; returns the first line.
template <typename T>
std::uint32_t append_packed(std::vector<ps_line>& image, std::span<const T> items) {
  constexpr std::size_t per_line = PS_LINE_BYTES / sizeof(T);
  const auto line = static_cast<std::uint32_t>(image.size());
  image.resize(image.size() + (items.size() + per_line - 1) / per_line);
  for (std::size_t i = 0; i < items.size(); i++)
    __builtin_memcpy(image[line + i / per_line].b + i % per_line * sizeof(T), &items[i], sizeof(T));
  return line;
}

}  // namespace penstock::policy
