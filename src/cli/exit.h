// How the command ends, as a number. A code means one thing and is never given another meaning.
#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace penstock::cli {

enum class Exit : int {
  kDone = 0,
  kNo = 1,
  kUsage = 2,
  kNotFound = 3,
  kNotAllowed = 4,
  kConflict = 5,
  kInvalid = 6,
  kDeadline = 7,
  kFailed = 8,
  kUnreachable = 9,
  kChanged = 10,
};

struct ExitRow {
  Exit exit;
  std::string_view meaning;
};
// The table of docs/cli.md; a test compares the two.
std::span<const ExitRow> exit_table();

// By base/error.cc's table.
Exit exit_of(Code);

}  // namespace penstock::cli
