// Few, fast, named probes of the deployment: is the server well, do the hosts hold what they
// should, does the underlay carry what networks will send. What is asked of hosts ends at
// probe_deadline_ms; a host that is silent is an answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/runtime.h"
#include "server/audit.h"
#include "server/engine.h"
#include "server/identity.h"
#include "server/sessions.h"

namespace penstock {

class Checks {
 public:
  using Done = std::move_only_function<void(Result<v1::CheckResponse>)>;

  // All of them must outlive it.
  Checks(Runtime&, Engine&, HostSessions&, Compiler&, const Audit&);
  ~Checks();

  // What is not an administrator's business is left out for others. kInvalidArgument: an unknown
  // name.
  void check(const Identity&, const v1::CheckRequest&, Done);
  void reported(const std::string& host, const v1::ProbeReport&);

  // Of where the store is; absent: the check is skipped.
  std::function<Result<DiskSpace>()> disk_space;

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  void server(Run&) const;
  void hosts(Run&) const;
  void flow_tables(Run&) const;
  void disk(Run&) const;
  void probe_underlay(const RunPtr&);
  void finish(const RunPtr&);

  Runtime& runtime_;
  Engine& engine_;
  HostSessions& sessions_;
  Compiler& compiler_;
  const Audit& audit_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, RunPtr> probing_;  // by the id of an order
};

}  // namespace penstock
