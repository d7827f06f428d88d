// A scenario file: a topology, commands, expectations. docs/scenarios.md.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "lab/scenario/expectation.h"
#include "lab/topology.h"

namespace penstock::lab {

struct Step {
  enum class Kind {
    kExec,   // command in a node
    kStart,  // the same, left running
    kRun,    // on this machine, with `penstock` at hand, as `user` or administrator
    kStop,   // a daemon; `at_once`: kill -9
    kRestart,
    kSleep,
    kExpect,
    kEventually,  // repeats `inside` until it holds
  };
  Kind kind = Kind::kExec;
  int line = 0;
  std::string text;  // as it was written
  std::string node, command, user;
  bool at_once = false;
  std::chrono::milliseconds time{0};
  std::optional<Expectation> expectation;
  std::vector<Step> inside;
};

struct Scenario {
  std::string file, folder;
  std::string name;
  Topology topology;
  std::vector<Step> steps;
};

// All problems at once, as "file:line" in the details.
Result<Scenario> parse_scenario(const std::string& text, const std::string& file);
Result<Scenario> read_scenario(const std::string& file);

}  // namespace penstock::lab
