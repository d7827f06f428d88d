#include "server/handlers/context.h"

namespace penstock {

AdmitContext PlanContext::admit_context() const {
  AdmitContext context;
  context.user = who.name;
  context.user_groups = who.groups;
  context.user_is_administrator = who.administrator();
  context.random = [this] { return runtime.random(); };
  context.now = runtime.wall();
  context.step_kinds = &step_kinds;
  context.sees = [this](const v1::VirtualMachine& vm) {
    return may_read(snapshot, who, key_of(vm), &vm);
  };
  return context;
}

Result<ObjectKey> parse_key(const std::string& kind, const std::string& tenant,
                            const std::string& name) {
  if (kind.empty()) return fail_field("kind", "a kind is needed", "for example \"VirtualMachine\"");
  const auto* found = PENSTOCK_TRY(find_kind(kind));
  if (name.empty()) return fail_field("name", "a name is needed");
  if (found->tenant_scoped && tenant.empty())
    return fail_field("tenant", fmt::format("a {} belongs to a tenant; none is given", found->name),
                      "name one: --tenant NAME");
  return ObjectKey{found, found->tenant_scoped ? tenant : "", name};
}

v1::Object shown(const ReadContext& context, const ObjectKey& key, const Message& object) {
  auto wrapped = wrap(object);
  auto& inside = const_cast<Message&>(*unwrap(wrapped));
  context.status.fill(context.snapshot, key, inside);
  redact(context.who, inside);
  // The hash of a secret is nobody's business either; JSON would leave it out, gRPC would not.
  if (auto* token = dynamic_cast<v1::Token*>(&inside)) token->mutable_spec()->clear_sha256();
  return wrapped;
}

}  // namespace penstock
