#include "base/metrics_text.h"

#include <fmt/format.h>

namespace penstock {
namespace {

std::string escaped(std::string_view text, bool in_quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || (in_quotes && c == '"'))
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

}  // namespace

void Histogram::add(Duration took) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  for (std::size_t i = 0; i < kBoundsUs.size(); ++i)
    if (us <= kBoundsUs[i]) {
      ++buckets_[i];
      break;
    }
  ++count_;
  sum_ += took;
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = std::string(name);
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void MetricsText::line(std::string_view suffix, Labels labels, std::string_view value) {
  text_ += name_;
  text_ += suffix;
  if (labels.size() > 0) {
    char before = '{';
    for (const auto& [label, content] : labels) {
      text_ += fmt::format("{}{}=\"{}\"", before, label, escaped(content, true));
      before = ',';
    }
    text_ += '}';
  }
  text_ += fmt::format(" {}\n", value);
}

void MetricsText::sample(std::int64_t value, Labels labels) {
  line("", labels, std::to_string(value));
}
void MetricsText::sample(double value, Labels labels) {
  line("", labels, fmt::format("{}", value));
}

void MetricsText::histogram(std::string_view name, std::string_view help,
                            const Histogram& histogram) {
  family(name, "histogram", help);
  std::int64_t up_to = 0;
  for (std::size_t i = 0; i < Histogram::kBoundsUs.size(); ++i) {
    up_to += histogram.in_bucket(i);
    const auto bound = fmt::format("{}", static_cast<double>(Histogram::kBoundsUs[i]) / 1e6);
    line("_bucket", {{"le", bound}}, std::to_string(up_to));
  }
  line("_bucket", {{"le", "+Inf"}}, std::to_string(histogram.count()));
  line("_sum", {}, fmt::format("{}", std::chrono::duration<double>(histogram.sum()).count()));
  line("_count", {}, std::to_string(histogram.count()));
}

}  // namespace penstock
