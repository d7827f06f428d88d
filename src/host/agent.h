// The host agent: the intent, its file, the session that changes it and the reconciler that carries
// it out.
//
// Durability. An acknowledgement does not wait for the disk: a server that comes back compares
// digests and sends what is missing. The file serves a restart without a server. It is written some
// time after a change (intent_persist_ms), so after a crash it may be older than what the kernel
// holds; the kernel's own mark (AgentMark) tells. Then the agent leaves everything as it is,
// because undoing a newer change could open a protected port, and waits for the server.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/runtime.h"
#include "host/counters.h"
#include "host/flow_log.h"
#include "host/intent.h"
#include "host/mover.h"
#include "host/preview.h"
#include "host/reconciler.h"
#include "host/session.h"
#include "host/tracer.h"

namespace penstock::host {

struct AgentOptions {
  std::string name;       // of the host, as the server knows it
  std::string state_dir;  // the intent is kept in <state_dir>/intent
  std::string version, kernel, boot_id;
};

class Agent {
 public:
  // What is handed in must outlive it. The destructor leaves data path and instances as they are.
  Agent(Runtime&, Log&, Kernel&, Instances::Drivers, Files&, HostLink&, AgentOptions);
  ~Agent();

  // Reads back kernel, drivers and file, reconciles, and connects.
  Status start();

  // Before start().
  void observe_ports(Reconciler::PortObserver observer) {
    reconciler_->observe_ports(std::move(observer));
  }

  // Who pings other hosts when the server asks; without it the agent says that it cannot.
  using Probe = std::function<void(const v1::ProbeOrder&, std::function<void(v1::ProbeReport)>)>;
  void probe_by(Probe probe) { probe_ = std::move(probe); }

  // A rule with `log` decided about a flow.
  void flow_seen(const ps_event& event) { flow_log_->seen(event); }

  const Intent& intent() const { return intent_; }
  const Reconciler& reconciler() const { return *reconciler_; }
  const Session& session() const { return *session_; }
  const AgentOptions& options() const { return options_; }
  // The kernel holds something newer than the file; nothing is touched until the server speaks.
  bool holding() const { return holding_; }
  // The last thing the server sent that was refused; empty: none.
  const std::string& last_refusal() const { return last_refusal_; }

 private:
  v1::Hello hello() const;
  v1::Heartbeat heartbeat() const;
  void received(const v1::ServerMessage&);
  void probe(const v1::ProbeOrder&);
  void carry_out(const std::vector<std::string>& changed);
  void acknowledge();
  void persist_soon();
  void persist();

  Runtime& runtime_;
  Log& log_;
  Kernel& kernel_;
  Files& files_;
  AgentOptions options_;
  Intent intent_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<FlowLog> flow_log_;
  std::unique_ptr<Tracer> tracer_;
  std::unique_ptr<Preview> preview_;
  std::unique_ptr<Counters> counters_;
  std::unique_ptr<Mover> mover_;

  Probe probe_;
  bool holding_ = false;
  bool carried_out_ = false;  // everything was handed to the reconciler once
  bool in_step_ = false;      // this session's FULL or delta has come
  std::string last_refusal_;
  std::optional<MonoTime> received_at_;  // of the oldest message that is not acknowledged
  std::optional<TimerId> persist_timer_;
  bool writing_ = false, dirty_ = false;
};

}  // namespace penstock::host
