// Who may do what: one default-deny function in front of every handler. What is not allowed here is
// not allowed.
//
//   administrator          everything
//   tenant administrator   networks, VMs, pools, enablements of the tenant
//   VM owner               sees own VMs, their flows, own pools, the tenant's networks and catalog;
//   enables and
//                          disables on VMs, pools and networks it owns, and on pools that name only
//                          VMs it owns. What has no owner is the tenant administrators'.
//   vendor                 definitions of its vendor name
//   every user             sees itself, its groups and what the audit log says of its own doings;
//   makes and
//                          deletes tokens of its own
//   host                   nothing but its session
//
// To those who may not see an object it looks exactly like one that does not exist.
#pragma once

#include "base/error.h"
#include "model/snapshot.h"
#include "server/identity.h"

namespace penstock {

enum class Action { kRead, kCreate, kUpdate, kDelete };

// `object`: for kCreate the proposed one, otherwise the existing one; an update asks twice, for the
// existing and for the proposed one. nullptr (there is none): only what the key says counts.
// kNotFound: the caller may not see it; kPermissionDenied: may see it, but not do this.
Status authorize(const Snapshot&, const Identity&, Action, const ObjectKey&, const Message* object);

inline bool may_read(const Snapshot& snapshot, const Identity& who, const ObjectKey& key,
                     const Message* object) {
  return authorize(snapshot, who, Action::kRead, key, object).has_value();
}

// The tenant's catalog, and enabling in it at all.
Status authorize_tenant(const Identity&, std::string_view tenant);
// A host session under this name.
Status authorize_session(const Identity&, std::string_view host);

// The one answer for "not there" and "not yours to know".
std::unexpected<Error> not_found(const ObjectKey&);

// Takes out what the caller may see the object without: hosts, for everyone but administrators
// (docs: tenants never learn where things run).
void redact(const Identity&, Message& object);

}  // namespace penstock
