// Runs the command in this process, as a terminal would see it. Every "Try:" line it prints is
// parsed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/run.h"

namespace penstock::cli {

struct Ran {
  int exit = 0;
  std::string out, err;
};

struct Terminal {
  std::map<std::string, std::string> env{{"HOME", "/nonexistent"}};
  std::string in;
  std::optional<std::string> answer;  // to a question; without one nobody can be asked
  bool tty = false;
  bool closed_out = false;  // the reader has gone

  // "get vms -A", split as by a shell; without "penstock".
  Ran run(std::string_view command) const { return run(words_of(command)); }
  Ran run(const std::vector<std::string>& words) const;
};

// Fails the current test when the command line does not parse. `from`: where it was found.
void expect_parses(std::string_view command, std::string_view from);

}  // namespace penstock::cli
