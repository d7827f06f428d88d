// What the server counts, as Prometheus reads it. The number of series is bounded: by kinds, drop
// reasons, methods and codes; never by hosts, VMs, flows or addresses.
#pragma once

#include <map>
#include <string>

#include "server/audit.h"
#include "server/engine.h"
#include "server/sessions.h"
#include "server/watches.h"

namespace penstock {

struct MetricsOf {
  const Engine& engine;
  const HostSessions& sessions;
  const Watches& watches;
  const Audit& audit;
  const std::string& version;
  // Answers by method and code.
  const std::map<std::pair<std::string, std::string>, std::int64_t, std::less<>>& answers;
  std::int64_t resident_bytes = 0;  // 0: not known
};

std::string server_metrics(const MetricsOf&);

}  // namespace penstock
