#include "model/mandatory.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "model/availability.h"

namespace penstock {
namespace {

std::unexpected<Error> stays(const v1::Enablement& enablement, std::string_view what) {
  return fail(Code::kPermissionDenied,
              fmt::format("{} is mandatory (enablement {}/{}): {}", enablement.spec().profile(),
                          enablement.metadata().tenant(), enablement.metadata().name(), what),
              "only an administrator of the deployment can take it off");
}

std::shared_ptr<const v1::Enablement> mandatory_among(const Snapshot& snapshot,
                                                      const std::string& tenant,
                                                      const std::vector<std::string>& names) {
  for (const auto& name : names)
    if (auto e = snapshot.find<v1::Enablement>(tenant, name); e->spec().mandatory()) return e;
  return nullptr;
}

Status check_vm(const Snapshot& snapshot, const v1::VirtualMachine& before,
                const v1::VirtualMachine& after) {
  const auto& tenant = before.metadata().tenant();
  const auto& name = before.metadata().name();
  for (const auto& nic : before.spec().nics()) {
    if (std::ranges::find(after.spec().nics(), nic.name(), &v1::Nic::name) !=
        after.spec().nics().end())
      continue;
    if (const auto e = mandatory_among(snapshot, tenant,
                                       snapshot.enablements_on_nic(tenant, name, nic.name())))
      return stays(*e, fmt::format("NIC {} of VM {} cannot be removed", nic.name(), name));
  }
  for (const auto& pool : snapshot.pools_enabled(tenant)) {
    const auto object = snapshot.find<v1::VmPool>(tenant, pool);
    if (!object || !object->spec().has_selector()) continue;
    const auto& selector = object->spec().selector();
    if (!matches(selector, before.metadata().labels()) ||
        matches(selector, after.metadata().labels()) ||
        std::ranges::find(object->spec().vms(), name) != object->spec().vms().end())
      continue;
    if (const auto e =
            mandatory_among(snapshot, tenant, snapshot.enablements_on_pool(tenant, pool)))
      return stays(*e, fmt::format("VM {} cannot leave pool {}", name, pool));
  }
  return {};
}

Status check_pool(const Snapshot& snapshot, const v1::VmPool& before, const v1::VmPool& after) {
  const auto& tenant = before.metadata().tenant();
  const auto& name = before.metadata().name();
  const auto e = mandatory_among(snapshot, tenant, snapshot.enablements_on_pool(tenant, name));
  if (!e) return {};
  const auto changed = snapshot.with(std::vector{Edit::put(std::make_shared<v1::VmPool>(after))},
                                     snapshot.revision() + 1);
  const auto left = changed.vms_of_pool(tenant, name);
  for (const auto& vm : snapshot.vms_of_pool(tenant, name))
    if (!std::ranges::binary_search(left, vm))
      return stays(*e, fmt::format("VM {} cannot leave pool {}", vm, name));
  return {};
}

}  // namespace

Status check_mandatory_stays(const Snapshot& snapshot, const Message& before,
                             const Message& after) {
  if (const auto* vm = dynamic_cast<const v1::VirtualMachine*>(&before))
    return check_vm(snapshot, *vm, static_cast<const v1::VirtualMachine&>(after));
  if (const auto* pool = dynamic_cast<const v1::VmPool*>(&before))
    return check_pool(snapshot, *pool, static_cast<const v1::VmPool&>(after));
  return {};
}

Status check_mandatory_stays(const Snapshot& snapshot, std::span<const Edit> deletion) {
  std::set<ObjectKey> gone;
  for (const auto& edit : deletion)
    if (edit.is_erase()) gone.insert(edit.key);
  for (const auto& key : gone) {
    if (key.kind != &kind_of<v1::Enablement>()) continue;
    const auto e = snapshot.find<v1::Enablement>(key.tenant, key.name);
    if (!e || !e->spec().mandatory()) continue;
    const auto& spec = e->spec();
    const auto vms = covered_vms(snapshot, *e);
    const bool vms_go = std::ranges::all_of(vms, [&](const auto& vm) {
      return gone.contains(ObjectKey::of<v1::VirtualMachine>(key.tenant, vm));
    });
    const bool with_target =
        spec.has_network()
            ? gone.contains(ObjectKey::of<v1::VirtualNetwork>(key.tenant, spec.network()))
        : spec.has_pool()
            ? vms_go && gone.contains(ObjectKey::of<v1::VmPool>(key.tenant, spec.pool()))
            : vms_go && !vms.empty();
    if (!with_target) return stays(*e, "it cannot be switched off");
  }
  return {};
}

}  // namespace penstock
