// Options that several verbs share.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/api.h"
#include "cli/ref.h"
#include "cli/verb.h"

namespace penstock::cli {

// "500ms", "10s", "2m", "1h", or plain seconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view);

// --dry-run=server, --wait, --deadline of verbs that change something.
struct WriteFlags {
  std::string dry_run, deadline;
  bool wait = false;

  void declare(Verb&);
  Result<WriteOptions> parse() const;
};

// KIND NAME..., or KIND/NAME...: all objects named by the words.
Result<std::vector<ObjectRef>> parse_refs(const std::vector<std::string>& words,
                                          const std::string& default_tenant);

// "vm/web-1", "nic/acme/web-1/eth0", "pool/web", "network/blue".
struct Target {
  std::string kind, tenant, name, nic;
  std::string text() const;  // "vm acme/web-1", "nic acme/web-1/eth0"
  std::string word() const;  // "vm/acme/web-1": as it is typed
  Json json() const;         // {"vm": "web-1"}, {"nic": {"vm": "web-1", "nic": "eth0"}}
};
Result<Target> parse_target(std::string_view, const std::string& default_tenant);

// How a write ends the command: done, deadline passed, terminal failure.
Exit exit_of_outcome(const Json& outcome, bool waited);
// The lines on how far something has come on its hosts, and exit_of_outcome(). `why`: the command
// that says more.
Exit print_outcome(Console&, const Json& outcome, bool waited, std::string_view why);

}  // namespace penstock::cli
