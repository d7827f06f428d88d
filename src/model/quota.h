// How much a tenant has, and may have.
#pragma once

#include <string>
#include <vector>

#include "model/snapshot.h"

namespace penstock {

// O(log n) each: counted by the indexes.
v1::Quota usage_of(const Snapshot&, std::string_view tenant);

// kResourceExhausted with what is used and allowed, when storing the object would take more than
// the tenant may have. What there is already may always be changed.
Status check_quota(const Snapshot&, const Message& object, const Message* existing);

// "quota.vms is 3, and the tenant has 5": nothing is taken away, nothing can be added.
std::vector<std::string> quota_warnings(const Snapshot&, const v1::Tenant&);

}  // namespace penstock
