// Runs scenarios, each in a lab of its own, and tells how they went.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "lab/scenario/scenario.h"

namespace penstock::lab {

struct Verdict {
  std::string file, name;
  std::size_t expectations = 0;  // that were judged
  std::chrono::duration<double> time{0};
  // Of the first thing that went wrong; empty: passed.
  std::string place{};    // "web.scenario:12"
  std::string failure{};  // "expect exit 0: exit 1"
  std::string output{};   // of the command it was about

  bool passed() const { return failure.empty(); }
};

struct RunOptions {
  std::string lab;  // name of the lab to make
  bool keep_failed = false;
  std::function<void(const std::string&)> progress;  // one line a step, before it runs
};

// "test-web-1234": distinct for each file and process, fit for a lab.
std::string lab_name(const std::string& file, int pid);

// The lab is gone afterwards, unless it failed and is to be kept.
Verdict run_scenario(const Scenario&, const RunOptions&);

}  // namespace penstock::lab
