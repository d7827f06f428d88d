#include "compile/policy/intervals.h"

#include <algorithm>

#include "base/ensure.h"

namespace penstock::policy {
namespace {

constexpr std::size_t kKeys = PS_TREE_KEYS, kChildren = PS_TREE_KEYS + 1;

std::size_t divided_up(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

}  // namespace

Intervals::Intervals(std::span<const Row> rows, std::span<const std::uint32_t> which, int field) {
  keys_.reserve(2 * which.size());
  for (std::uint32_t i : which)
    rows[i].each_range(field, [this](std::uint32_t low, std::uint32_t high) {
      if (low != 0) keys_.push_back(low);
      if (high != kTop) keys_.push_back(high + 1);
    });
  std::ranges::sort(keys_);
  keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
}

std::uint32_t Intervals::find(std::uint32_t x) const {
  return static_cast<std::uint32_t>(std::ranges::upper_bound(keys_, x) - keys_.begin());
}

Span Intervals::span(std::uint32_t low, std::uint32_t high) const {
  const std::uint32_t first = find(low);
  if (high == kTop) return {first, static_cast<std::uint32_t>(keys_.size())};
  if (high == low) return {first, first};
  return {first, find(high)};
}

void Intervals::write_tree(std::vector<ps_line>& image, ps_dimension& dim) const {
  dim.keys = static_cast<std::uint16_t>(keys_.size());
  if (keys_.size() <= std::size(dim.few)) {
    std::ranges::fill(dim.few, kTop);
    std::ranges::copy(keys_, dim.few);
    return;
  }
  std::vector<std::size_t> blocks{
      std::max<std::size_t>(1, divided_up(keys_.size(), kKeys))};  // leaves first
  while (blocks.back() > 1) blocks.push_back(divided_up(blocks.back(), kChildren));
  ensure(blocks.size() <= PS_MAX_TREE_LEVELS, "a search tree fits its levels");
  dim.tree_line = static_cast<std::uint32_t>(image.size());
  dim.levels = static_cast<std::uint8_t>(blocks.size());
  std::size_t leaves = 1;  // below one child of the level being written
  for (std::size_t i = 1; i < blocks.size(); i++) leaves *= i == 1 ? 1 : kChildren;
  for (std::size_t level = 0; level < blocks.size(); level++) {
    const bool leaf = level + 1 == blocks.size();
    const std::size_t n = blocks[blocks.size() - 1 - level];
    dim.blocks[level] = static_cast<std::uint16_t>(n);
    for (std::size_t b = 0; b < n; b++) {
      ps_line& line = image.emplace_back();
      for (std::size_t k = 0; k < kKeys; k++) {
        // A leaf's keys are its own; an inner block's key k is the smallest key below its child k
        // + 1.
        const std::size_t at = leaf ? b * kKeys + k : (b * kChildren + k + 1) * leaves * kKeys;
        line.w[k] = at < keys_.size() ? keys_[at] : kTop;
      }
    }
    if (!leaf && leaves > 1) leaves /= kChildren;
  }
}

}  // namespace penstock::policy
