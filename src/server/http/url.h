// The target of an HTTP request, taken apart and unescaped (RFC 3986). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace penstock {

struct Url {
  std::vector<std::string> segments;  // of the path, unescaped; "/v1/a%2Fb" -> {"v1", "a/b"}
  std::vector<std::pair<std::string, std::string>> query;  // in order, unescaped

  // kInvalidArgument: not a path, a broken %-escape, a NUL or other control character.
  static Result<Url> parse(std::string_view target);
  // The last value of a parameter.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

}  // namespace penstock
