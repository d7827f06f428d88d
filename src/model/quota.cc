#include "model/quota.h"

#include <fmt/format.h>

namespace penstock {
namespace {

// What an object counts as, and how many of it.
struct Amount {
  const google::protobuf::FieldDescriptor* field = nullptr;
  std::int64_t count = 0;
};

std::vector<Amount> amounts_of(const Message& object) {
  const auto field = [](const char* name) {
    return v1::Quota::descriptor()->FindFieldByName(name);
  };
  const auto* type = object.GetDescriptor();
  if (type == v1::VirtualMachine::descriptor())
    return {{field("vms"), 1},
            {field("nics"), static_cast<const v1::VirtualMachine&>(object).spec().nics_size()}};
  if (type == v1::VirtualNetwork::descriptor()) return {{field("networks"), 1}};
  if (type == v1::VmPool::descriptor()) return {{field("pools"), 1}};
  if (type == v1::Enablement::descriptor()) return {{field("enablements"), 1}};
  return {};
}

std::int64_t value_of(const v1::Quota& quota, const google::protobuf::FieldDescriptor* field) {
  return quota.GetReflection()->GetInt64(quota, field);
}

}  // namespace

v1::Quota usage_of(const Snapshot& snapshot, std::string_view tenant) {
  v1::Quota usage;
  const auto count = [&](const Kind& kind) {
    return static_cast<std::int64_t>(snapshot.count(kind, tenant));
  };
  usage.set_vms(count(kind_of<v1::VirtualMachine>()));
  usage.set_nics(static_cast<std::int64_t>(snapshot.nic_count(tenant)));
  usage.set_networks(count(kind_of<v1::VirtualNetwork>()));
  usage.set_pools(count(kind_of<v1::VmPool>()));
  usage.set_enablements(count(kind_of<v1::Enablement>()));
  return usage;
}

Status check_quota(const Snapshot& snapshot, const Message& object, const Message* existing) {
  auto amounts = amounts_of(object);
  if (amounts.empty()) return {};
  const auto& name = metadata_of(object).tenant();
  const auto tenant = snapshot.find<v1::Tenant>(name);
  if (!tenant || !tenant->spec().has_quota()) return {};
  if (existing)
    for (const auto& had : amounts_of(*existing))
      for (auto& amount : amounts)
        if (amount.field == had.field) amount.count -= had.count;
  const auto usage = usage_of(snapshot, name);
  for (const auto& [field, more] : amounts) {
    const auto allowed = value_of(tenant->spec().quota(), field), used = value_of(usage, field);
    if (more <= 0 || allowed == 0 || used + more <= allowed) continue;
    return fail(Code::kResourceExhausted,
                fmt::format("the quota of tenant {} is {} {}: {} in use, {} more wanted", name,
                            allowed, field->name(), used, more),
                "delete what is not needed, or ask an administrator for a larger quota");
  }
  return {};
}

std::vector<std::string> quota_warnings(const Snapshot& snapshot, const v1::Tenant& tenant) {
  std::vector<std::string> out;
  const auto usage = usage_of(snapshot, tenant.metadata().name());
  const auto* type = v1::Quota::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto allowed = value_of(tenant.spec().quota(), type->field(i));
    const auto used = value_of(usage, type->field(i));
    if (allowed > 0 && used > allowed)
      out.push_back(
          fmt::format("spec.quota.{} is {}, and {} are in use: they stay, and none can "
                      "be added",
                      type->field(i)->name(), allowed, used));
  }
  return out;
}

}  // namespace penstock
