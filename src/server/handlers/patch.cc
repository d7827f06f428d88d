#include "server/handlers/patch.h"

#include "model/json.h"
#include "model/json_names.h"
#include "server/handlers/resources.h"

namespace penstock {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Fields have two spellings; merged, both would stand in the object side by side.
Status spell_as_encoded(Json& tree, const Descriptor* type, const std::string& path) {
  if (!tree.is_object()) return {};
  Json out = Json::object();
  for (auto& [name, value] : tree.items()) {
    const auto* field = field_named(type, name);
    const auto& spelling = field ? field->json_name() : name;
    if (out.contains(spelling))
      return fail_field(field_path(path, name), "is given twice, in two spellings");
    if (field && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated() &&
        field->message_type()->file()->package() != "google.protobuf")
      PENSTOCK_CHECK(spell_as_encoded(value, field->message_type(), field_path(path, spelling)));
    out[spelling] = std::move(value);
  }
  tree = std::move(out);
  return {};
}

}  // namespace

Result<Planned> plan_patch(const PlanContext& context, const v1::PatchRequest& request,
                           Write& write) {
  const auto key = PENSTOCK_TRY(parse_key(request.kind(), request.tenant(), request.name()));
  if (key.kind->read_only)
    return fail(Code::kInvalidArgument, fmt::format("a {} is made by the server and cannot be "
                                                    "written",
                                                    key.kind->name));
  write.key = key;
  const auto existing = context.snapshot.find(key);
  PENSTOCK_CHECK(authorize(context.snapshot, context.who, Action::kRead, key, existing.get()));
  if (!existing) return not_found(key);
  auto patch = PENSTOCK_TRY(parse_json(request.patch()));
  if (!patch.is_object())
    return fail_field("patch", "a merge patch is a JSON object",
                      R"({"metadata": {"labels": {"role": "db"}}})");
  PENSTOCK_CHECK(spell_as_encoded(patch, key.kind->descriptor, ""));
  auto merged = encode(*existing);
  merged.merge_patch(patch);
  const auto object = PENSTOCK_TRY(decode_object(merged, key.kind));
  const auto& metadata = metadata_of(*object);
  if (metadata.name() != key.name)
    return fail_field("metadata.name", fmt::format("may not change (it is \"{}\")", key.name));
  if (metadata.tenant() != key.tenant)
    return fail_field("metadata.tenant", fmt::format("may not change (it is \"{}\")", key.tenant));
  return plan_put(context, *object, false, write);
}

}  // namespace penstock
