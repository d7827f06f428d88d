// Label selectors: meaning, canonical text, and the text form of list requests.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "model/labels.h"
#include "model/snapshot.h"

namespace penstock {
namespace {

using Labels = google::protobuf::Map<std::string, std::string>;
using Expression = v1::LabelSelector::Expression;

bool holds(const Expression& e, const Labels& labels) {
  const auto it = labels.find(e.key());
  const bool has = it != labels.end();
  const bool listed = has && std::ranges::find(e.values(), it->second) != e.values().end();
  switch (e.operator_()) {
    case Expression::IN:
      return listed;
    case Expression::NOT_IN:
      return !listed;
    case Expression::EXISTS:
      return has;
    case Expression::DOES_NOT_EXIST:
      return !has;
    default:
      return false;  // refused by validation; an unknown operator must not widen a selector
  }
}

std::string text_of(const Expression& e) {
  const std::set<std::string> values(e.values().begin(), e.values().end());
  switch (e.operator_()) {
    case Expression::IN:
      return fmt::format("{} in ({})", e.key(), fmt::join(values, ","));
    case Expression::NOT_IN:
      return fmt::format("{} notin ({})", e.key(), fmt::join(values, ","));
    case Expression::EXISTS:
      return e.key();
    case Expression::DOES_NOT_EXIST:
      return "!" + e.key();
    default:
      return e.key() + " ?";
  }
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Splits at commas outside parentheses.
std::vector<std::string_view> requirements(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '(') ++depth;
    if (i < text.size() && text[i] == ')') --depth;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      out.push_back(trim(text.substr(start, i - start)));
      start = i + 1;
    }
  }
  return out;
}

Status parse_set(std::string_view part, std::size_t word, bool negated, v1::LabelSelector& out) {
  auto list = trim(part.substr(word + (negated ? 7 : 4)));
  if (!list.starts_with('(') || !list.ends_with(')'))
    return fail(Code::kInvalidArgument, fmt::format("\"{}\": expected a list in parentheses", part),
                "tier in (front,back)");
  auto& e = *out.add_expressions();
  e.set_key(std::string(trim(part.substr(0, word))));
  e.set_operator_(negated ? Expression::NOT_IN : Expression::IN);
  for (auto value : requirements(list.substr(1, list.size() - 2))) e.add_values(std::string(value));
  return {};
}

}  // namespace

bool matches(const v1::LabelSelector& selector, const Labels& labels) {
  for (const auto& [key, value] : selector.match_labels()) {
    const auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return std::ranges::all_of(selector.expressions(),
                             [&](const auto& e) { return holds(e, labels); });
}

std::string selector_text(const v1::LabelSelector& selector) {
  std::set<std::string> parts;
  for (const auto& [key, value] : selector.match_labels()) parts.insert(key + "=" + value);
  for (const auto& e : selector.expressions()) parts.insert(text_of(e));
  return fmt::format("{}", fmt::join(parts, ","));
}

Result<v1::LabelSelector> parse_selector(std::string_view text) {
  v1::LabelSelector out;
  if (trim(text).empty()) return out;
  for (auto part : requirements(text)) {
    if (const auto at = part.find(" notin "); at != part.npos) {
      PENSTOCK_CHECK(parse_set(part, at, true, out));
    } else if (const auto at = part.find(" in "); at != part.npos) {
      PENSTOCK_CHECK(parse_set(part, at, false, out));
    } else if (const auto at = part.find("!="); at != part.npos && at > 0) {
      auto& e = *out.add_expressions();
      e.set_key(std::string(trim(part.substr(0, at))));
      e.set_operator_(Expression::NOT_IN);
      e.add_values(std::string(trim(part.substr(at + 2))));
    } else if (const auto at = part.find('='); at != part.npos) {
      auto value = part.substr(at + 1);
      if (value.starts_with('=')) value.remove_prefix(1);
      const std::string key(trim(part.substr(0, at)));
      const std::string wanted(trim(value));
      const auto [it, fresh] = out.mutable_match_labels()->insert({key, wanted});
      if (!fresh && it->second != wanted)
        return fail(Code::kInvalidArgument, fmt::format("\"{}\" is asked to be two values", key));
    } else {
      const bool absent = part.starts_with('!');
      auto& e = *out.add_expressions();
      e.set_key(std::string(trim(absent ? part.substr(1) : part)));
      e.set_operator_(absent ? Expression::DOES_NOT_EXIST : Expression::EXISTS);
    }
  }
  Problems problems;
  check_selector(out, problems, "");
  if (problems.any())
    return fail(
        Code::kInvalidArgument,
        fmt::format("\"{}\" is not a label selector: {}", text, problems.details()[0].message),
        "role=web,tier in (a,b),!old");
  return out;
}

}  // namespace penstock
