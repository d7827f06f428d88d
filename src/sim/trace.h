// What happened, in order: one line for every message, commit and kernel operation, with its time.
// Two runs of one seed must give the same lines; their digest is how that is told.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/sim_runtime.h"

namespace penstock::sim {

class Trace {
 public:
  // With `loud` every line is printed as it comes.
  Trace(const SimClock& clock, bool loud) : clock_(clock), loud_(loud) {}

  void line(std::string_view text);
  template <typename... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    line(fmt::format(text, std::forward<Args>(args)...));
  }

  // SHA-256 over all lines so far.
  Digest hash();
  std::size_t lines() const { return lines_; }
  // The newest ones, oldest first.
  const std::deque<std::string>& last() const { return last_; }

 private:
  static constexpr std::size_t kKept = 50, kBlock = 1 << 16;
  void fold();

  const SimClock& clock_;
  bool loud_;
  std::size_t lines_ = 0;
  std::string pending_;  // lines that are not in hash_ yet
  Digest hash_;
  std::deque<std::string> last_;
};

// The log of a simulated program is part of the trace: what it says depends on nothing but the
// seed.
class TraceLog final : public Log {
 public:
  TraceLog(Trace& trace, std::string who) : trace_(trace), who_(std::move(who)) {}
  void write(LogLevel, std::string_view line) override { trace_.add("{} says: {}", who_, line); }

 private:
  Trace& trace_;
  std::string who_;
};

}  // namespace penstock::sim
