// A whole deployment in one process and one seed: server, store, hosts, networks between them,
// users; and everything that goes wrong in real ones.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/clients.h"
#include "sim/host_node.h"

namespace penstock::sim {

struct RunOptions {
  std::uint64_t seed = 1;
  int steps = 100;  // operations and accidents
  bool loud = false;
  Defect defect = Defect::kNone;
};

struct RunReport {
  std::uint64_t seed = 0;
  std::string hash;  // of the trace
  std::size_t trace_lines = 0;
  int step = 0;  // the last one begun
  std::optional<Broken> broken;
  std::vector<std::string> last_lines;
  int succeeded = 0, refused = 0, gave_up = 0;
  std::int64_t revisions = 0;
  double simulated_s = 0;
};

RunReport run(const RunOptions&);

}  // namespace penstock::sim
