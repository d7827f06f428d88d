// Services that are asked for first. An enablement that waits for a decision, or was refused, is
// stored and does nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/admit.h"

namespace penstock {

// Reasons of the condition Ready of an enablement that is not in force.
inline constexpr std::string_view kAwaitingApproval = "AwaitingApproval";
inline constexpr std::string_view kRefused = "Refused";

// Whether the enablement is to be carried out: nothing was asked, or it was granted.
bool in_force(const v1::Enablement&);
// Users of these groups grant and refuse what is asked of the profile. Administrators always may.
bool may_decide(const v1::ServiceProfile&, const std::vector<std::string>& user_groups);

// What becomes of the approval when the proposal is stored: it has inherited what was. Whoever may
// decide does not ask. A new use asks, another level is one too, and so does enabling again what
// was refused; enabling by somebody who may decide grants.
void settle_approval(v1::Enablement&, const v1::Enablement* before, const v1::ServiceProfile&,
                     const AdmitContext&);

}  // namespace penstock
