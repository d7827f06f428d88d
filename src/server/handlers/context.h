// What handlers work with. Handlers are plain functions: a snapshot and a caller in, an answer or a
// plan out; the same ones behind gRPC, HTTP and the simulation.
#pragma once

#include <string>
#include <vector>

#include "model/admit.h"
#include "server/authorize.h"
#include "server/engine.h"
#include "server/journal.h"
#include "server/status.h"

namespace penstock {

struct ReadContext {
  const Snapshot& snapshot;
  const Identity& who;
  const StatusBook& status;
  const Journal& journal;
  const Tunables& tunables;
  WallTime now;
};

struct PlanContext {
  const Snapshot& snapshot;
  const Identity& who;
  Runtime& runtime;
  const StepKinds& step_kinds;
  Compiler& compiler;

  AdmitContext admit_context() const;
};

// What one item of a write request has come to; filled by the function that plans it, each time it
// is planned.
struct Write {
  ObjectKey key;
  MessagePtr before;   // as it was; nullptr: new
  MessagePtr object;   // as it is after the write; of a deletion: as it was
  std::string secret;  // of a new token; kept when the item is planned again
  v1::WriteOutcome::Change change = v1::WriteOutcome::UNCHANGED;
  std::vector<std::string> warnings;
  // What befell a request for approval by this write, as an event; empty: nothing.
  std::string_view news_reason;
  std::string news;
  std::vector<ObjectKey> deleted;
};

// {kind, tenant, name} of a request as a key. kInvalidArgument: no such kind, a tenant missing or
// too much.
Result<ObjectKey> parse_key(const std::string& kind, const std::string& tenant,
                            const std::string& name);

// The object with status, resource version, and without what this caller may not see.
v1::Object shown(const ReadContext&, const ObjectKey&, const Message&);

}  // namespace penstock
