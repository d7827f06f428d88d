// The physical side of a lab: a namespace `fabric` with one bridge a physical network, and one
// namespace a node, with its interfaces plugged into those bridges.
#pragma once

#include "base/error.h"
#include "lab/folder.h"
#include "lab/topology.h"

namespace penstock::lab {

// The namespace with the bridges, and all ends of links that are not in a node.
inline constexpr const char* kFabric = "fabric";

Status build_underlay(const Folder&, const Topology&);

}  // namespace penstock::lab
