// Traces: a packet's way over the hosts, piece by piece. Each host runs its own programs
// (host/tracer.h) and says what they did and where the packet goes; here the pieces are put
// together, the answer's way is asked for the other way round, and what the caller may not see is
// taken out. A host that is away or silent makes a partial trace, not an error.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/runtime.h"
#include "server/engine.h"
#include "server/identity.h"
#include "server/sessions.h"

namespace penstock {

class Traces {
 public:
  using Done = std::move_only_function<void(Result<v1::Trace>)>;

  // All of them must outlive it.
  Traces(Runtime&, Engine&, HostSessions&);
  ~Traces();

  // kNotFound: no such VM, NIC or destination that the caller may see. kFailedPrecondition: the VM
  // does not run. kInvalidArgument: the packet cannot be; some of that only a host says.
  // kResourceExhausted: too many at once.
  void trace(const Identity&, const v1::TraceRequest&, Done);
  void reported(const std::string& host, const v1::TraceReport&);

 private:
  struct Walk;  // src/server/trace_walk.h
  using WalkPtr = std::shared_ptr<Walk>;
  enum class Phase { kForward, kReply, kAnswer };

  Result<WalkPtr> plan(const Identity&, const v1::TraceRequest&) const;
  void start_at(const WalkPtr&, const std::string& host, std::uint64_t port_id,
                const v1::TracedPacket&);
  void give(const WalkPtr&, const std::string& host, v1::TraceOrder);
  // live
  void begin_live(const WalkPtr&);
  void live_reported(const WalkPtr&, const std::string& host, const v1::TraceReport&);
  void live_over(const WalkPtr&);
  void end_live(const WalkPtr&);
  // One way, from what its two hosts saw.
  void put_together(const WalkPtr&, const std::string& from, const v1::TraceReport* there,
                    const std::string& to, const v1::TraceReport* here);
  static void settle(const WalkPtr&, const std::string& host, const v1::TraceReport&);
  static void add_stuck(const WalkPtr&, v1::TraceDisposition, const std::string& host,
                        std::string code, std::string why);

  static std::string tunnel_end(const Walk&, const std::string& host);
  void note_revision(const WalkPtr&, const std::string& host, const v1::TraceReport&);
  void went_on(const WalkPtr&, const std::string& from_host, const v1::TraceReport&);
  void way_over(const WalkPtr&, const std::string& host, const v1::TraceReport&);
  void after_forward(const WalkPtr&, const std::string& host, const v1::TraceReport&);
  void stuck(const WalkPtr&, v1::TraceDisposition, const std::string& host, std::string why);
  void finish(const WalkPtr&);

  Runtime& runtime_;
  Engine& engine_;
  HostSessions& sessions_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, WalkPtr> open_;
};

}  // namespace penstock
