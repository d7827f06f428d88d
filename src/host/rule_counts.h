// Room in the switch's counts of rules: a range of indexes for each step of a port, in whole blocks
// (bpf/abi/counts.h). A range begins at zero. Places that were given back are zeroed when it is
// quiet and used again as late as possible: programs may go on counting there for a moment, and
// flow entries until they are judged again.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/error.h"
#include "host/kernel.h"

namespace penstock::host {

class RuleCounts {
 public:
  explicit RuleCounts(Kernel&);

  // The first index of room for so many counts, held once; 0: there is none left, or it cannot be
  // zeroed. Nothing is wrong with rules that are not counted.
  std::uint32_t take(std::uint32_t count);
  void hold_again(std::uint32_t first);
  void release(std::uint32_t first);  // 0: nothing
  bool is_held(std::uint32_t first) const { return ranges_.contains(first / PS_RULES_PER_BLOCK); }
  // Restart: a port's steps count there; held once. False: it makes no sense.
  bool adopt(std::uint32_t first, std::uint32_t count);

  // What the old range has counted is carried over: to `to + i` from `from + source[i]`; negative:
  // from nowhere.
  Status carry_over(std::uint32_t to, std::uint32_t from, std::uint32_t from_count,
                    std::span<const std::int64_t> source);

  // Zeroes so many free blocks that need it.
  void clean(std::size_t blocks);

  std::size_t refused() const { return refused_; }  // ranges for which there was no room

 private:
  struct Range {
    std::uint32_t blocks = 0, holders = 0;
  };
  std::uint32_t find_free(std::uint32_t blocks) const;
  Status zero(std::uint32_t block, std::uint32_t blocks);

  Kernel& kernel_;
  std::map<std::uint32_t, Range> ranges_;        // by first block
  std::map<std::uint32_t, std::uint32_t> free_;  // first block -> blocks; neighbours are merged
  std::vector<bool> dirty_;                      // by block: may hold something
  std::uint32_t cursor_ = 1;                     // where the next search begins
  std::size_t refused_ = 0;
};

}  // namespace penstock::host
