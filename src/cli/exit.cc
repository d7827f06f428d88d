#include "cli/exit.h"

#include <array>

namespace penstock::cli {
namespace {

constexpr std::array kTable{
    ExitRow{Exit::kDone, "done, or the answer is yes"},
    ExitRow{Exit::kNo, "the answer is no: differs, not reachable, expectation not met"},
    ExitRow{Exit::kUsage, "the command line is wrong"},
    ExitRow{Exit::kNotFound, "no such object, or none you may see"},
    ExitRow{Exit::kNotAllowed, "not allowed, or no valid token"},
    ExitRow{Exit::kConflict, "conflict, or the object is in use"},
    ExitRow{Exit::kInvalid, "an object or a request is invalid; nothing was changed"},
    ExitRow{Exit::kDeadline, "the deadline passed; what was accepted stays accepted"},
    ExitRow{Exit::kFailed, "terminal failure"},
    ExitRow{Exit::kUnreachable, "the server cannot be reached"},
    ExitRow{Exit::kChanged, "something was changed (only with --exit-code)"},
};

}  // namespace

std::span<const ExitRow> exit_table() {
  return kTable;
}
Exit exit_of(Code code) {
  return static_cast<Exit>(exit_code(code));
}

}  // namespace penstock::cli
