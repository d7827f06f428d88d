// The whole command: words in, exit code out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/exit.h"
#include "cli/verb.h"

namespace penstock::cli {

// The parser with all verbs. Built anew for each run: options are bound to the verbs' variables.
struct CommandLine {
  GlobalOptions options;
  CLI::App app{"Network and security services in virtual networks"};
  Verbs verbs{app};

  explicit CommandLine(const std::vector<AddVerbs>& more);
  // Without the program's name. The verb that was chosen; or says what is wrong (or the help asked
  // for) and how to exit.
  struct Chosen {
    const Verb* verb = nullptr;
    Exit exit = Exit::kDone;
  };
  Chosen parse(const std::vector<std::string>& words, Console&);
};

// `more`: verbs of other libraries.
Exit run(const std::vector<std::string>& words, const Io&, const std::vector<AddVerbs>& more = {});

// A command line in one string, as in examples and "Try:" lines: split as a shell does with plain
// quotes. Without the leading "penstock"; stops at a comment, pipe or redirection.
std::vector<std::string> words_of(std::string_view command);

}  // namespace penstock::cli
