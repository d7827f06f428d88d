// Frames of slow links on their way: TAPs in the namespace it runs in, a timer, and a socket on
// which `penstock lab` says that the file of links has changed. One process a lab.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::lab {

// The TAP of one direction of the link whose end is `port`.
std::string relay_tap(const std::string& port, bool out);

// Serves until it is killed; returns only with what made it impossible. `file` is links.json,
// `socket_path` is made new.
Status serve_relay(const std::string& file, const std::string& socket_path);

// What can be asked of it. `update` makes TAPs that are missing and changes the others, `trim`
// takes down those the file does not ask for (after the programs stopped using them), `counts`
// tells.
Result<cli::Json> ask_relay(const std::string& socket_path, const std::string& word);

}  // namespace penstock::lab
