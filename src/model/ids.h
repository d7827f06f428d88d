// Numbers of policies and groups, derived instead of stored: the same objects give the same numbers
// on every server and after every restart, and nothing has to be written when a tenant or a level
// comes.
//
// They are 32-bit hashes over uids, which the server chooses. So a new tenant or profile whose
// policies would meet a number in use is given another uid at admission (admit.cc): policy numbers
// are unique in the deployment. Numbers of groups are not compared; two groups of one host meet
// with a probability of n^2 / 2^33.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock {

// `tenant_uid` is empty when the policy is the same for all tenants. Never 0.
std::uint32_t policy_id(std::string_view profile_uid, std::string_view level,
                        std::string_view tenant_uid);
std::uint32_t group_id(std::string_view tenant_uid, std::string_view selector_text);

}  // namespace penstock
