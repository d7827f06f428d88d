#include "cli/table.h"

#include <algorithm>

namespace penstock::cli {

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void Table::widen(const std::vector<std::string>& row) {
  widths_.resize(std::max(widths_.size(), row.size()));
  for (std::size_t i = 0; i < row.size(); ++i)
    widths_[i] = std::max(widths_[i], display_width(row[i]));
}

void Table::add(std::vector<std::string> row) {
  widen(row);
  rows_.push_back(std::move(row));
}

std::string Table::text_of(const std::vector<std::string>& row) const {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    out += row[i];
    if (i + 1 == row.size()) break;
    const auto width = display_width(row[i]);
    out.append(std::max(widths_[i], width) - width + 2, ' ');
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string Table::text() const {
  std::string out = header_text() + "\n";
  for (const auto& row : rows_) out += text_of(row) + "\n";
  return out;
}

}  // namespace penstock::cli
