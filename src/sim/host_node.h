// One simulated host: a kernel, machines, files and a network that outlive its agent, the agent's
// present life, and what must be true of the host at every instant.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/sim_files.h"
#include "host/agent.h"
#include "sim/history.h"
#include "sim/taps.h"
#include "sim/wire.h"

namespace penstock::sim {

class HostNode {
 public:
  struct Parts {
    SimClock& clock;
    Trace& trace;
    Verdict& verdict;
    History& history;
    Book& images;
    Defect defect;
  };
  HostNode(Parts, std::string name, int number, const Tunables&,
           std::function<HostSessions*()> server);
  ~HostNode();

  void start();
  bool running() const { return life_ != nullptr; }
  void crash(bool told);
  // Crash of the whole machine: kernel and guests begin anew.
  void reboot();

  // The packets' view: every port that forwards is under the services of a revision that is not
  // older than what was acknowledged for it, and no generation ever stood for two things.
  void look();
  // After healing: nothing is left to do.
  bool in_step(std::string* why) const;
  // A host that got everything at once must look the same.
  void compare_with_fresh();

  const std::string& name() const { return name_; }
  // The newest revision that it ever acknowledged.
  std::int64_t acknowledged() const { return newest_ack_; }
  // Somebody else changed its devices or programs: the agent finds out at its next audit.
  void tampered();
  std::string uplink_address() const { return "192.0.2." + std::to_string(number_); }
  const host::Agent& agent() const;

  std::string token;
  host::FakeKernel kernel;
  host::FakeMachines machines;
  SimFolder folder;
  Wire wire;

 private:
  struct Life;
  void sent(const v1::HostMessage&);
  void acknowledge(const v1::Ack&);
  std::int64_t bound(PortId) const;
  void misbehave();

  Parts parts_;
  std::string name_;
  int number_;
  Tunables tunables_;
  TraceLog log_;
  EnforcedReader reader_;
  TappedKernel tapped_;
  std::unique_ptr<Life> life_;
  bool looking_ = false;

  std::int64_t newest_ack_ = 0;
  MonoTime tampered_until_{};
  std::int64_t acknowledged_ = 0;          // what it has to keep to: by the newest ack
  std::map<PortId, std::int64_t> behind_;  // ports that the ack said are not so far
  // What each generation of a port's direction has stood for.
  std::map<std::pair<PortId, int>, std::map<std::uint32_t, std::string>> generations_;
  std::map<PortId, std::array<std::uint64_t, 2>> last_words_;  // of the planted defect
};

}  // namespace penstock::sim
