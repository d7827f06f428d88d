// Columns of text, as wide as their widest cell; the last one is not padded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) { widen(header_); }

  void add(std::vector<std::string> row);
  bool empty() const { return rows_.empty(); }

  std::string header_text() const { return text_of(header_); }
  // One row with the widths known so far; for tables that grow while they are shown.
  std::string text_of(const std::vector<std::string>& row) const;
  // Header and rows, a newline after each.
  std::string text() const;

 private:
  void widen(const std::vector<std::string>& row);

  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

// Characters, not bytes (wide characters count as one).
std::size_t display_width(std::string_view);

}  // namespace penstock::cli
