// Files of a simulated program. The SimDisk outlives crashes of the program; what was not done when
// it crashed is there or not, by the dice.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/runtime.h"

namespace penstock {

struct SimDisk {
  std::map<std::string, std::string> files;
  bool full = false;               // every replacement fails
  Duration write_time{1'000'000};  // from the call to done
};

class SimFiles final : public Files {
 public:
  SimFiles(Runtime& runtime, SimDisk& disk) : runtime_(runtime), disk_(disk) {}

  Result<std::optional<std::string>> read(const std::string& path) override;
  void replace(const std::string& path, std::string content, Done) override;

 private:
  Runtime& runtime_;
  SimDisk& disk_;
};

}  // namespace penstock
