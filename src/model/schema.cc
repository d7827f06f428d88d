#include "model/schema.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <re2/re2.h>

#include "net/address.h"

namespace penstock {
namespace {

using Check = std::function<Status(std::string_view)>;

template <auto parse>
Status parses(std::string_view text) {
  if (auto result = parse(text); !result) return std::unexpected(std::move(result).error());
  return {};
}

const std::map<std::string, Check, std::less<>>& formats() {
  static const std::map<std::string, Check, std::less<>> table{
      {"ip", parses<IpAddress::parse>},           {"cidr", parses<IpPrefix::parse>},
      {"port-range", parses<PortRange::parse>},   {"mac", parses<Mac::parse>},
      {"ip-protocol", parses<parse_ip_protocol>},
  };
  return table;
}

constexpr std::array kTypes{"string", "integer", "number", "boolean", "array", "object"};

bool whole(const Json& v) {
  return v.is_number_integer() ||
         (v.is_number_float() && v.get<double>() == std::floor(v.get<double>()));
}

bool is_type(const Json& v, std::string_view type) {
  if (type == "string") return v.is_string();
  if (type == "integer") return whole(v);
  if (type == "number") return v.is_number();
  if (type == "boolean") return v.is_boolean();
  if (type == "array") return v.is_array();
  return v.is_object();
}

// Whole numbers and floats of the same value are the same value.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() == b.get<double>();
  return a == b;
}

std::string brief(const Json& v) {
  auto text = v.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

// The schema itself.
class SchemaReader {
 public:
  explicit SchemaReader(Problems& problems) : problems_(problems) {}

  void read(const Json& schema, const std::string& path, bool root) {
    if (!schema.is_object()) {
      problems_.add(path, fmt::format("expected a schema (an object), found {}", brief(schema)));
      return;
    }
    const auto type = type_of(schema, path, root);
    for (const auto& [word, value] : schema.items())
      keyword(word, value, type, field_path(path, word));
    if (schema.contains("required")) required(schema, path);
    if (schema.contains("default") && !problems_.any()) {
      check_value(schema, schema["default"], problems_, field_path(path, "default"), true);
    }
  }

  static void check_value(const Json& schema, const Json& value, Problems&, const std::string& path,
                          bool complete);

 private:
  Problems& problems_;

  std::string type_of(const Json& schema, const std::string& path, bool root) {
    const auto it = schema.find("type");
    if (it == schema.end()) {
      if (!root)
        problems_.add(field_path(path, "type"), "is required",
                      fmt::format("{}", fmt::join(kTypes, ", ")));
      return root ? "object" : "";
    }
    if (!it->is_string() || std::ranges::find(kTypes, it->get<std::string>()) == kTypes.end()) {
      problems_.add(field_path(path, "type"),
                    fmt::format("{} is not one of {}", brief(*it), fmt::join(kTypes, ", ")));
      return "";
    }
    auto type = it->get<std::string>();
    if (root && type != "object")
      problems_.add(field_path(path, "type"), "must be \"object\" here");
    return type;
  }

  void only_for(std::string_view word, const std::string& type,
                std::initializer_list<std::string_view> types, const std::string& at) {
    if (!type.empty() && std::ranges::find(types, type) == types.end())
      problems_.add(at, fmt::format("\"{}\" has no meaning for type {}", word, type));
  }
  void want(bool good, const std::string& at, std::string_view what, const Json& value) {
    if (!good) problems_.add(at, fmt::format("expected {}, found {}", what, brief(value)));
  }

  void keyword(const std::string& word, const Json& value, const std::string& type,
               const std::string& at) {
    if (word == "type" || word == "required" || word == "default" || word == "const" ||
        word == "examples" || word == "$comment" || word == "$id")
      return;
    if (word == "title" || word == "description" || word == "$schema")
      return want(value.is_string(), at, "a string", value);
    if (word == "enum")
      return want(value.is_array() && !value.empty(), at, "a list of values", value);
    if (word == "minimum" || word == "maximum" || word == "exclusiveMinimum" ||
        word == "exclusiveMaximum") {
      only_for(word, type, {"integer", "number"}, at);
      return want(value.is_number(), at, "a number", value);
    }
    if (word == "multipleOf") {
      only_for(word, type, {"integer", "number"}, at);
      return want(value.is_number() && value.get<double>() > 0, at, "a number above 0", value);
    }
    if (word == "minLength" || word == "maxLength") {
      only_for(word, type, {"string"}, at);
      return want(whole(value) && value.get<double>() >= 0, at, "a whole number from 0", value);
    }
    if (word == "minItems" || word == "maxItems") {
      only_for(word, type, {"array"}, at);
      return want(whole(value) && value.get<double>() >= 0, at, "a whole number from 0", value);
    }
    if (word == "uniqueItems") {
      only_for(word, type, {"array"}, at);
      return want(value.is_boolean(), at, "true or false", value);
    }
    if (word == "pattern") return pattern(value, type, at);
    if (word == "format") {
      only_for(word, type, {"string"}, at);
      std::vector<std::string> names;
      for (const auto& [name, check] : formats()) names.push_back(name);
      return want(value.is_string() && formats().contains(value.get<std::string>()), at,
                  fmt::format("one of {}", fmt::join(names, ", ")), value);
    }
    if (word == "items") {
      only_for(word, type, {"array"}, at);
      return read(value, at, false);
    }
    if (word == "properties") {
      only_for(word, type, {"object"}, at);
      if (!value.is_object()) return want(false, at, "an object", value);
      for (const auto& [name, property] : value.items())
        read(property, field_path(at, name), false);
      return;
    }
    if (word == "additionalProperties") {
      only_for(word, type, {"object"}, at);
      return want(value.is_boolean(), at, "true or false", value);
    }
    if (word == "$ref" || word == "$dynamicRef")
      problems_.add(at, fmt::format("\"{}\" is not supported: a schema stands for itself", word));
    else
      problems_.add(at, fmt::format("the keyword \"{}\" is not supported", word.substr(0, 60)),
                    "supported: type, enum, const, default, minimum, maximum, exclusiveMinimum, "
                    "exclusiveMaximum, "
                    "multipleOf, minLength, maxLength, pattern, format, items, minItems, maxItems, "
                    "uniqueItems, "
                    "properties, required, additionalProperties, title, description");
  }

  void pattern(const Json& value, const std::string& type, const std::string& at) {
    only_for("pattern", type, {"string"}, at);
    if (!value.is_string()) return want(false, at, "a string", value);
    RE2::Options quiet;
    quiet.set_log_errors(false);
    if (RE2 compiled(value.get<std::string>(), quiet); !compiled.ok())
      problems_.add(
          at, fmt::format("{} is not a regular expression: {}", brief(value), compiled.error()));
  }

  void required(const Json& schema, const std::string& path) {
    const auto at = field_path(path, "required");
    const auto& list = schema["required"];
    if (!list.is_array()) return want(false, at, "a list of names", list);
    const auto properties = schema.find("properties");
    for (const auto& name : list)
      if (!name.is_string())
        want(false, at, "names", name);
      else if (properties == schema.end() || !properties->is_object() ||
               !properties->contains(name.get<std::string>()))
        problems_.add(at, fmt::format("{} is not among the properties", brief(name)));
  }
};

void SchemaReader::check_value(const Json& schema, const Json& value, Problems& problems,
                               const std::string& path, bool complete) {
  const auto bad = [&](std::string message, std::string hint = {}) {
    problems.add(path, fmt::format("{} {}", brief(value), message), std::move(hint));
  };
  if (const auto type = schema.find("type");
      type != schema.end() && !is_type(value, type->get<std::string>()))
    return bad(fmt::format("is not of type {}", type->get<std::string>()));
  if (const auto it = schema.find("enum"); it != schema.end()) {
    if (std::ranges::none_of(*it, [&](const auto& v) { return same(v, value); }))
      bad(fmt::format("is not one of {}", it->dump()));
  }
  if (const auto it = schema.find("const"); it != schema.end() && !same(*it, value))
    bad(fmt::format("must be {}", brief(*it)));
  const auto bound = [&](const char* word) -> const Json* {
    const auto it = schema.find(word);
    return it == schema.end() ? nullptr : &*it;
  };
  if (value.is_number()) {
    const double v = value.get<double>();
    if (const auto* b = bound("minimum"); b && v < b->get<double>())
      bad(fmt::format("is below {}", b->dump()));
    if (const auto* b = bound("maximum"); b && v > b->get<double>())
      bad(fmt::format("is above {}", b->dump()));
    if (const auto* b = bound("exclusiveMinimum"); b && v <= b->get<double>())
      bad(fmt::format("is not above {}", b->dump()));
    if (const auto* b = bound("exclusiveMaximum"); b && v >= b->get<double>())
      bad(fmt::format("is not below {}", b->dump()));
    if (const auto* b = bound("multipleOf"); b && std::remainder(v, b->get<double>()) != 0)
      bad(fmt::format("is not a multiple of {}", b->dump()));
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    // Lengths are in characters, not bytes.
    const auto length =
        static_cast<double>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
    if (const auto* b = bound("minLength"); b && length < b->get<double>())
      bad(fmt::format("is shorter than {}", b->dump()));
    if (const auto* b = bound("maxLength"); b && length > b->get<double>())
      bad(fmt::format("is longer than {}", b->dump()));
    if (const auto* b = bound("pattern"); b && !RE2::PartialMatch(text, b->get<std::string>()))
      bad(fmt::format("does not match the pattern {}", b->dump()));
    if (const auto* b = bound("format"))
      if (auto status = formats().find(b->get<std::string>())->second(text); !status)
        problems.add(path, status.error());
  } else if (value.is_array()) {
    const auto length = static_cast<double>(value.size());
    if (const auto* b = bound("minItems"); b && length < b->get<double>())
      bad(fmt::format("has fewer than {} items", b->dump()));
    if (const auto* b = bound("maxItems"); b && length > b->get<double>())
      bad(fmt::format("has more than {} items", b->dump()));
    if (const auto* b = bound("uniqueItems"); b && b->get<bool>()) {
      std::set<std::string> seen;
      for (const auto& item : value)
        if (!seen.insert(item.dump()).second) bad(fmt::format("has {} twice", brief(item)));
    }
    if (const auto* items = bound("items"))
      for (std::size_t i = 0; i < value.size(); ++i)
        check_value(*items, value[i], problems, field_path(path, i), complete);
  } else if (value.is_object()) {
    const auto* properties = bound("properties");
    const auto* more = bound("additionalProperties");
    std::vector<std::string> names;
    if (properties)
      for (const auto& [name, property] : properties->items()) names.push_back(name);
    for (const auto& [name, item] : value.items()) {
      if (properties && properties->contains(name))
        check_value((*properties)[name], item, problems, field_path(path, name), true);
      else if (more && !more->get<bool>())
        problems.add(field_path(path, name), "there is no such parameter",
                     did_you_mean(name, names));
    }
    if (const auto* required = bound("required"); required && complete)
      for (const auto& name : *required)
        if (!value.contains(name.get<std::string>()))
          problems.add(field_path(path, name.get<std::string>()), "is required");
  }
}

}  // namespace

Schema::Schema() {
  root_["additionalProperties"] = false;
}

Schema Schema::parse(const google::protobuf::Struct& source, Problems& problems,
                     const std::string& path) {
  Schema out;
  if (source.fields().empty()) return out;
  if (const auto size = source.ByteSizeLong(); size > kSchemaMaxBytes) {
    problems.add(path, fmt::format("{} bytes: at most {}", size, kSchemaMaxBytes));
    return out;
  }
  auto root = to_json(source);
  Problems own;
  SchemaReader(own).read(root, path, true);
  for (const auto& detail : own.details()) problems.add(detail.field, detail.message, detail.hint);
  if (own.any()) return out;
  root["type"] = "object";
  root["additionalProperties"] = false;
  if (const auto it = root.find("properties"); it != root.end())
    for (const auto& [name, property] : it->items()) out.names_.insert(name);
  out.root_ = std::move(root);
  return out;
}

Json Schema::defaults() const {
  Json out = Json::object();
  if (const auto it = root_.find("properties"); it != root_.end())
    for (const auto& [name, property] : it->items())
      if (const auto value = property.find("default"); value != property.end()) out[name] = *value;
  return out;
}

void Schema::check(const Json& values, Problems& problems, const std::string& path,
                   bool complete) const {
  SchemaReader::check_value(root_, values, problems, path, complete);
}

}  // namespace penstock
