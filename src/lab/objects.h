// The Penstock objects of a topology: the hosts themselves, those of its short form of tenants,
// those written out and those of its object files. All but the hosts know the place they were
// written at.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/documents.h"
#include "cli/json.h"

namespace penstock::lab {

struct Topology;

struct FileObject {
  cli::Json object;
  std::string path;  // in the file: "tenants[0].vms[1]", "objects[2]"
};
// In the order of the file: tenants with their networks and VMs, then `objects`.
std::vector<FileObject> objects_of(const cli::Json& file);

// Their clusters first.
std::vector<cli::Json> host_objects(const Topology&);

struct Wanted {
  cli::Json object;
  // What is wrong with the object, with "file:line:column  Kind/name  field" as its field.
  std::function<ErrorDetail(const ErrorDetail&)> placed;
};
std::vector<Wanted> wanted_of(const cli::Documents&);
// What the lab starts with, in the order in which the server gets it; the topology must outlive it.
// Errors: an object file that cannot be read.
Result<std::vector<Wanted>> wanted_objects(const Topology&);

}  // namespace penstock::lab
