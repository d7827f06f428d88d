// What the host agent counts, as Prometheus reads it. Bounded: by drop reasons and counters of the
// switch; never by ports, VMs, flows or addresses.
#pragma once

#include <string>

#include "host/agent.h"
#include "host/kernel.h"

namespace penstock::host {

// `events`: by enum ps_counter; `resident_bytes` 0: not known.
std::string host_metrics(const Agent&, Kernel&, const Tunables&,
                         const std::vector<std::uint64_t>& events, std::int64_t resident_bytes);

}  // namespace penstock::host
