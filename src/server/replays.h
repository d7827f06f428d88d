// Request ids: the same id again gets the first answer, and what it asked for is done once. Lives
// in memory; across a restart the store itself remembers the ids of transactions (Txn::request_id).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock {

class Replays {
 public:
  using Answer = Result<std::string>;  // serialized
  using Waiter = std::move_only_function<void(const Answer&)>;

  // What to do with a request of this id.
  enum class Turn {
    kFirst,     // do it, then call answered()
    kRepeated,  // `waiter` has got the first answer, or will get it
    kMisused,   // the id belongs to another request
  };
  Turn begin(const std::string& id, const std::string& fingerprint, Waiter waiter);
  // Errors had no effect: they are told to those who wait, but not remembered.
  void answered(const std::string& id, const Answer&);

 private:
  // Old answers make room for new ones, by number and by size.
  static constexpr std::size_t kMost = 10'000, kMostBytes = 8 << 20;
  struct Entry {
    std::string fingerprint;
    bool done = false;
    std::string answer;
    std::vector<Waiter> waiting;
  };
  std::map<std::string, Entry> entries_;
  std::deque<std::string> order_;
  std::size_t bytes_ = 0;
};

}  // namespace penstock
