#include "cli/jsonpath.h"

#include <charconv>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

std::unexpected<Error> bad(std::string_view path, std::string_view why) {
  return fail(Code::kInvalidArgument, fmt::format("jsonpath \"{}\": {}", path, why),
              "write a path like {.metadata.name} or {.items[*].status.host}");
}

// `text` is what stands between the brackets of ?( ).
Result<PathStep> parse_filter(std::string_view whole, std::string_view text) {
  PathStep step{.what = PathStep::What::kFilter};
  auto sign = text.find("==");
  if (sign == std::string_view::npos) {
    sign = text.find("!=");
    step.negated = true;
  }
  if (sign == std::string_view::npos) return bad(whole, "a filter needs == or !=");
  auto left = text.substr(0, sign);
  auto right = text.substr(sign + 2);
  const auto trim = [](std::string_view& part) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
  };
  trim(left);
  trim(right);
  if (!left.starts_with('@')) return bad(whole, "a filter starts with @");
  step.left = PENSTOCK_TRY(parse_path(left.substr(1)));
  if (right.size() >= 2 && (right[0] == '"' || right[0] == '\'') && right.back() == right[0]) {
    right = right.substr(1, right.size() - 2);
  }
  step.value = std::string(right);
  return step;
}

Result<PathStep> parse_bracket(std::string_view whole, std::string_view inside) {
  if (inside == "*") return PathStep{.what = PathStep::What::kAll};
  if (inside.size() >= 2 && (inside[0] == '\'' || inside[0] == '"') && inside.back() == inside[0]) {
    return PathStep{.what = PathStep::What::kMember,
                    .name = std::string(inside.substr(1, inside.size() - 2))};
  }
  if (inside.starts_with("?(") && inside.ends_with(')')) {
    return parse_filter(whole, inside.substr(2, inside.size() - 3));
  }
  PathStep step{.what = PathStep::What::kIndex};
  const auto [end, error] =
      std::from_chars(inside.data(), inside.data() + inside.size(), step.index);
  if (error != std::errc{} || end != inside.data() + inside.size()) {
    return bad(whole, fmt::format("[{}] is no index, no 'name', no * and no ?(filter)", inside));
  }
  return step;
}

// The closing bracket for text[0] == '[', quotes respected.
std::size_t bracket_end(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote) {
      if (text[i] == quote) quote = 0;
    } else if (text[i] == '"' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == ']') {
      return i;
    }
  }
  return std::string_view::npos;
}

bool holds(const PathStep& filter, const Json& item) {
  for (const Json* value : follow(filter.left, item)) {
    if (plain_text(*value) == filter.value) return !filter.negated;
  }
  return filter.negated;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      const char c = text[++i];
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Result<JsonPath> parse_path(std::string_view whole) {
  JsonPath steps;
  std::string_view rest = whole;
  if (rest.starts_with('$')) rest.remove_prefix(1);
  while (!rest.empty()) {
    if (rest[0] == '[') {
      const auto end = bracket_end(rest);
      if (end == std::string_view::npos) return bad(whole, "no closing ]");
      steps.push_back(PENSTOCK_TRY(parse_bracket(whole, rest.substr(1, end - 1))));
      rest.remove_prefix(end + 1);
      continue;
    }
    if (rest[0] == '.') rest.remove_prefix(1);
    if (rest.empty()) break;  // "." is the root
    if (rest[0] == '[') continue;
    const auto size = std::min(rest.find_first_of(".["), rest.size());
    if (size == 0) return bad(whole, "two dots in a row");
    const auto name = rest.substr(0, size);
    if (name == "*") {
      steps.push_back({.what = PathStep::What::kAll});
    } else {
      steps.push_back({.what = PathStep::What::kMember, .name = std::string(name)});
    }
    rest.remove_prefix(size);
  }
  return steps;
}

std::vector<const Json*> follow(const JsonPath& path, const Json& root) {
  std::vector<const Json*> here{&root};
  for (const auto& step : path) {
    std::vector<const Json*> next;
    for (const Json* value : here) {
      switch (step.what) {
        case PathStep::What::kMember:
          if (value->is_object()) {
            if (const auto found = value->find(step.name); found != value->end())
              next.push_back(&*found);
          }
          break;
        case PathStep::What::kIndex:
          if (value->is_array()) {
            const long size = static_cast<long>(value->size());
            const long index = step.index < 0 ? size + step.index : step.index;
            if (index >= 0 && index < size)
              next.push_back(&(*value)[static_cast<std::size_t>(index)]);
          }
          break;
        case PathStep::What::kAll:
        case PathStep::What::kFilter:
          if (value->is_structured()) {
            for (const auto& item : *value) {
              if (step.what == PathStep::What::kAll || holds(step, item)) next.push_back(&item);
            }
          }
          break;
      }
    }
    here = std::move(next);
  }
  return here;
}

std::string plain_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return {};
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<JsonPathTemplate::Part>> JsonPathTemplate::parse_parts(std::string_view text,
                                                                          std::size_t& at,
                                                                          bool in_range) {
  std::vector<Part> parts;
  while (at < text.size()) {
    if (text[at] != '{') {
      const auto end = std::min(text.find('{', at), text.size());
      parts.push_back({.text = unescape(text.substr(at, end - at)), .path = {}, .body = {}});
      at = end;
      continue;
    }
    const auto end = text.find('}', at);
    if (end == std::string_view::npos) return bad(text, "no closing }");
    const auto inside = text.substr(at + 1, end - at - 1);
    at = end + 1;
    if (inside == "end") {
      if (!in_range) return bad(text, "{end} without {range}");
      return parts;
    }
    if (inside.starts_with("range ")) {
      Part part{.text = {},
                .path = PENSTOCK_TRY(parse_path(inside.substr(6))),
                .is_range = true,
                .body = {}};
      part.body = PENSTOCK_TRY(parse_parts(text, at, true));
      parts.push_back(std::move(part));
    } else if (inside.size() >= 2 && inside[0] == '"' && inside.back() == '"') {
      parts.push_back(
          {.text = unescape(inside.substr(1, inside.size() - 2)), .path = {}, .body = {}});
    } else {
      parts.push_back(
          {.text = {}, .path = PENSTOCK_TRY(parse_path(inside)), .is_path = true, .body = {}});
    }
  }
  if (in_range) return bad(text, "{range} without {end}");
  return parts;
}

Result<JsonPathTemplate> JsonPathTemplate::parse(std::string_view text) {
  if (text.empty()) return bad(text, "empty");
  const std::string whole =
      text.find('{') == std::string_view::npos ? fmt::format("{{{}}}", text) : std::string(text);
  JsonPathTemplate out;
  std::size_t at = 0;
  out.parts_ = PENSTOCK_TRY(parse_parts(whole, at, false));
  return out;
}

void JsonPathTemplate::render(const std::vector<Part>& parts, const Json& root, std::string& out) {
  for (const auto& part : parts) {
    if (part.is_range) {
      for (const Json* item : follow(part.path, root)) render(part.body, *item, out);
    } else if (part.is_path) {
      bool first = true;
      for (const Json* value : follow(part.path, root)) {
        if (!first) out += ' ';
        first = false;
        out += plain_text(*value);
      }
    } else {
      out += part.text;
    }
  }
}

std::string JsonPathTemplate::render(const Json& root) const {
  std::string out;
  render(parts_, root, out);
  return out;
}

}  // namespace penstock::cli
