// One direction of a slow link: takes frames and says which depart when. No clock, no chance of its
// own: the same frames at the same times with the same seed depart at the same times.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "lab/links/impairment.h"

namespace penstock::lab {

using Moment = std::chrono::nanoseconds;  // since whenever
using Frame = std::vector<std::byte>;

struct LineCounts {
  std::uint64_t taken = 0;
  std::uint64_t overrun = 0;    // did not fit into the queue of the rate
  std::uint64_t reordered = 0;  // overtaken on purpose
};

class Line {
 public:
  explicit Line(const Impairment& impairment) : impairment_(impairment) {}

  // Frames under way keep the departure they were given.
  void set(const Impairment& impairment) { impairment_ = impairment; }

  // False: the queue is full, the frame is lost.
  bool take(Frame, Moment now);
  // When the next one departs; none when the line is empty.
  std::optional<Moment> next() const;
  // Sends what has to depart by `now`, in order.
  void depart(Moment now, const std::function<void(const Frame&)>& send);
  // Everything at once: the line is taken down.
  void flush(const std::function<void(const Frame&)>& send);

  const LineCounts& counts() const { return counts_; }

 private:
  struct Waiting {
    Frame frame;
    Moment due;
    bool step_aside = false;  // lets the next ones pass when its time comes
  };
  struct Aside {
    Frame frame;
    Moment due;  // passes then even if nothing overtook it
    int left;    // frames that are still to pass
  };

  Impairment impairment_;
  std::deque<Waiting> waiting_;  // in the order of departure
  std::vector<Aside> aside_;
  std::size_t bytes_ = 0;
  Moment free_{0};  // when the rate lets the next frame begin
  Moment last_{0};  // departure of the youngest frame: nobody overtakes by jitter
  LineCounts counts_;
};

}  // namespace penstock::lab
