// One family's classifier: rows in, lines of the image out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compile/policy/build.h"
#include "compile/policy/rows.h"

namespace penstock::policy {

// Bytes of bit vectors a dense row may cost, over all fields together. This bounds the memory of
// rule sets whose ranges overlap at random, where exact vectors would need one for every interval.
inline constexpr std::size_t kVectorBytesPerRow = 96;
inline constexpr std::size_t kVectorLinesAtLeast = 64;

// Appends the classifier and returns the line of its struct ps_family; 0 when there are no rows.
std::uint32_t write_family(std::vector<ps_line>& image, Family, std::span<const Row> rows,
                           FamilyStats&);

}  // namespace penstock::policy
