// Rules into rows: a row is one prefix or group on each side, one protocol, one port range on each
// side, one ICMP type or TCP flag test. A packet matches a rule when it matches one of its rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "abi/policy.h"
#include "base/error.h"
#include "compile/policy/rules.h"

namespace penstock::policy {

inline constexpr std::uint32_t kTop = 0xffffffff;  // high end of every field's unconstrained range

// The fields' ranges, both ends included, and what the record needs besides. A prefix is one range
// of each 32-bit word of the address, so that IPv4 and IPv6 differ in the number of fields only.
struct Row {
  std::array<std::uint32_t, PS_MAX_DIMENSIONS> low{}, high{};
  std::array<std::uint32_t, 2> group{};  // source, destination; 0: none
  ps_row_tail tail{};

  bool constrained(int field) const { return low[field] != 0 || high[field] != kTop; }
  // What the row accepts in the field, range by range, ascending: f(low, high). One range, but for
  // TCP flags, whose test picks numbers out of low..high.
  template <typename F>
  void each_range(int field, F&& f) const;
};

template <typename F>
void Row::each_range(int field, F&& f) const {
  if (field != PS_FIELD_L4 || low[field] < PS_L4_TCP) return f(low[field], high[field]);
  const auto fits = [&](std::uint32_t x) { return (x & tail.l4_mask) == tail.l4_value; };
  for (std::uint32_t at = low[field]; at <= high[field]; at++) {
    if (!fits(at & 0xff)) continue;
    const std::uint32_t first = at;
    while (at < high[field] && fits((at + 1) & 0xff)) at++;
    f(first, at);
  }
}

// What makes a rule impossible to compile, as kInvalidArgument with the field's path
// ("rules[3].icmp").
Status check(const RuleSet&);

// Rows of one family in rule order; `check` has passed. More than max_rows: kResourceExhausted,
// naming the rule.
Result<std::vector<Row>> expand(const RuleSet&, Family, std::size_t max_rows);

// The records of the image.
ps_row4 record4(const Row&);
ps_row6 record6(const Row&);

}  // namespace penstock::policy
