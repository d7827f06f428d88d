// The objects of a topology judged before anything is started, by the very rules of the server: an
// inventory is made in memory, and object after object admitted to it.
#pragma once

#include "lab/objects.h"
#include "lab/topology.h"

namespace penstock::lab {

// What is wrong with an object, with its places; never empty for an error.
std::vector<ErrorDetail> placed(const Wanted&, const Error&);

// kInvalidArgument with every problem of every object; errors that only follow from an object that
// was refused are left out.
Status check_objects(const Topology&);

}  // namespace penstock::lab
