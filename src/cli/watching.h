// A kind followed as it changes: rows of a table, or one JSON event a line.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cli/api.h"
#include "cli/format.h"
#include "cli/verb.h"

namespace penstock::cli {

struct WatchOptions {
  std::string selector;
  std::string name;      // only this object
  std::string deadline;  // empty: until the reader goes or the server ends
};

// Watch events, bookmarks too, as the server sends them. Ends with kDone when `until` ("10s",
// empty: never) has passed or the reader of out has gone. A stream that breaks is taken up again
// after the last revision seen; when that is gone from the server, everything is listed anew.
Result<Exit> follow(Console&, Api&, const Location&, std::string_view selector,
                    std::string_view until, const std::function<void(const Json&)>& show);

// Follows a kind, or one object of it, in the form asked for.
Result<Exit> watch_kind(Console&, Api&, const Kind&, const Location&, const WatchOptions&,
                        const Output&, bool with_tenant);

}  // namespace penstock::cli
