#include "cli/difference.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

const Json kAbsent;

std::string joined(std::string_view path, std::string_view member) {
  return path.empty() ? std::string(member) : fmt::format("{}.{}", path, member);
}

std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool all_named(const Json& list) {
  return std::ranges::all_of(list, [](const Json& item) { return at(item, "name").is_string(); });
}

const Json& named(const Json& list, const Json& name) {
  for (const auto& item : list) {
    if (at(item, "name") == name) return item;
  }
  return kAbsent;
}

void compare(const Json& before, const Json& after, const std::string& path,
             std::vector<FieldChange>& out) {
  if (before == after) return;
  if (before.is_object() && after.is_object()) {
    for (const auto& [key, value] : before.items())
      compare(value, at(after, key), joined(path, key), out);
    for (const auto& [key, value] : after.items()) {
      if (!before.contains(key)) compare(kAbsent, value, joined(path, key), out);
    }
    return;
  }
  if (before.is_array() && after.is_array()) {
    const auto size = out.size();
    if (all_named(before) && all_named(after)) {
      for (const auto& item : before) {
        compare(item, named(after, item["name"]),
                fmt::format("{}[{}]", path, text_at(item["name"])), out);
      }
      for (const auto& item : after) {
        if (named(before, item["name"]).is_null()) {
          compare(kAbsent, item, fmt::format("{}[{}]", path, text_at(item["name"])), out);
        }
      }
      // The same things in another order: for rules that is a change.
      if (out.size() == size) out.push_back({path + " (order)", before, after});
      return;
    }
    for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
      compare(i < before.size() ? before[i] : kAbsent, i < after.size() ? after[i] : kAbsent,
              fmt::format("{}[{}]", path, i), out);
    }
    return;
  }
  out.push_back({path, before, after});
}

}  // namespace

std::string FieldChange::text() const {
  if (before.is_null()) return fmt::format("+ {}: {}", path, shown(after));
  if (after.is_null()) return fmt::format("- {}: {}", path, shown(before));
  return fmt::format("~ {}: {} -> {}", path, shown(before), shown(after));
}

std::vector<FieldChange> difference(const Json& before, const Json& after, std::string_view path) {
  std::vector<FieldChange> out;
  compare(before, after, std::string(path), out);
  return out;
}

Json wanted_part(const Json& object) {
  Json out = object;
  out.erase("status");
  out.erase("apiVersion");
  if (at(out, "metadata").is_object()) {
    for (const auto* field :
         {"uid", "resourceVersion", "generation", "createdAt", "deletingSince"}) {
      out["metadata"].erase(field);
    }
  }
  return out;
}

}  // namespace penstock::cli
