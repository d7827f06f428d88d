// What could come next on a command line: verbs, options, kinds, and names that the server knows.
#pragma once

#include <string>
#include <vector>

#include "cli/run.h"

namespace penstock::cli {

// `words`: what is typed after "penstock"; the last one, possibly empty, is to be completed. Never
// an error: a server that does not answer within a second knows no names.
std::vector<std::string> complete(const std::vector<std::string>& words, const Io&,
                                  const std::vector<AddVerbs>& more);

}  // namespace penstock::cli
