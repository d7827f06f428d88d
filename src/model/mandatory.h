// Services that administrators of the deployment made mandatory: nothing the tenant does to what it
// owns may take them off a VM that stays.
#pragma once

#include <span>

#include "model/admit.h"

namespace penstock {

// Of a VM that loses a NIC or a label, or a pool that loses a VM. kPermissionDenied names the
// service. O(what the VM or pool has enabled on it).
Status check_mandatory_stays(const Snapshot&, const Message& before, const Message& after);
// Of a deletion: an enablement may go with the VM or network it is on, not by itself and not with
// its pool while VMs of it stay.
Status check_mandatory_stays(const Snapshot&, std::span<const Edit> deletion);

}  // namespace penstock
