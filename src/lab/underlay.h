// The physical side of a lab: a namespace `fabric` with one bridge a physical network, a namespace
// `router` that joins them, and one namespace a node with its `eth0` on its network.
#pragma once

#include "base/error.h"
#include "lab/folder.h"
#include "lab/topology.h"

namespace penstock::lab {

Status build_underlay(const Folder&, const Topology&);

}  // namespace penstock::lab
