#include "lab/links/line.h"

#include <algorithm>
#include <utility>

#include "link/chance.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

// A queue of this much time, but never less than a few frames: as routers of the Internet have it.
constexpr Moment kQueue = 100ms;
constexpr std::uint64_t kFewFramesBits = 10 * 1514 * 8;
// Of all that is under way, so that a fast link with a long delay cannot eat the machine's memory.
constexpr std::size_t kMostBytes = 64 << 20;
// Three frames that arrive early are what TCP takes for a loss (RFC 5681 section 3.2).
constexpr int kOvertakers = 3;
constexpr Moment kAsideAtMost = 50ms;
// Ethernet frames carry 24 bytes more on the wire: checksum, preamble, gap.
constexpr std::uint64_t kWireOverhead = 24;

Moment time_on_wire(std::uint64_t bits, std::uint64_t rate) {
  // In double: bits * 10^9 leaves 64 bits for frames of an hour's worth only, but stays exact here.
  return Moment(
      static_cast<std::int64_t>(1e9 * static_cast<double>(bits) / static_cast<double>(rate)));
}

}  // namespace

bool Line::take(Frame frame, Moment now) {
  const auto dice = link_dice(~impairment_.seed, counts_.taken++);
  auto start = now;
  if (impairment_.rate_bit_s != 0) {
    start = std::max(now, free_);
    const auto most = std::max(kQueue, time_on_wire(kFewFramesBits, impairment_.rate_bit_s));
    if (start - now > most) {
      ++counts_.overrun;
      return false;
    }
    start += time_on_wire((frame.size() + kWireOverhead) * 8, impairment_.rate_bit_s);
    free_ = start;
  }
  if (bytes_ + frame.size() > kMostBytes) {
    ++counts_.overrun;
    return false;
  }
  auto due = start + Moment(impairment_.delay);
  if (const auto jitter = Moment(impairment_.jitter).count(); jitter != 0) {
    const auto step =
        static_cast<std::uint64_t>(dice >> 32) * (2 * static_cast<std::uint64_t>(jitter) + 1) >> 32;
    due += Moment(static_cast<std::int64_t>(step) - jitter);
  }
  due = std::max(due, last_);
  last_ = due;
  bytes_ += frame.size();
  waiting_.push_back(
      {std::move(frame), due,
       link_happens(static_cast<std::uint32_t>(dice), impairment_.reorder.ppm) != 0});
  return true;
}

std::optional<Moment> Line::next() const {
  std::optional<Moment> first;
  if (!waiting_.empty()) first = waiting_.front().due;
  for (const auto& aside : aside_)
    if (!first || aside.due < *first) first = aside.due;
  return first;
}

void Line::depart(Moment now, const std::function<void(const Frame&)>& send) {
  const auto go = [&](const Frame& frame) {
    bytes_ -= frame.size();
    send(frame);
  };
  while (!waiting_.empty() && waiting_.front().due <= now) {
    auto first = std::move(waiting_.front());
    waiting_.pop_front();
    if (first.step_aside) {
      ++counts_.reordered;
      aside_.push_back({std::move(first.frame), first.due + kAsideAtMost, kOvertakers});
      continue;
    }
    go(first.frame);
    for (auto& aside : aside_) --aside.left;
    std::erase_if(aside_, [&](const Aside& aside) {
      if (aside.left > 0) return false;
      go(aside.frame);
      return true;
    });
  }
  std::erase_if(aside_, [&](const Aside& aside) {
    if (aside.due > now) return false;
    go(aside.frame);
    return true;
  });
}

void Line::flush(const std::function<void(const Frame&)>& send) {
  for (const auto& aside : aside_) send(aside.frame);
  for (const auto& waiting : waiting_) send(waiting.frame);
  aside_.clear();
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace penstock::lab
