// One filter rule, checked and parsed.
#pragma once

#include <string>

#include "model/problems.h"
#include "penstock/v1/filter.pb.h"
#include "penstock/v1/host.pb.h"

namespace penstock {

inline constexpr int kFilterRulesMost = 16'384;
inline constexpr int kFilterPeersMost = 4'096;  // of one rule and side

// Everything but the peers, which need a tenant. Strings that hold placeholders are passed over, so
// that a definition can be checked before it has values. What cannot be parsed is a problem and is
// left out.
v1::ResolvedRule read_rule(const v1::FilterRule&, int index, Problems&, const std::string& path);
// The list as a whole: number, names twice.
void check_rules(const v1::FilterConfig&, Problems&, const std::string& path);
// "deny tcp from any to 10.0.0.0/8 ports 22 out, log", for people.
std::string describe_rule(const v1::FilterRule&);

}  // namespace penstock
