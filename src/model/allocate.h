// What the server fills in: names, defaults, numbers, addresses, places. Private to admission.
#pragma once

#include "model/admit.h"

namespace penstock {

// Whether the VM may be stopped or deleted: not while it is between two hosts, where either might
// have it.
Status may_end(const v1::VirtualMachine&);

// An enablement without a name gets one made of profile and target: the same request twice is the
// same object.
void name_if_nameless(Message& object);
// Takes over what the server gave the object before and the proposal leaves open.
void inherit(Message& object, const Message& existing);
// Defaults that the rules look at: level, insertion point, owner.
void fill_defaults(Message& object, const Snapshot&, const AdmitContext&, bool exists);
void set_time(google::protobuf::Timestamp&, WallTime);
// Numbers, addresses and places, once everything else is known to be right. Moved counters go to
// `out.edits`.
Status allocate(Message& object, const Message* existing, const Snapshot&, const AdmitContext&,
                Admission& out);

}  // namespace penstock
