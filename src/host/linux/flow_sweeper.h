// Deletes expired flow entries at intervals (tunable flow_sweep_ms), and so knows how many there
// are.
//
// Threading: the strand's. A sweep walks the whole table in the kernel, milliseconds long, on a
// thread of its own; the packet path is not held up by it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/runtime.h"
#include "host/switch/switch.h"

namespace penstock::host {

class FlowSweeper {
 public:
  // All of them must outlive it.
  FlowSweeper(Runtime&, Log&, Switch&);
  // Waits for a sweep under way.
  ~FlowSweeper();

  // Entries that the last sweep left; 0 before the first.
  std::uint64_t entries() const { return entries_; }

 private:
  void arm();
  void sweep();
  void finished(const Result<ps_sweep>&);

  Runtime& runtime_;
  Log& log_;
  Switch& switch_;
  std::uint64_t entries_ = 0;
  bool failed_before_ = false;
  std::optional<TimerId> timer_;
  std::thread thread_;
  std::shared_ptr<FlowSweeper*> self_;  // what the thread posts asks whether we are still there
};

}  // namespace penstock::host
