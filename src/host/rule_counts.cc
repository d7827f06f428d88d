#include "host/rule_counts.h"

#include <algorithm>

#include "base/ensure.h"

namespace penstock::host {
namespace {

std::uint32_t blocks_for(std::uint32_t count) {
  return (count + PS_RULES_PER_BLOCK - 1) / PS_RULES_PER_BLOCK;
}

}  // namespace

// Block 0 holds index 0, which means "not counted".
RuleCounts::RuleCounts(Kernel& kernel)
    : kernel_(kernel), dirty_(kernel.rule_counters() / PS_RULES_PER_BLOCK, true) {
  if (dirty_.size() > 1) free_[1] = static_cast<std::uint32_t>(dirty_.size()) - 1;
}

// 0: none. From the cursor to the end, then from the start.
std::uint32_t RuleCounts::find_free(std::uint32_t blocks) const {
  const auto fits = [&](const auto& place) { return place.second >= blocks; };
  auto at = free_.upper_bound(cursor_);
  if (at != free_.begin()) {
    const auto before = std::prev(at);
    const auto end = before->first + before->second;
    if (end > cursor_ && end - cursor_ >= blocks) return std::max(cursor_, before->first);
  }
  auto found = std::find_if(at, free_.end(), fits);
  if (found == free_.end()) found = std::find_if(free_.begin(), free_.end(), fits);
  return found == free_.end() ? 0 : found->first;
}

Status RuleCounts::zero(std::uint32_t block, std::uint32_t blocks) {
  const std::vector<ps_rule_count> nothing(std::size_t{blocks} * PS_RULES_PER_BLOCK);
  PENSTOCK_CHECK(kernel_.set_rule_counts(block * PS_RULES_PER_BLOCK, nothing));
  for (std::uint32_t i = 0; i < blocks; ++i) dirty_[block + i] = false;
  return {};
}

std::uint32_t RuleCounts::take(std::uint32_t count) {
  const auto blocks = blocks_for(count);
  const auto first = find_free(blocks);
  if (first == 0) {
    ++refused_;
    return 0;
  }
  for (std::uint32_t i = 0; i < blocks; ++i)
    if (dirty_[first + i] && !zero(first + i, 1)) return 0;
  auto place = std::prev(free_.upper_bound(first));
  const auto [start, length] = *place;
  free_.erase(place);
  if (first > start) free_[start] = first - start;
  if (start + length > first + blocks) free_[first + blocks] = start + length - first - blocks;
  ranges_[first] = {blocks, 1};
  std::fill_n(dirty_.begin() + first, blocks, true);
  cursor_ = first + blocks;
  return first * PS_RULES_PER_BLOCK;
}

void RuleCounts::hold_again(std::uint32_t first) {
  if (first == 0) return;
  const auto found = ranges_.find(first / PS_RULES_PER_BLOCK);
  ensure(found != ranges_.end(), "counts of rules that are held again are held");
  ++found->second.holders;
}

void RuleCounts::release(std::uint32_t first) {
  if (first == 0) return;
  const auto found = ranges_.find(first / PS_RULES_PER_BLOCK);
  ensure(found != ranges_.end() && found->second.holders > 0,
         "counts of rules that are released are held");
  if (--found->second.holders > 0) return;
  auto start = found->first, blocks = found->second.blocks;
  ranges_.erase(found);
  if (const auto next = free_.find(start + blocks); next != free_.end()) {
    blocks += next->second;
    free_.erase(next);
  }
  if (auto next = free_.lower_bound(start); next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == start) {
      before->second += blocks;
      return;
    }
  }
  free_[start] = blocks;
}

bool RuleCounts::adopt(std::uint32_t first, std::uint32_t count) {
  if (first == 0 || first % PS_RULES_PER_BLOCK != 0) return false;
  const auto block = first / PS_RULES_PER_BLOCK, blocks = blocks_for(count);
  if (const auto known = ranges_.find(block); known != ranges_.end()) {
    if (known->second.blocks != blocks) return false;
    ++known->second.holders;
    return true;
  }
  auto place = free_.upper_bound(block);
  if (place == free_.begin()) return false;
  --place;
  const auto [start, length] = *place;
  if (start + length < block + blocks) return false;
  free_.erase(place);
  if (block > start) free_[start] = block - start;
  if (start + length > block + blocks) free_[block + blocks] = start + length - block - blocks;
  ranges_[block] = {blocks, 1};
  cursor_ = std::max(cursor_, block + blocks);
  return true;
}

Status RuleCounts::carry_over(std::uint32_t to, std::uint32_t from, std::uint32_t from_count,
                              std::span<const std::int64_t> source) {
  if (to == 0 || from == 0) return {};
  const auto old = PENSTOCK_TRY(kernel_.rule_counts(from, from_count));
  std::vector<ps_rule_count> counts(source.size());
  for (std::size_t i = 0; i < source.size(); ++i)
    if (source[i] >= 0 && static_cast<std::size_t>(source[i]) < old.size())
      counts[i] = old[static_cast<std::size_t>(source[i])];
  return kernel_.set_rule_counts(to, counts);
}

void RuleCounts::clean(std::size_t blocks) {
  for (const auto& [start, length] : free_)
    for (auto at = start; at < start + length; ++at) {
      if (!dirty_[at]) continue;
      auto end = at;
      while (end < start + length && dirty_[end] && end - at < blocks) ++end;
      if (end == at || !zero(at, end - at)) return;
      blocks -= end - at;
      at = end - 1;
    }
}

}  // namespace penstock::host
