#include "server/authorize.h"

#include <algorithm>

#include <fmt/format.h>

#include "model/approval.h"

namespace penstock {
namespace {

template <typename T>
bool is(const ObjectKey& key) {
  return key.kind == &kind_of<T>();
}

template <typename T>
const T* as(const Message* object) {
  return object && object->GetDescriptor() == T::descriptor() ? static_cast<const T*>(object)
                                                              : nullptr;
}

bool owns_vm(const Snapshot& snapshot, const Identity& who, std::string_view tenant,
             std::string_view vm) {
  const auto found = snapshot.find<v1::VirtualMachine>(tenant, vm);
  return found && who.owns(found->spec().owner());
}

// Owners of VMs act on those, and on pools that name nothing but VMs of theirs. A pool with a
// selector may hold VMs of others tomorrow, and so may a network: only who was made their owner
// acts on these, and with that on every VM in them.
bool owns_target(const Snapshot& snapshot, const Identity& who, std::string_view tenant,
                 const v1::EnablementSpec& spec) {
  switch (spec.target_case()) {
    case v1::EnablementSpec::kVm:
      return owns_vm(snapshot, who, tenant, spec.vm());
    case v1::EnablementSpec::kNic:
      return owns_vm(snapshot, who, tenant, spec.nic().vm());
    case v1::EnablementSpec::kPool: {
      const auto pool = snapshot.find<v1::VmPool>(tenant, spec.pool());
      if (pool && who.owns(pool->spec().owner())) return true;
      return pool && !pool->spec().has_selector() && pool->spec().vms_size() > 0 &&
             std::ranges::all_of(pool->spec().vms(), [&](const auto& vm) {
               return owns_vm(snapshot, who, tenant, vm);
             });
    }
    case v1::EnablementSpec::kNetwork: {
      const auto network = snapshot.find<v1::VirtualNetwork>(tenant, spec.network());
      return network && who.owns(network->spec().owner());
    }
    case v1::EnablementSpec::TARGET_NOT_SET:
      break;
  }
  return false;
}

bool sees_event(const Snapshot& snapshot, const Identity& who, const v1::Event& event) {
  const auto kind = find_kind(event.object().kind());
  if (!kind || *kind == &kind_of<v1::Event>()) return false;
  const ObjectKey about{*kind, event.object().tenant(), event.object().name()};
  const auto object = snapshot.find(about);
  if (!object) return about.kind->tenant_scoped && who.tenant_administrator(about.tenant);
  return may_read(snapshot, who, about, object.get());
}

// Administrators of a tenant: what was done to its objects and to itself, by whomever.
bool sees_audit(const Identity& who, const v1::AuditRecord& record) {
  const auto& object = record.object();
  // A login that was refused is of nobody, whatever name it goes by.
  if (record.user() == who.name && record.action() != "login") return true;
  if (object.kind() == kind_of<v1::Tenant>().name) return who.tenant_administrator(object.name());
  return who.tenant_administrator(object.tenant());
}

bool sees(const Snapshot& snapshot, const Identity& who, const ObjectKey& key,
          const Message* object) {
  if (is<v1::Tenant>(key)) return who.in_tenant(key.name);
  if (is<v1::User>(key)) return key.name == who.name;
  if (is<v1::Group>(key)) return std::ranges::find(who.groups, key.name) != who.groups.end();
  if (const auto* token = as<v1::Token>(object)) return token->spec().user() == who.name;
  if (const auto* definition = as<v1::ServiceDefinition>(object))
    return who.vendor(definition->spec().vendor());
  if (const auto* event = as<v1::Event>(object)) return sees_event(snapshot, who, *event);
  if (const auto* record = as<v1::AuditRecord>(object)) return sees_audit(who, *record);
  if (is<v1::CatalogEntry>(key)) return true;  // filtered by availability
  if (!key.kind->tenant_scoped) return false;
  if (who.tenant_administrator(key.tenant)) return true;
  // Who decides whether it may be on sees what is asked, in whatever tenant.
  if (const auto* enablement = as<v1::Enablement>(object))
    if (const auto profile = snapshot.find<v1::ServiceProfile>(enablement->spec().profile());
        profile && may_decide(*profile, who.groups))
      return true;
  if (!who.vm_owner_role(key.tenant)) return false;
  if (is<v1::VirtualNetwork>(key)) return true;
  if (const auto* vm = as<v1::VirtualMachine>(object)) return who.owns(vm->spec().owner());
  if (const auto* pool = as<v1::VmPool>(object)) {
    v1::EnablementSpec target;
    target.set_pool(pool->metadata().name());
    return owns_target(snapshot, who, key.tenant, target);
  }
  if (const auto* flow = as<v1::FlowRecord>(object))
    return owns_vm(snapshot, who, key.tenant, flow->vm());
  if (const auto* enablement = as<v1::Enablement>(object)) {
    const auto& spec = enablement->spec();
    // Of a pool or network it says nothing that the owner of a VM in it would not see on the VM.
    return spec.has_pool() || spec.has_network() || owns_target(snapshot, who, key.tenant, spec);
  }
  return false;
}

bool changes(const Snapshot& snapshot, const Identity& who, Action action, const ObjectKey& key,
             const Message* object) {
  if (const auto* definition = as<v1::ServiceDefinition>(object))
    return who.vendor(definition->spec().vendor());
  if (const auto* token = as<v1::Token>(object))
    return action != Action::kUpdate && token->spec().host().empty() &&
           token->spec().user() == who.name;
  const bool tenants_own = is<v1::VirtualNetwork>(key) || is<v1::VirtualMachine>(key) ||
                           is<v1::VmPool>(key) || is<v1::Enablement>(key);
  if (!tenants_own) return false;
  if (who.tenant_administrator(key.tenant)) return true;
  const auto* enablement = as<v1::Enablement>(object);
  return enablement && who.vm_owner_role(key.tenant) &&
         owns_target(snapshot, who, key.tenant, enablement->spec());
}

}  // namespace

std::unexpected<Error> not_found(const ObjectKey& key) {
  return fail(Code::kNotFound, key.describe() + " does not exist",
              fmt::format("see what there is: penstock get {}", key.kind->plural));
}

Status authorize(const Snapshot& snapshot, const Identity& who, Action action, const ObjectKey& key,
                 const Message* object) {
  if (who.kind == Identity::Kind::kHost)
    return fail(Code::kPermissionDenied, "a host's token is good for its session only");
  if (who.administrator()) return {};
  const bool seen = action == Action::kCreate
                        ? !key.kind->tenant_scoped || who.in_tenant(key.tenant)
                        : sees(snapshot, who, key, object);
  if (!seen) {
    if (action == Action::kCreate) return not_found(ObjectKey::of<v1::Tenant>("", key.tenant));
    return not_found(key);
  }
  if (action == Action::kRead || changes(snapshot, who, action, key, object)) return {};
  const auto* verb = action == Action::kCreate   ? "create"
                     : action == Action::kUpdate ? "change"
                                                 : "delete";
  return fail(Code::kPermissionDenied,
              fmt::format("user {} may not {} {}", who.name, verb, key.describe()),
              "see your roles: penstock auth whoami");
}

Status authorize_tenant(const Identity& who, std::string_view tenant) {
  if (who.kind == Identity::Kind::kUser && who.in_tenant(tenant)) return {};
  return not_found(ObjectKey::of<v1::Tenant>("", tenant));
}

Status authorize_session(const Identity& who, std::string_view host) {
  if (who.kind == Identity::Kind::kHost && who.name == host) return {};
  return fail(Code::kPermissionDenied, fmt::format("the token is not one of host {}", host),
              "make one: a Token with spec.host");
}

void redact(const Identity& who, Message& object) {
  if (who.administrator()) return;
  auto hide = [](v1::Rollout& rollout) {
    for (auto& waiting : *rollout.mutable_waiting()) {
      waiting.clear_host();
      waiting.clear_applied_revision();
      waiting.clear_message();
    }
  };
  auto hide_reasons = [](auto& conditions) {
    for (auto& condition : conditions)
      if (condition.status() != v1::Condition::TRUE) condition.clear_message();
  };
  if (auto* vm = dynamic_cast<v1::VirtualMachine*>(&object)) {
    auto& status = *vm->mutable_status();
    status.clear_host();
    if (status.has_move()) {
      status.mutable_move()->clear_to();
      status.mutable_move()->clear_message();
    }
    if (status.has_rollout()) hide(*status.mutable_rollout());
    hide_reasons(*status.mutable_conditions());
    for (auto& step : *status.mutable_steps()) step.clear_message();
  } else if (auto* network = dynamic_cast<v1::VirtualNetwork*>(&object)) {
    auto& status = *network->mutable_status();
    if (status.has_rollout()) hide(*status.mutable_rollout());
    hide_reasons(*status.mutable_conditions());
  } else if (auto* flow = dynamic_cast<v1::FlowRecord*>(&object)) {
    flow->clear_host();
  } else if (auto* record = dynamic_cast<v1::AuditRecord*>(&object)) {
    // What was answered to others may name what only they may know; where they sit is theirs.
    if (record->user() == who.name) return;
    record->clear_client();
    record->clear_message();
    record->clear_request_id();
  } else if (auto* enablement = dynamic_cast<v1::Enablement*>(&object)) {
    auto& status = *enablement->mutable_status();
    if (status.has_rollout()) hide(*status.mutable_rollout());
    const auto& tenant = enablement->metadata().tenant();
    const bool single = enablement->spec().has_vm() || enablement->spec().has_nic();
    for (auto& condition : *status.mutable_conditions()) {
      if (condition.status() == v1::Condition::TRUE || condition.reason() == kAwaitingApproval ||
          condition.reason() == kRefused)
        continue;
      // It names a VM of the target: the owner of one need not know the others.
      if (condition.type() == "Available" && (single || who.tenant_administrator(tenant))) continue;
      condition.clear_message();
    }
  }
}

}  // namespace penstock
