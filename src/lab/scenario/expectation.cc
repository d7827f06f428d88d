#include "lab/scenario/expectation.h"

#include <charconv>

#include <fmt/format.h>

namespace penstock::lab {
namespace {

constexpr const char* kForms =
    "exit N, exit not N, output ~ REGEX, output !~ REGEX, output = TEXT, number /REGEX/ <= N";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text = trimmed(text.substr(word.size()));
  return true;
}

Result<std::regex> regex_of(std::string_view text) {
  try {
    return std::regex(std::string(text), std::regex::ECMAScript | std::regex::multiline);
  } catch (const std::regex_error& error) {
    return fail(Code::kInvalidArgument,
                fmt::format("\"{}\" is not a regular expression: {}", text, error.what()));
  }
}

template <typename T>
Result<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" is not a number", text));
  return value;
}

Result<Expectation> parse_number(std::string_view rest) {
  const auto end = rest.rfind('/');
  if (!rest.starts_with('/') || end == 0)
    return fail(Code::kInvalidArgument, "the regular expression stands between slashes",
                "expect number /([0-9.]+)% packet loss/ < 5");
  ExpectNumber number{PENSTOCK_TRY(regex_of(rest.substr(1, end - 1))), {}, 0};
  if (number.regex.mark_count() != 1)
    return fail(Code::kInvalidArgument, "one group of the regular expression has to be the number",
                "expect number /([0-9.]+)% packet loss/ < 5");
  rest = trimmed(rest.substr(end + 1));
  for (const auto* relation : {"<=", ">=", "<", ">", "="}) {
    if (!take(rest, relation)) continue;
    number.relation = relation;
    number.value = PENSTOCK_TRY(number_of<double>(rest));
    return number;
  }
  return fail(Code::kInvalidArgument, fmt::format("\"{}\" compares nothing", rest),
              "<, <=, =, >= or > and a number");
}

std::string unmet_one(const ExpectExit& exit, const Output& output) {
  return (output.status == exit.status) == exit.is ? "" : fmt::format("exit {}", output.status);
}

std::string unmet_one(const ExpectMatch& match, const Output& output) {
  if (std::regex_search(output.text, match.regex) == match.matches) return {};
  return match.matches ? "no match" : "it matches";
}

std::string unmet_one(const ExpectText& text, const Output& output) {
  return trimmed(output.text) == trimmed(text.text) ? "" : "it differs";
}

std::string unmet_one(const ExpectNumber& number, const Output& output) {
  std::smatch match;
  if (!std::regex_search(output.text, match, number.regex)) return "no match";
  const auto found = number_of<double>(match[1].str());
  if (!found) return found.error().message;
  const double a = *found, b = number.value;
  const auto& relation = number.relation;
  const bool holds = relation == "<"    ? a < b
                     : relation == "<=" ? a <= b
                     : relation == "="  ? a == b
                     : relation == ">=" ? a >= b
                                        : a > b;
  return holds ? "" : fmt::format("{} is not {} {}", match[1].str(), relation, b);
}

}  // namespace

Result<Expectation> parse_expectation(std::string_view text) {
  auto rest = trimmed(text);
  if (take(rest, "exit")) {
    ExpectExit exit;
    exit.is = !take(rest, "not");
    exit.status = PENSTOCK_TRY(number_of<int>(rest));
    return exit;
  }
  if (take(rest, "output")) {
    if (take(rest, "!~")) return ExpectMatch{PENSTOCK_TRY(regex_of(rest)), false};
    if (take(rest, "~")) return ExpectMatch{PENSTOCK_TRY(regex_of(rest)), true};
    if (take(rest, "=")) return ExpectText{std::string(rest)};
  }
  if (take(rest, "number")) return parse_number(rest);
  return fail(Code::kInvalidArgument, fmt::format("\"{}\" is nothing to expect", text), kForms);
}

std::string unmet(const Expectation& expectation, const Output& output) {
  return std::visit([&](const auto& one) { return unmet_one(one, output); }, expectation);
}

}  // namespace penstock::lab
