// The simulated management server: a disk that outlives it, and its present life.
#pragma once

#include <memory>
#include <string>

#include "server/server.h"
#include "server/sim_audit_log.h"
#include "sim/history.h"
#include "sim/taps.h"
#include "store/sim/sim_store.h"

namespace penstock::sim {

class ServerNode {
 public:
  ServerNode(SimClock&, Trace&, Verdict&, const Tunables&, std::string incarnation, Defect);
  ~ServerNode();

  void start();
  void crash();
  bool running() const { return life_ != nullptr; }
  // Started and listening; nullptr otherwise.
  Server* serving() const;
  // Counts lives: an answer of an earlier one cannot be waited for.
  int life() const { return lives_; }

  // What it serves must be what the disk holds.
  void compare_with(const History&) const;

  SimDisk disk;
  SimAuditPaper audit_paper;
  std::string admin;  // the first administrator's secret
  std::function<void()> on_serving;

 private:
  struct Life;
  void started(Status);

  SimClock& clock_;
  Trace& trace_;
  Verdict& verdict_;
  Tunables tunables_;
  Defect defect_;
  TraceLog log_;
  std::unique_ptr<Life> life_;
  int lives_ = 0;
};

}  // namespace penstock::sim
