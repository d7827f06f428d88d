// A kind followed as it changes: rows of a table, or one JSON event a line.
#pragma once

#include <string>

#include "cli/api.h"
#include "cli/format.h"
#include "cli/verb.h"

namespace penstock::cli {

struct WatchOptions {
  std::string selector;
  std::string name;      // only this object
  std::string deadline;  // empty: until the reader goes or the server ends
};

// Ends with kDone when the deadline passes or the reader of out has gone. A stream that breaks is
// taken up again after the last revision seen; when that is gone from the server, everything is
// listed anew.
Result<Exit> watch_kind(Console&, Api&, const Kind&, const Location&, const WatchOptions&,
                        const Output&, bool with_tenant);

}  // namespace penstock::cli
