// One `expect` line: what the command before it must have done.
#pragma once

#include <regex>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "lab/process.h"

namespace penstock::lab {

// exit 0 | exit not 0
struct ExpectExit {
  int status = 0;
  bool is = true;
};
// output ~ REGEX | output !~ REGEX; matches anywhere, in any line
struct ExpectMatch {
  std::regex regex;
  bool matches = true;
};
// output = TEXT; without the newline at the end
struct ExpectText {
  std::string text;
};
// number /REGEX/ <= 20; what the first group matches
struct ExpectNumber {
  std::regex regex;
  std::string relation;  // < <= = >= >
  double value = 0;
};
using Expectation = std::variant<ExpectExit, ExpectMatch, ExpectText, ExpectNumber>;

// What stands after "expect".
Result<Expectation> parse_expectation(std::string_view);

// Empty when it holds; else why not: "exit 1", "3.2 is not < 2".
std::string unmet(const Expectation&, const Output&);

}  // namespace penstock::lab
