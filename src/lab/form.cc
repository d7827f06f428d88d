#include "lab/form.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/kinds.h"

namespace penstock::lab {
namespace {

using cli::Json;

constexpr const char* kNamePattern = "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$";
constexpr const char* kStemPattern = "^[a-z0-9][a-z0-9-]{0,31}$";

// The two patterns above, without the price of a regular expression for each of 100,000 names.
bool is_name(const std::string& text, bool stem) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 32 && plain(text.front()) &&
         (stem || plain(text.back())) &&
         std::ranges::all_of(text, [&](char c) { return plain(c) || c == '-'; });
}

class Checker {
 public:
  explicit Checker(std::vector<ErrorDetail>& problems) : problems_(problems) {}

  void check(const Json& value, const Json& schema, const std::string& path) {
    if (schema.contains("type") && schema.at("type").is_array()) return one_of(value, schema, path);
    const auto type = schema.value("type", "");
    if (type == "object") return object(value, schema, path);
    if (type == "array") return array(value, schema, path);
    if (type == "integer") return integer(value, schema, path);
    if (type == "string") return text(value, schema, path);
    if (type == "boolean" && !value.is_boolean()) bad(path, "true or false was expected");
  }

 private:
  void bad(const std::string& path, std::string message, std::string hint = {}) {
    problems_.push_back({path, std::move(message), std::move(hint)});
  }

  // "1%" or 0, a prefix or a mapping: scalars are for whoever reads them.
  void one_of(const Json& value, const Json& schema, const std::string& path) {
    const auto types = schema.at("type").get<std::vector<std::string>>();
    const bool mapping = std::ranges::find(types, "object") != types.end();
    if (mapping && value.is_object()) return object(value, schema, path);
    const bool number = std::ranges::find(types, "integer") != types.end();
    if (value.is_string() || (number && value.is_number())) return;
    bad(path, mapping ? "text or a mapping was expected" : "text was expected");
  }

  void array(const Json& value, const Json& schema, const std::string& path) {
    if (!value.is_array()) return bad(path, "a list was expected");
    if (value.size() < schema.value("minItems", std::size_t{0})) bad(path, "must not be empty");
    for (std::size_t i = 0; i < value.size(); ++i)
      check(value[i], schema.at("items"), fmt::format("{}[{}]", path, i));
  }

  void integer(const Json& value, const Json& schema, const std::string& path) {
    if (!value.is_number_integer()) return bad(path, "a whole number was expected");
    const auto low = schema.value("minimum", std::int64_t{0}),
               high = schema.value("maximum", std::int64_t{0});
    const auto given = value.get<std::int64_t>();
    if (given < low || given > high)
      bad(path, fmt::format("{} is not in {} to {}", given, low, high));
  }

  void text(const Json& value, const Json& schema, const std::string& path) {
    if (value.is_structured())
      return bad(
          path, fmt::format("text was expected, not a {}", value.is_object() ? "mapping" : "list"));
    if (!value.is_string()) return bad(path, "text was expected", "put it in quotes");
    const auto& given = value.get_ref<const std::string&>();
    if (schema.contains("const") && given != schema.at("const"))
      return bad(path,
                 fmt::format("\"{}\" is not \"{}\"", given, schema.at("const").get<std::string>()));
    if (schema.contains("enum")) {
      const auto known = schema.at("enum").get<std::vector<std::string>>();
      if (std::ranges::find(known, given) == known.end())
        return bad(path, fmt::format("\"{}\" is none of {}", given, fmt::join(known, ", ")),
                   did_you_mean(given, known));
    }
    const auto pattern = schema.value("pattern", "");
    if (!pattern.empty() && !is_name(given, pattern == kStemPattern))
      bad(path, fmt::format("\"{}\" is not a name", given),
          "lower-case letters, digits and '-', at most 32");
  }

  void object(const Json& value, const Json& schema, const std::string& path) {
    if (!value.is_object()) return bad(path, "a mapping was expected");
    const auto inside = [&](const std::string& key) {
      return path.empty() ? key : path + "." + key;
    };
    if (schema.contains("properties")) {
      const auto& known = schema.at("properties");
      for (const auto& [key, member] : value.items()) {
        if (known.contains(key)) {
          check(member, known.at(key), inside(key));
          continue;
        }
        std::vector<std::string> all;
        for (const auto& [name, unused] : known.items()) all.push_back(name);
        auto hint = did_you_mean(key, all);
        bad(inside(key), "unknown field",
            hint.empty() ? fmt::format("known here: {}", fmt::join(all, ", ")) : std::move(hint));
      }
    }
    for (const auto& required : schema.value("required", std::vector<std::string>{}))
      if (!value.contains(required)) bad(inside(required), "is missing");
  }

  std::vector<ErrorDetail>& problems_;
};

}  // namespace

Json list_of(Json item) {
  return {{"type", "array"}, {"items", std::move(item)}};
}

Json object_of(Json properties, std::vector<std::string> required) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  schema["properties"] = std::move(properties);
  return schema;
}

Json text_form(std::string description) {
  Json schema = {{"type", "string"}};
  if (!description.empty()) schema["description"] = std::move(description);
  return schema;
}

Json flag_form() {
  return {{"type", "boolean"}};
}

Json number_form(std::int64_t low, std::int64_t high) {
  return {{"type", "integer"}, {"minimum", low}, {"maximum", high}};
}

Json name_form() {
  return {{"type", "string"}, {"pattern", kNamePattern}};
}

Json stem_form() {
  return {{"type", "string"}, {"pattern", kStemPattern}};
}

Status check_lab_name(const std::string& name) {
  std::vector<ErrorDetail> problems;
  check_form(name, name_form(), "", problems);
  if (problems.empty()) return {};
  return fail(Code::kInvalidArgument,
              problems.front().message + " of a lab: " + problems.front().hint);
}

void check_form(const Json& value, const Json& schema, const std::string& path,
                std::vector<ErrorDetail>& problems) {
  Checker(problems).check(value, schema, path);
}

}  // namespace penstock::lab
