// Which way each row is found. A row that is one of few in some field (a host, a port, a group)
// pivots there: it stands in the short lists of the intervals it covers and nowhere else. What is
// rare in no single field goes to the dense part, where the bit vectors of several fields
// intersect.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compile/policy/rows.h"

namespace penstock::policy {

inline constexpr int kAlways = 14;             // on the list that is checked for every packet
inline constexpr int kDense = 15;              // found by intersection
inline constexpr std::uint32_t kMaxSpan = 8;   // intervals in which one row may be listed
inline constexpr std::uint32_t kMaxList = 12;  // rows in one list (at most PS_MAX_LIST)

// For each row: an enum ps_field, kAlways or kDense.
std::vector<std::uint8_t> choose_pivots(std::span<const Row> rows);

// Fields by which the dense rows are to be intersected (point fields only; groups always are).
std::vector<int> choose_dense_fields(std::span<const Row> rows,
                                     std::span<const std::uint32_t> dense);

}  // namespace penstock::policy
