// Objects as the server sends them: members stay in the server's order.
#pragma once

#include <nlohmann/json.hpp>

namespace penstock::cli {

using Json = nlohmann::ordered_json;

// Follows member names; a null value when one is missing. at(object, "status", "rollout").
template <typename... Names>
const Json& at(const Json& json, const Names&... names) {
  static const Json nothing;
  const Json* here = &json;
  const auto step = [&](std::string_view name) {
    if (!here->is_object()) {
      here = &nothing;
      return;
    }
    const auto found = here->find(name);
    here = found == here->end() ? &nothing : &*found;
  };
  (step(names), ...);
  return *here;
}

// The string there, or empty.
inline std::string text_at(const Json& json) {
  return json.is_string() ? json.get<std::string>() : std::string();
}

// proto3 JSON writes 64-bit numbers as strings; both are numbers here.
inline std::int64_t number_at(const Json& json) {
  if (json.is_number()) return json.get<std::int64_t>();
  if (!json.is_string()) return 0;
  return std::strtoll(json.get_ref<const std::string&>().c_str(), nullptr, 10);
}

}  // namespace penstock::cli
