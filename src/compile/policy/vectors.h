// Bit vectors over the dense rows, one for each class of intervals (or groups) that the same rows
// cover. Their memory is bounded: when there are more classes than the budget allows, neighbouring
// classes share one vector, the union of theirs. A union proposes too many rows, never too few, and
// the row's record decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "compile/policy/intervals.h"

namespace penstock::policy {

// A set of dense rows. 64 rows a word, whole 64-byte lines.
using Bits = std::vector<std::uint64_t>;
Bits no_rows(std::size_t dense_rows);
inline void set_row(Bits& bits, std::size_t row) {
  bits[row / 64] |= std::uint64_t{1} << row % 64;
}
void join(Bits& into, const Bits& from);

// A span that a dense row covers. A row's spans stand apart from each other.
struct RowSpan {
  std::uint32_t row = 0;
  Span span;
};

struct Classes {
  std::vector<std::uint32_t> of_interval;
  std::size_t count = 0;
};

// Which intervals are covered by the same rows.
Classes classify_intervals(std::size_t intervals, std::span<const RowSpan> spans);

// The vector of each of `granted` sets of classes; class c belongs to set share(c, classes,
// granted).
std::vector<Bits> class_vectors(const Classes&, std::span<const RowSpan> spans,
                                std::size_t dense_rows, std::size_t granted);
std::size_t share(std::size_t which, std::size_t of, std::size_t granted);

// How many vectors each dimension may have, given how many it would like and how many there can be
// in all: those that want little get it, the others share the rest evenly. Never less than one.
std::vector<std::size_t> grant(std::span<const std::size_t> wanted, std::size_t total);

// Appends the vector's lines.
ps_vector append_vector(std::vector<ps_line>& image, const Bits&);

}  // namespace penstock::policy
