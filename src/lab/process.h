// Programs in the namespaces of a lab.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "lab/folder.h"

namespace penstock::lab {

struct ProcessSpec {
  std::vector<std::string> words;  // program and arguments; the program by path or found in PATH
  std::string netns;               // path of the network namespace
  std::string hostname;  // not empty: a mount and a UTS namespace of its own as well, as a host has
  std::string log;       // file that gets stdout and stderr; empty: ours
  std::string folder = {};                    // to run in; empty: ours
  std::vector<std::string> environment = {};  // "NAME=value", besides ours
};

// Starts a daemon: a session of its own, stdin closed, noted in the folder under `name`.
Result<int> start_daemon(const Folder&, const std::string& name, const ProcessSpec&);
// SIGTERM, or at once SIGKILL; waits until it is gone (SIGKILL after 5 s). Not running: no error.
Status stop_daemon(const Folder&, const std::string& name, bool at_once = false);

// Runs a command in the foreground with our own terminal. Its exit status, 128 + signal, or 127
// when it cannot start.
Result<int> run_in(const ProcessSpec&);
// The same with its output gathered (at most 1 MiB), ended after `limit_ms` (status 124, as
// timeout(1) has it).
struct Output {
  int status = 0;
  std::string text;
};
Result<Output> capture_in(const ProcessSpec&, int limit_ms);

// Path of a program of Penstock: in `folder`, or beside this one when that is empty.
std::string program_path(const std::string& folder, const std::string& name);

}  // namespace penstock::lab
