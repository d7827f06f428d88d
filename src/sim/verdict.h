// The first invariant that did not hold. The run stops there: what follows from a broken state
// says nothing.
#pragma once

#include <optional>
#include <string>

#include "sim/trace.h"

namespace penstock::sim {

struct Broken {
  std::string invariant;  // short and constant: seeds with one cause share it
  std::string details;
};

class Verdict {
 public:
  explicit Verdict(Trace& trace) : trace_(trace) {}

  void broken(std::string invariant, std::string details) {
    if (broken_) return;
    trace_.add("BROKEN {}: {}", invariant, details);
    broken_ = Broken{std::move(invariant), std::move(details)};
  }
  const std::optional<Broken>& first() const { return broken_; }

 private:
  Trace& trace_;
  std::optional<Broken> broken_;
};

}  // namespace penstock::sim
