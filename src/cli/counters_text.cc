#include "cli/counters_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "abi/reasons.h"
#include "cli/format.h"
#include "cli/table.h"

namespace penstock::cli {
namespace {

// The switch's own list, the same that traces and docs show.
std::string remedy(const std::string& reason) {
#define PENSTOCK_REASON(NAME, name, help) \
  if (reason == #name) return help;
  PS_DROP_REASONS(PENSTOCK_REASON)
#undef PENSTOCK_REASON
  return "of a newer switch";
}

const Json& same_rule(const Json& rules, const Json& wanted) {
  static const Json nothing;
  for (const auto& rule : rules)
    if (at(rule, "profile") == at(wanted, "profile") && at(rule, "level") == at(wanted, "level") &&
        number_at(at(rule, "ruleNumber")) == number_at(at(wanted, "ruleNumber")))
      return rule;
  return nothing;
}

class Shown {
 public:
  Shown(const Json* before, double seconds) : before_(before), seconds_(seconds) {}
  bool rates() const { return before_ != nullptr && seconds_ > 0; }
  const Json* before() const { return before_; }
  // A host that starts anew counts from zero.
  std::string rate(std::int64_t now, std::int64_t then, double factor = 1) const {
    return short_number(std::max(0.0, static_cast<double>(now - then)) * factor / seconds_);
  }

 private:
  const Json* before_;
  double seconds_;
};

void rules(Console& console, const Json& all, const Shown& shown) {
  if (all.empty()) return;
  std::vector<std::string> header{"PROFILE", "RULE", "FLOWS", "PACKETS", "BYTES"};
  const bool observes = std::ranges::any_of(
      all, [](const Json& rule) { return number_at(at(rule, "wouldDeny")) > 0; });
  if (observes) header.push_back("WOULD DENY");
  if (shown.rates())
    for (const auto* rate : {"FLOWS/S", "PACKETS/S", "BIT/S"}) header.push_back(rate);
  header.push_back("LAST HIT");
  Table table(header);
  for (const auto& rule : all) {
    const auto value = [&](const char* name) { return number_at(at(rule, name)); };
    const auto number = value("ruleNumber");
    std::vector<std::string> row{
        fmt::format("{} ({})", text_at(at(rule, "profile")), text_at(at(rule, "level"))),
        number == 0 ? "default" : fmt::format("{} \"{}\"", number, text_at(at(rule, "rule"))),
        std::to_string(value("flows")), std::to_string(value("packets")),
        std::to_string(value("bytes"))};
    if (observes) row.push_back(std::to_string(value("wouldDeny")));
    if (shown.rates()) {
      const Json& then = same_rule(at(*shown.before(), "rules"), rule);
      const auto was = [&](const char* name) { return number_at(at(then, name)); };
      row.push_back(shown.rate(value("flows"), was("flows")));
      row.push_back(shown.rate(value("packets"), was("packets")));
      row.push_back(shown.rate(value("bytes"), was("bytes"), 8));
    }
    const auto last = text_at(at(rule, "lastHit"));
    row.push_back(last.empty() ? "never" : age_text(last) + " ago");
    table.add(std::move(row));
  }
  console.write(table.text());
}

void nics(Console& console, const Json& all, const Json* before, const Shown& shown) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Json& nic = all[i];
    const auto value = [&](const char* name) { return number_at(at(nic, name)); };
    console.line(fmt::format("NIC {}: out {} packets, {} bytes; in {} packets, {} bytes; {}",
                             text_at(at(nic, "nic")), value("packetsOut"), value("bytesOut"),
                             value("packetsIn"), value("bytesIn"),
                             counted(value("flows"), "connection")));
    if (shown.rates() && before && i < at(*before, "nics").size()) {
      const Json& then = at(*before, "nics")[i];
      const auto was = [&](const char* name) { return number_at(at(then, name)); };
      console.line(fmt::format("  now: out {} packets/s, {} bit/s; in {} packets/s, {} bit/s",
                               shown.rate(value("packetsOut"), was("packetsOut")),
                               shown.rate(value("bytesOut"), was("bytesOut"), 8),
                               shown.rate(value("packetsIn"), was("packetsIn")),
                               shown.rate(value("bytesIn"), was("bytesIn"), 8)));
    }
    for (const auto& [reason, count] : at(nic, "drops").items())
      console.line(fmt::format("  dropped {} {}: {}", number_at(count),
                               console.paint(Tone::kBad, reason), remedy(reason)));
  }
}

}  // namespace

std::string short_number(double value) {
  static constexpr std::array kUnits{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return value < 9.95 && (unit > 0 || value != static_cast<double>(static_cast<int>(value)))
             ? fmt::format("{:.1f}{}", value, kUnits[unit])
             : fmt::format("{:.0f}{}", value, kUnits[unit]);
}

void print_counters(Console& console, const std::string& subject, const Json& counters,
                    const Json* before, double seconds) {
  const Shown shown(before, seconds);
  const Json& all = at(counters, "rules");
  std::int64_t flows = 0, hit = 0, dropped = 0;
  for (const auto& rule : all) {
    flows += number_at(at(rule, "flows"));
    hit += number_at(at(rule, "flows")) > 0 && number_at(at(rule, "ruleNumber")) > 0;
  }
  const auto numbered = std::ranges::count_if(
      all, [](const Json& rule) { return number_at(at(rule, "ruleNumber")) > 0; });
  for (const auto& nic : at(counters, "nics"))
    for (const auto& [reason, count] : at(nic, "drops").items()) dropped += number_at(count);
  std::string line = subject + ": ";
  line += all.empty() ? "no service counts anything"
                      : fmt::format("{} of {} hit, {} decided about", hit,
                                    counted(numbered, "rule"), counted(flows, "new flow"));
  if (!at(counters, "nics").empty())
    line += fmt::format("; {} dropped", counted(dropped, "packet"));
  console.line(line);
  nics(console, at(counters, "nics"), before, shown);
  rules(console, all, shown);
  for (const auto& text : at(counters, "incomplete"))
    console.line(console.paint(Tone::kWarning, "incomplete: " + text_at(text)));
}

}  // namespace penstock::cli
