#include "model/problems.h"

#include <fmt/format.h>

namespace penstock {

void Problems::add(std::string field, std::string message, std::string hint) {
  if (details_.size() >= kMost) {
    ++dropped_;
    return;
  }
  details_.push_back({std::move(field), std::move(message), std::move(hint)});
}

void Problems::add(std::string field, const Error& error) {
  if (error.details.empty()) {
    add(std::move(field), error.message, error.hint);
    return;
  }
  for (const auto& detail : error.details)
    add(detail.field.empty() ? field : field_path(field, detail.field), detail.message,
        detail.hint);
}

Status Problems::status(std::string_view about) const {
  if (!any()) return {};
  auto message = fmt::format("{}: {} error{}", about, size(), size() == 1 ? "" : "s");
  if (dropped_) message += fmt::format(" (the first {} are listed)", details_.size());
  return std::unexpected(Error{Code::kInvalidArgument, std::move(message), details_, {}});
}

std::string field_path(std::string_view parent, std::string_view child) {
  if (parent.empty()) return std::string(child);
  if (child.empty()) return std::string(parent);
  if (child.starts_with('[')) return fmt::format("{}{}", parent, child);
  return fmt::format("{}.{}", parent, child);
}

std::string field_path(std::string_view parent, std::size_t index) {
  return fmt::format("{}[{}]", parent, index);
}

}  // namespace penstock
