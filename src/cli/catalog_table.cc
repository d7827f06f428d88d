#include "cli/catalog_table.h"

#include <fmt/format.h>

namespace penstock::cli {
namespace {

const std::vector<std::string> kLimits{"USERS", "RATE", "CONNECTIONS", "NEW/S", "INSTANCES"};

std::string rate_text(std::int64_t bits) {
  if (bits <= 0) return "-";
  for (const auto& [unit, size] :
       {std::pair{"Gbit/s", 1'000'000'000LL}, {"Mbit/s", 1'000'000LL}, {"kbit/s", 1'000LL}})
    if (bits % size == 0) return fmt::format("{} {}", bits / size, unit);
  return fmt::format("{} bit/s", bits);
}

void add_limits(const Json& level, std::vector<std::string>& row) {
  const Json& limits = at(level, "limits");
  const auto number = [&](const char* name) {
    const auto value = number_at(at(limits, name));
    return value > 0 ? std::to_string(value) : std::string("-");
  };
  row.push_back(number("users"));
  row.push_back(rate_text(number_at(at(limits, "rateBitsPerSecond"))));
  row.push_back(number("connections"));
  row.push_back(number("connectionsPerSecond"));
  row.push_back(number("instances"));
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

}  // namespace

Table levels_table(const Json& entries) {
  std::vector<std::string> header{"NAME", "KIND", "LEVEL"};
  header.insert(header.end(), kLimits.begin(), kLimits.end());
  for (const auto* more : {"USABLE", "VENDOR", "WHY NOT"}) header.emplace_back(more);
  Table table(std::move(header));
  for (const auto& entry : entries)
    for (const auto& level : at(entry, "status", "levels")) {
      std::vector<std::string> row{text_at(at(entry, "metadata", "name")),
                                   text_at(at(entry, "status", "kind")),
                                   text_at(at(level, "name"))};
      add_limits(level, row);
      for (const auto* field : {"usable", "vendor", "whyNot"})
        row.push_back(or_dash(text_at(at(entry, "status", field))));
      table.add(std::move(row));
    }
  return table;
}

Table levels_of(const Json& entry) {
  std::vector<std::string> header{"LEVEL"};
  header.insert(header.end(), kLimits.begin(), kLimits.end());
  for (const auto* more : {"PRICE", "DESCRIPTION"}) header.emplace_back(more);
  Table table(std::move(header));
  for (const auto& level : at(entry, "status", "levels")) {
    std::vector<std::string> row{text_at(at(level, "name"))};
    add_limits(level, row);
    row.push_back(or_dash(text_at(at(level, "priceHint"))));
    row.push_back(or_dash(text_at(at(level, "description"))));
    table.add(std::move(row));
  }
  return table;
}

}  // namespace penstock::cli
