// Work that leaves nothing behind when it is interrupted.
#pragma once

#include <functional>
#include <string>

#include "cli/verb.h"

namespace penstock::lab {

// Runs `work` in a child process. When that is ended by Ctrl-C, a signal or a crash, the labs that
// `labs` names by then are taken down, which is said, and the answer is 128 + the signal. What
// `work` returns is printed there and comes back as exit code. No threads may run before.
cli::Exit guarded(cli::Invocation&, const std::function<std::vector<std::string>()>& labs,
                  const std::function<Result<cli::Exit>()>& work);

}  // namespace penstock::lab
