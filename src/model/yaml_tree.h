// YAML (and so JSON) with the position of every key and value, so that what the server says about a
// field can be pointed at in the file. Core schema of YAML 1.2 (chapter 10.3): plain true, 12, 1.5,
// null are typed; anything in quotes is a string.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"

namespace penstock {

struct YamlMark {
  int line = 1, column = 1;  // counted from 1; a column is a byte, as compilers count
  auto operator<=>(const YamlMark&) const = default;
};

struct YamlNode;
using YamlPtr = std::shared_ptr<const YamlNode>;

struct YamlNode {
  enum class Form { kScalar, kSequence, kMapping };
  struct Entry {
    std::string key;
    YamlMark mark;
    YamlPtr value;
  };
  Form form = Form::kScalar;
  YamlMark mark;
  Json scalar;                 // of kScalar
  std::vector<YamlPtr> items;  // of kSequence
  std::vector<Entry> entries;  // of kMapping, in the order of the text
  std::size_t weight = 1;      // nodes when all aliases are written out
};

struct YamlProblem {
  YamlMark mark;
  std::string message;
  std::string hint;
};

struct YamlDocuments {
  std::vector<YamlPtr> roots;         // documents that are not empty
  std::vector<YamlProblem> problems;  // then the roots are not to be used
};

// Aliases count with all they stand for, so a small text cannot become a huge document.
inline constexpr std::size_t kYamlMaxNodes = 200'000;
inline constexpr int kYamlMaxDepth = kJsonMaxDepth;

// Refused with a position: bad syntax, tabs as indentation, duplicate keys, keys that are not
// scalars, merge keys, tags, unknown or recursive aliases, too much.
YamlDocuments parse_yaml(std::string_view text);

Json to_json(const YamlNode&);

// What lies at a field path as the server writes it ("spec.rules[3].ports[0]", members in
// camelCase); members may be snake_case in the text, and contain dots. Without the field: the
// deepest of its parents that exists, at its key.
struct YamlPlace {
  YamlMark key, value;
  bool exact = false;
};
YamlPlace locate(const YamlNode& root, std::string_view field_path);

}  // namespace penstock
