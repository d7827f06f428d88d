#include "server/audit_intent.h"

#include <algorithm>

namespace penstock {
namespace {

struct Verb {
  std::string_view request;  // its message
  std::string_view action;
  std::string_view kind;  // of the object; empty: the request says it
};
// Others go by the name of their message: MoveRequest is "move".
constexpr Verb kVerbs[] = {
    {"PutRequest", "put", ""},
    {"PatchRequest", "update", ""},
    {"DeleteRequest", "delete", ""},
    {"EnableRequest", "enable", "Enablement"},
    {"DisableRequest", "disable", "Enablement"},
    {"DecideRequest", "decide", "Enablement"},
    {"MoveRequest", "move", "VirtualMachine"},
    {"AddToDraftRequest", "add", "ServiceDefinition"},
    {"SubmitDefinitionRequest", "submit", "ServiceDefinition"},
};

std::string text_of(const Message& message, const char* field) {
  const auto* found = message.GetDescriptor()->FindFieldByName(field);
  if (!found || found->is_repeated() ||
      found->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING)
    return {};
  return message.GetReflection()->GetString(message, found);
}

void set_object(v1::AuditRecord& record, const v1::Object& object) {
  if (const auto* inside = unwrap(object)) *record.mutable_object() = key_of(*inside).reference();
}

}  // namespace

v1::AuditRecord intent_of(const Message& request, std::size_t item) {
  v1::AuditRecord record;
  if (const auto* batch = dynamic_cast<const v1::BatchRequest*>(&request)) {
    record.set_action("batch");
    if (item >= static_cast<std::size_t>(batch->items_size())) return record;
    const auto& one = batch->items(static_cast<int>(item));
    record.set_action(one.has_delete_() ? "delete" : "put");
    if (one.has_put()) set_object(record, one.put());
    if (one.has_delete_()) {
      record.mutable_object()->set_kind(one.delete_().kind());
      record.mutable_object()->set_tenant(one.delete_().tenant());
      record.mutable_object()->set_name(one.delete_().name());
    }
    return record;
  }
  const auto& name = request.GetDescriptor()->name();
  const auto verb = std::ranges::find(kVerbs, name, &Verb::request);
  if (verb != std::end(kVerbs)) {
    record.set_action(std::string(verb->action));
    record.mutable_object()->set_kind(std::string(verb->kind));
  } else {
    auto action = name.substr(0, name.size() - (name.ends_with("Request") ? 7 : 0));
    std::ranges::transform(action, action.begin(), [](unsigned char c) { return std::tolower(c); });
    record.set_action(action);
  }
  if (const auto* put = dynamic_cast<const v1::PutRequest*>(&request)) {
    set_object(record, put->object());
    return record;
  }
  if (const auto* decide = dynamic_cast<const v1::DecideRequest*>(&request))
    record.set_action(decide->grant() ? "approve" : "refuse");
  auto& object = *record.mutable_object();
  if (object.kind().empty()) object.set_kind(text_of(request, "kind"));
  object.set_tenant(text_of(request, "tenant"));
  object.set_name(text_of(request, "name"));
  // An enablement without a name gets one made of its profile.
  if (object.name().empty()) object.set_name(text_of(request, "profile"));
  return record;
}

}  // namespace penstock
