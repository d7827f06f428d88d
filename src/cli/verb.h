// A verb of `penstock`: how it is registered and what its body may use.
//
// A new verb is a file like verbs/status.cc: one function `void add_x_verb(Verbs&)` that calls
// Verbs::add with name, one-line description and at least one example, declares its options on the
// CLI::App it gets back, and sets the body. The function is declared in verbs/verbs.h and called in
// verbs/verbs.cc. Other libraries (src/lab) declare their add_..._verb(Verbs&) in a header of
// theirs; src/apps/penstock.cc calls it. Tests parse every example.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/console.h"
#include "cli/exit.h"
#include "cli/settings.h"

namespace penstock::cli {

class Api;

// One run of the command: its surroundings and what the global options say.
class Invocation {
 public:
  Invocation(const Io& io, GlobalOptions options);
  ~Invocation();

  Console& console() { return console_; }
  const Io& io() const { return io_; }
  const GlobalOptions& options() const { return options_; }
  // Flag, then environment, then the configuration file, then the default. A broken configuration
  // file is an error.
  Result<const Settings*> settings();
  // The server's interface; connects at the first call. Fails only when the settings are broken.
  Result<Api*> api();

  // For misuse that the parser cannot see ("--watch needs a table"): says it and gives
  // Exit::kUsage.
  Exit usage(std::string_view message, std::string_view try_command);
  Exit usage(const Error&, std::string_view try_command);

 private:
  const Io& io_;
  Console console_;
  GlobalOptions options_;
  std::unique_ptr<Settings> settings_;
  std::unique_ptr<Api> api_;
};

// An error that the body returns is printed by the caller, which then exits with exit_of(code).
using VerbBody = std::function<Result<Exit>(Invocation&)>;

// What completion offers at a place.
enum class Complete {
  kNothing,
  kFile,
  kKind,        // "vm", "network", ...
  kNameOfKind,  // a name of the kind in `words`
  kObject,      // "vm/acme/web-1", or a kind and then a name
  kTarget,      // "vm/NAME", "nic/VM/NIC", "pool/NAME", "network/NAME"
  kCatalog,     // a profile of the tenant's catalog
  kLevel,       // a level of the profile typed before
  kWords,       // the words given
  kOffer,       // what the function says
};
struct Place {
  std::string option;  // "--level"; empty: the next positional
  Complete what = Complete::kNothing;
  std::vector<std::string> words;  // of kWords; of kNameOfKind: the kind
  // Of kOffer: candidates by the positionals that are typed already.
  std::function<std::vector<std::string>(const std::vector<std::string>&)> offer = {};
};

struct Verb {
  CLI::App* app = nullptr;
  VerbBody body;                      // empty for verbs that only have verbs below them
  std::vector<std::string> examples;  // whole command lines: "penstock status"
  std::vector<Place> places;

  Verb& on(VerbBody run) {
    body = std::move(run);
    return *this;
  }
  Verb& completes(Place place) {
    places.push_back(std::move(place));
    return *this;
  }
};

// All verbs, and the parser they are registered with.
class Verbs {
 public:
  explicit Verbs(CLI::App& root) : root_(root) {}

  // Under the root, or under `parent` ("auth" -> "whoami"). The reference stays good as long as
  // this object.
  Verb& add(std::string name, std::string description, std::vector<std::string> examples,
            CLI::App* parent = nullptr);

  CLI::App& root() { return root_; }
  const Verb* find(const CLI::App*) const;
  const std::vector<std::unique_ptr<Verb>>& all() const { return verbs_; }

 private:
  CLI::App& root_;
  std::vector<std::unique_ptr<Verb>> verbs_;
};

using AddVerbs = std::function<void(Verbs&)>;

}  // namespace penstock::cli
