// Runs traces one after the other on a thread of its own: loading the tracing build takes the
// verifier about a second, and the strand must not wait for it.
//
// Threading: the strand's, answers included.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/runtime.h"
#include "host/switch/trace_switch.h"

namespace penstock::host {

class TraceRunner {
 public:
  using Done = std::function<void(Result<TraceRecord>)>;

  // Both must outlive it.
  TraceRunner(Runtime&, Log&, Switch&);
  // Waits for a run under way; answers that are open are never given.
  ~TraceRunner();
  TraceRunner(const TraceRunner&) = delete;

  void run(TraceRun, Done);
  void watch(TraceWatch);
  void end_watch();

 private:
  // One thing for the thread, and what the strand does with its outcome.
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void add(Job);
  void begin();
  void finished();
  Status put_in_place();
  void look();

  Runtime& runtime_;
  Log& log_;
  Switch& switch_;
  // Made by the first trace of the kind; touched by one thread at a time.
  std::unique_ptr<TraceSwitch> tracing_, live_;
  std::optional<TraceWatch> watch_;
  std::unique_ptr<Ring> seen_;
  std::optional<TimerId> look_timer_;
  std::uint32_t watches_ = 0;  // the number of the newest
  std::deque<Job> jobs_;       // the first is under way
  std::thread thread_;
  std::shared_ptr<TraceRunner*> self_;  // what the thread posts asks whether we are still there
};

}  // namespace penstock::host
