// What happens to an object between "somebody sent it" and "it is in the store": rules checked,
// defaults filled, numbers and places given out. Pure: the same snapshot, proposal and context give
// the same answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/runtime.h"
#include "model/snapshot.h"
#include "model/step_kind.h"

namespace penstock {

struct AdmitContext {
  std::string user;                       // becomes the owner of what has owners
  std::vector<std::string> user_groups;   // for availability "groups"
  bool user_is_administrator = false;     // may enable what is made available to others only
  std::function<std::uint64_t()> random;  // for uids
  WallTime now;
  const StepKinds* step_kinds = nullptr;
  // Whether the user may hear of the VM; unset: administrators only.
  std::function<bool(const v1::VirtualMachine&)> sees;
  // What an enablement is put for, beyond what it says: whether a request for approval is made or
  // answered.
  enum class Purpose : std::uint8_t { kPut, kEnable, kGrant, kRefuse } purpose = Purpose::kPut;
  std::string reason;        // of kGrant and kRefuse, in the words of whoever decides
  std::string token_sha256;  // of the secret made for a new Token, in hex
};

struct Admission {
  MessagePtr object;  // as it will be stored; on `!changed` the existing one
  bool created = false;
  bool changed = false;               // false: what was proposed is there already
  std::vector<Edit> edits;            // the object, and counters it moved; empty when !changed
  std::vector<std::string> warnings;  // "subnet 10.0.1.0/24 has 3 addresses left"
};

// Errors: kInvalidArgument with all that is wrong; kConflict when metadata.resource_version is
// stale; kFailedPrecondition when the state forbids it (not published, not available);
// kResourceExhausted (no free address, VNI); kUnimplemented (publishing a mode that this build has
// no step kind for).
Result<Admission> admit(const Snapshot&, const Message& proposed, const AdmitContext&);

// One use of an object by another.
struct Use {
  ObjectKey by;
  std::string field;     // "spec.nics[0].network"
  bool cascades = true;  // false: a cascading delete does not remove it but is refused
};
// Who uses the object, sorted. Empty: it may be deleted.
std::vector<Use> references_to(const Snapshot&, const ObjectKey&);

// The edits that delete the object. In use and !cascade: kFailedPrecondition, one detail a use.
// With cascade: dependents first; pools that name a deleted VM are put without it.
Result<std::vector<Edit>> deletion(const Snapshot&, const ObjectKey&, bool cascade);

// The enablement that switches this profile on for this target already (any level); nullptr: none.
std::shared_ptr<const v1::Enablement> find_enablement(const Snapshot&, const v1::Enablement& like);

}  // namespace penstock
