// Metrics as text, in Prometheus's exposition format 0.0.4. They are written when somebody asks,
// from counters that are there anyway: a registry (as prometheus-cpp has) would be a second place
// for each of them, with locks.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/runtime.h"

namespace penstock {

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// How long something took, in steps of about two.
class Histogram {
 public:
  static constexpr std::array<std::int64_t, 12> kBoundsUs = {
      250, 500, 1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 64'000, 250'000, 1'000'000, 4'000'000};
  void add(Duration);
  std::int64_t count() const { return count_; }
  std::int64_t in_bucket(std::size_t i) const { return buckets_[i]; }
  Duration sum() const { return sum_; }

 private:
  std::array<std::int64_t, kBoundsUs.size()> buckets_{};
  std::int64_t count_ = 0;
  Duration sum_{};
};

class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Begins a metric; its samples follow. Names end in _total for counters, in the unit otherwise.
  void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }
  void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
  void sample(std::int64_t value, Labels labels = {});
  void sample(double value, Labels labels = {});
  void histogram(std::string_view name, std::string_view help, const Histogram&);

  std::string text() && { return std::move(text_); }

 private:
  void family(std::string_view name, std::string_view type, std::string_view help);
  void line(std::string_view suffix, Labels, std::string_view value);

  std::string name_, text_;
};

}  // namespace penstock
