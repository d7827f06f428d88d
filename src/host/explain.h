// What the agent knows of itself, as JSON for people and tests: desired, observed, difference,
// waiting for. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "host/agent.h"

namespace penstock::host {

// {"host", "position": {...}, "connected", "lastError", "holding", "items": n, "notReady": [...],
//  "arena": {"linesHeld", "linesReleased", "lines"}, "ports": n}
nlohmann::ordered_json status(const Agent&);

// One item by its key without the leading number: "port/5", "policy/3", "vm/acme/web-1",
// "nbr/7/90", ...
// {"key", "desired": the item or null, "observed": ..., "difference": [...], "waitingFor": text or
// null}. For a port, observed is {"slot", "ifindex", "live", "out": {"generation", "steps": [...]},
// "in": ...}. kNotFound: neither wanted nor there.
Result<nlohmann::ordered_json> explain(const Agent&, Kernel&, std::string_view item);

// One request of the control socket: {"status": {}} or {"explain": "port/5"}. The answer is one
// object; an error is
// {"error": {"code", "message"}}.
nlohmann::ordered_json answer(const Agent&, Kernel&, std::string_view request);

}  // namespace penstock::host
