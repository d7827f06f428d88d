// What a story stands on: a lab of its own, a narrator, checks that go on after a failure so that
// one run shows all, and commands in nodes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/verb.h"
#include "lab/lab.h"

namespace penstock::lab {

class Teller {
 public:
  explicit Teller(cli::Console& console) : console_(console) {}

  void say(const std::string& text);     // a new chapter, with the time
  void detail(const std::string& text);  // a line below it
  void check(bool good, const std::string& what);
  double seconds() const;

  // The last lines: passed or failed, and what failed.
  cli::Exit verdict();
  int checks() const { return checks_; }
  std::size_t failures() const { return failures_.size(); }
  cli::Console& console() { return console_; }

 private:
  cli::Console& console_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::string> failures_;
  int checks_ = 0;
};

struct StoryOptions {
  std::string lab = "demo";
  std::string topology;  // instead of the story's own, where it has a file
  std::string bundle;    // of `services`: instead of services/firewall/definition.yaml
  std::string results;   // file for what was measured
};

// One telling. The lab is whatever `up` made; the caller takes it down.
class Stage {
 public:
  Stage(Teller& teller, const StoryOptions& options) : teller(teller), options(options) {}

  // From a file of the source tree or the installed package, or from text.
  Status up_file(const std::string& path);
  Status up_text(const std::string& topology_text);
  Lab& lab() { return *lab_; }

  // In a node, by the shell; 127 when it cannot be entered.
  Output run(const std::string& node, const std::string& command, int limit_ms = 60'000);
  bool pings(const std::string& node, const std::string& address);
  // Left running, with its output in logs/<name>.
  Status start(const std::string& name, const std::string& node, const std::string& command);
  std::string said(const std::string& name);
  // Tries until it holds.
  static bool soon(const std::function<bool()>& holds, std::chrono::milliseconds limit);
  std::string address(const std::string& vm, Family = Family::kV4);
  // Puts one object and waits until it is applied.
  Status put(cli::Api&, Json object);

  Teller& teller;
  const StoryOptions& options;

 private:
  Status up(Topology);
  std::optional<Lab> lab_;
};

// Beside the program or up to two levels above it: "examples/figure1.yaml".
std::string shipped(const std::string& below);

using StoryBody = std::function<Status(Stage&)>;

Status tell_services(Stage&);
// For people who go on by themselves in this lab of `services`.
std::vector<std::string> services_what_to_try(const std::string& lab);
Status tell_equal_addresses(Stage&);
Status tell_server_away(Stage&);
Status tell_lossy_link(Stage&);

}  // namespace penstock::lab
