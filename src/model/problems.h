// Gathers everything that is wrong with a request, so that one answer names it all.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace penstock {

class Problems {
 public:
  void add(std::string field, std::string message, std::string hint = {});
  // Takes the details of an error over, its message when it has none, under `field`.
  void add(std::string field, const Error&);
  bool any() const { return !details_.empty(); }
  std::size_t size() const { return details_.size() + dropped_; }
  const std::vector<ErrorDetail>& details() const { return details_; }
  // OK, or kInvalidArgument with all details: "ServiceProfile office-firewall: 2 errors".
  Status status(std::string_view about) const;

 private:
  std::vector<ErrorDetail> details_;
  std::size_t dropped_ = 0;  // beyond kMost: a hostile request must not make an endless answer
  static constexpr std::size_t kMost = 200;
};

// "spec" + "rules" -> "spec.rules"; "" + "spec" -> "spec".
std::string field_path(std::string_view parent, std::string_view child);
// "spec.rules" + 3 -> "spec.rules[3]"
std::string field_path(std::string_view parent, std::size_t index);

}  // namespace penstock
