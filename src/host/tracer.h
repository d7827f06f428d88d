// Traces on this host: orders of the server in, reports out. A described packet goes through the
// tracing build of the switch (trace_run.h); what it says is put into words here.
//
// Threading: the strand's. An order is answered once, later; a watch once when it has begun and
// once a packet.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/runtime.h"
#include "host/intent.h"
#include "host/kernel.h"
#include "host/reconciler.h"
#include "host/trace_frame.h"
#include "host/trace_steps.h"

namespace penstock::host {

class Tracer {
 public:
  using Send = std::function<void(const v1::TraceReport&)>;
  // All of them must outlive it.
  Tracer(Runtime&, Kernel&, const Intent&, const Reconciler&, Send);
  ~Tracer();
  Tracer(const Tracer&) = delete;

  void take(const v1::TraceOrder&);

 private:
  struct Run;  // one order under way
  using RunPtr = std::shared_ptr<Run>;

  Status start(const RunPtr&, const v1::TraceOrder&);
  Status arrive(const RunPtr&, const v1::TraceOrder&);
  Status watch(const RunPtr&, const v1::TraceOrder&);
  void end_watch();
  void send_packet(const RunPtr&);
  void run(const RunPtr&, TraceRun, std::function<void(TraceRecord)> then);
  void finish(const RunPtr&, const TraceRecord&);
  void fail_with(const RunPtr&, const Error&);
  void reply(const RunPtr&);
  TraceNames names() const { return {intent_, reconciler_.policies()}; }

  Runtime& runtime_;
  Kernel& kernel_;
  const Intent& intent_;
  const Reconciler& reconciler_;
  Send send_;
  std::uint64_t watching_ = 0;          // the order; 0: none
  std::optional<TimerId> watch_timer_;  // a server that is gone must not leave a watch behind
  // What a callback asks whether we are still there.
  std::shared_ptr<Tracer*> self_;
};

}  // namespace penstock::host
