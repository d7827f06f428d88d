// Files of a simulated program. The SimFolder outlives crashes of the program; what was not done when
// it crashed is there or not, by the dice.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/runtime.h"

namespace penstock {

struct SimFolder {
  std::map<std::string, std::string> files;
  bool full = false;               // every replacement fails
  Duration write_time{1'000'000};  // from the call to done
};

class SimFiles final : public Files {
 public:
  SimFiles(Runtime& runtime, SimFolder& disk) : runtime_(runtime), disk_(disk) {}

  Result<std::optional<std::string>> read(const std::string& path) override;
  void replace(const std::string& path, std::string content, Done) override;

 private:
  Runtime& runtime_;
  SimFolder& disk_;
};

}  // namespace penstock
