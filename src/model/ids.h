// Numbers of policies and groups, derived instead of stored: the same objects give the same numbers
// on every server and after every restart, and nothing has to be written when a tenant or a level
// comes. They are what items are keyed by, so two things that share one would be mixed up on the
// hosts.
//
// A policy's id is a 64-bit hash. 10,000 profiles of 4 levels for 1,000 tenants are 4e7 ids, of
// which some two share one with a probability of 5e-5 (n^2 / 2^65) over all hosts together; a host
// with 100,000 of them mixes two up with one of 3e-10.
//
// A group's id cannot be shared: its upper half is the tenant's tag, which admission keeps
// different between tenants (it draws another uid), its lower half the selector's number, which the
// server keeps different between the selectors of published profiles (Compiler::clash). That half
// is also what the switch knows the group by: a virtual network is of one tenant, and membership is
// kept by network, so tenants need not be told apart there.
#pragma once

#include <cstdint>
#include <string_view>

#include "net/switch_number.h"

namespace penstock {

// `tenant_uid` is empty when the policy is the same for all tenants. Its switch_number() is never
// 0.
std::uint64_t policy_id(std::string_view profile_uid, std::string_view level,
                        std::string_view tenant_uid);

std::uint32_t tenant_tag(std::string_view tenant_uid);
// Never 0.
std::uint32_t selector_number(std::string_view selector_text);
inline std::uint64_t group_id(std::string_view tenant_uid, std::string_view selector_text) {
  return std::uint64_t{tenant_tag(tenant_uid)} << 32 | selector_number(selector_text);
}

}  // namespace penstock
