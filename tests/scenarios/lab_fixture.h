// A lab for one test, and commands in its nodes.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "lab/lab.h"

namespace penstock::lab {

class LabTest : public testing::Test {
 protected:
  void TearDown() override;

  // Builds a lab from the text of a topology; its name must be the one of `name()`.
  void up(const std::string& topology_text);
  // Different for tests that run at the same time.
  static std::string name();

  Lab& lab() { return *lab_; }
  Output run(const std::string& node, std::vector<std::string> words, int limit_ms = 10'000);
  bool pings(const std::string& from, const std::string& address);
  // Repeats until it holds or the time is over.
  static bool soon(const std::function<bool()>& holds, int limit_ms = 10'000);
  std::string address_of(const std::string& tenant, const std::string& vm, bool v6 = false);
  // Puts one object as administrator and waits until it is applied.
  Status put(cli::Json object);

  std::optional<Lab> lab_;
};

// The folder of the built programs; the test's own folder is another.
std::string built(const std::string& program);

}  // namespace penstock::lab
