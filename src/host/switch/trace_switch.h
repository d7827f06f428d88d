// The tracing build of the switch (bpf/lib/trace.h), loaded beside the one for traffic, on its
// maps.
//
// Nothing of it is pinned: it ends with this object. A live one that is attached when the agent
// dies stays attached, a program like the other, until the next agent attaches its own.
//
// Threading: one thread at a time; `open` takes about a second (the verifier).
#pragma once

#include <memory>

#include "host/kernel.h"
#include "host/switch/ring.h"
#include "host/switch/switch.h"

struct penstock_trace_bpf;

namespace penstock::host {

class TraceSwitch {
 public:
  enum class Kind {
    kDescribed,  // reads the switch's maps and writes only its own
    kLive,       // shares them all, to be attached in place of the switch's own programs
  };
  // Errors as those of Switch::open. The switch may go before it: maps are held by their fds.
  static Result<std::unique_ptr<TraceSwitch>> open(const Switch&, const Tunables&, Kind);
  ~TraceSwitch();
  TraceSwitch(const TraceSwitch&) = delete;
  TraceSwitch& operator=(const TraceSwitch&) = delete;

  // kDescribed. kInvalidArgument: the frame or the device is none that the kernel can run; flows
  // that are not of this build.
  Result<TraceRecord> run(const TraceRun&);

  // kLive.
  int program_fd(Program) const;
  Status watch_for(const ps_trace_order&);  // order 0: nothing more
  Result<std::unique_ptr<Ring>> open_records(std::function<void(const ps_trace&)>);

 private:
  TraceSwitch() = default;
  Status load(const Switch&, const Tunables&, Kind);
  Status replace_flows(std::span<const std::byte>);
  Result<std::vector<std::byte>> flows() const;

  penstock_trace_bpf* object_ = nullptr;
  std::optional<ps_trace> last_;
  // Of a described one: what is written there is read by nobody else, and must not fill up.
  std::unique_ptr<Ring> records_, punts_, events_;
};

ps_trace_order trace_order(const TraceFilter&, std::uint32_t order);

}  // namespace penstock::host
