#include "model/labels.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

namespace penstock {
namespace {

constexpr std::size_t kNameMost = 63;
constexpr std::size_t kLabelsMost = 64;

bool alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMost && lower_alnum(name.front()) &&
         lower_alnum(name.back()) &&
         std::ranges::all_of(name, [](char c) { return lower_alnum(c) || c == '-' || c == '.'; });
}

bool is_label_word(std::string_view word) {
  return !word.empty() && word.size() <= kNameMost && alnum(word.front()) && alnum(word.back()) &&
         std::ranges::all_of(word,
                             [](char c) { return alnum(c) || c == '-' || c == '.' || c == '_'; });
}

// A name that would do, made of the one that does not.
std::string mended(std::string_view name) {
  std::string out;
  for (char c : name.substr(0, kNameMost)) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (lower_alnum(c) || c == '-' || c == '.')
      out += c;
    else if (c == '_' || c == ' ')
      out += '-';
  }
  while (!out.empty() && !lower_alnum(out.front())) out.erase(0, 1);
  while (!out.empty() && !lower_alnum(out.back())) out.pop_back();
  return out;
}

}  // namespace

void check_name(std::string_view name, Problems& problems, std::string field) {
  if (is_name(name)) return;
  if (name.empty()) {
    problems.add(std::move(field), "is required");
    return;
  }
  const auto better = mended(name);
  problems.add(std::move(field),
               fmt::format("\"{}\" is not a name: lower-case letters, digits, '-' and '.', "
                           "first and last a letter or digit, at most {} characters",
                           name.substr(0, 80), kNameMost),
               is_name(better) ? fmt::format("\"{}\" would do", better) : "");
}

void check_label_key(std::string_view key, Problems& problems, std::string field) {
  auto word = key;
  if (const auto slash = key.find('/'); slash != key.npos) {
    word = key.substr(slash + 1);
    if (!is_name(key.substr(0, slash))) word = {};
  }
  if (!is_label_word(word))
    problems.add(
        std::move(field), fmt::format("\"{}\" is not a label key", key.substr(0, 80)),
        "letters, digits, '-', '_', '.', at most 63; a prefix like example.org/ may precede");
}

void check_label_value(std::string_view value, Problems& problems, std::string field) {
  if (!value.empty() && !is_label_word(value))
    problems.add(std::move(field), fmt::format("\"{}\" is not a label value", value.substr(0, 80)),
                 "letters, digits, '-', '_', '.', at most 63; or empty");
}

void check_labels(const google::protobuf::Map<std::string, std::string>& labels, Problems& problems,
                  std::string_view field) {
  if (labels.size() > kLabelsMost)
    problems.add(std::string(field),
                 fmt::format("{} labels: at most {}", labels.size(), kLabelsMost));
  // Sorted: the order of protobuf's hash map differs from run to run.
  for (const auto& [key, value] :
       std::map<std::string, std::string>(labels.begin(), labels.end())) {
    check_label_key(key, problems, field_path(field, key));
    check_label_value(value, problems, field_path(field, key));
  }
}

void check_selector(const v1::LabelSelector& selector, Problems& problems, std::string_view field) {
  check_labels(selector.match_labels(), problems, field_path(field, "matchLabels"));
  for (int i = 0; i < selector.expressions_size(); ++i) {
    const auto& e = selector.expressions(i);
    const auto at = field_path(field_path(field, "expressions"), static_cast<std::size_t>(i));
    check_label_key(e.key(), problems, field_path(at, "key"));
    using Expression = v1::LabelSelector::Expression;
    const bool listed = e.operator_() == Expression::IN || e.operator_() == Expression::NOT_IN;
    if (e.operator_() == Expression::OPERATOR_UNSPECIFIED)
      problems.add(field_path(at, "operator"), "is required",
                   "IN, NOT_IN, EXISTS or DOES_NOT_EXIST");
    else if (listed && e.values().empty())
      problems.add(field_path(at, "values"), "must name at least one value");
    else if (!listed && !e.values().empty())
      problems.add(field_path(at, "values"), "has no meaning with this operator", "remove it");
    for (int v = 0; v < e.values_size(); ++v)
      check_label_value(e.values(v), problems,
                        field_path(field_path(at, "values"), static_cast<std::size_t>(v)));
  }
}

}  // namespace penstock
