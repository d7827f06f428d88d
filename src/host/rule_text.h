// A resolved rule in one short line, as people say it: "deny tcp dport 22". Pure.
#pragma once

#include <string>

#include "host/intent.h"

namespace penstock::host {

std::string rule_text(const v1::ResolvedRule&, const Intent&);
std::string action_text(v1::FilterAction);  // "allow", "deny", "reject"

}  // namespace penstock::host
