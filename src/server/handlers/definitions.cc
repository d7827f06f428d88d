#include "server/handlers/definitions.h"

#include "server/handlers/resources.h"

namespace penstock {
namespace {

Result<v1::ServiceDefinition> definition_to_change(const PlanContext& context,
                                                   const std::string& name, Write& write) {
  const auto key = PENSTOCK_TRY(parse_key("ServiceDefinition", "", name));
  write.key = key;
  const auto existing = context.snapshot.find<v1::ServiceDefinition>(name);
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, existing.get()));
  if (!existing) return not_found(key);
  auto definition = *existing;
  definition.mutable_metadata()->clear_resource_version();
  return definition;
}

}  // namespace

Result<Planned> plan_add_to_draft(const PlanContext& context, const v1::AddToDraftRequest& request,
                                  Write& write) {
  auto definition = PENSTOCK_TRY(definition_to_change(context, request.name(), write));
  if (!definition.spec().draft())
    return fail(Code::kFailedPrecondition,
                fmt::format("definition {} is submitted, not a draft", request.name()),
                "put a new version as a draft");
  definition.mutable_spec()->MergeFrom(request.part());
  definition.mutable_spec()->set_draft(true);
  return plan_put(context, definition, false, write);
}

Result<Planned> plan_submit(const PlanContext& context, const v1::SubmitDefinitionRequest& request,
                            Write& write) {
  auto definition = PENSTOCK_TRY(definition_to_change(context, request.name(), write));
  definition.mutable_spec()->set_draft(false);
  return plan_put(context, definition, false, write);
}

}  // namespace penstock
