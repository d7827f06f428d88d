#include "sim/trace.h"

#include <cstdio>

namespace penstock::sim {

void Trace::line(std::string_view text) {
  const auto us = clock_.now().since_start.count() / 1000;
  auto line = fmt::format("{:>6}.{:06} {}", us / 1'000'000, us % 1'000'000, text);
  if (loud_) fmt::print("{}\n", line);
  ++lines_;
  pending_ += line;
  pending_ += '\n';
  if (pending_.size() > kBlock) fold();
  last_.push_back(std::move(line));
  if (last_.size() > kKept) last_.pop_front();
}

void Trace::fold() {
  hash_ = digest(hash_.text() + pending_);
  pending_.clear();
}

Digest Trace::hash() {
  fold();
  return hash_;
}

}  // namespace penstock::sim
