#include "server/http/openapi.h"

#include <set>

#include "model/json.h"
#include "model/kinds.h"

namespace penstock {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

class Document {
 public:
  std::string text() {
    root_["openapi"] = "3.1.0";
    root_["info"] = {{"title", "Penstock"}, {"version", "v1"}};
    root_["security"] = Json::array({{{"bearer", Json::array()}}});
    for (const auto& kind : kinds()) objects(kind);
    const auto* file = v1::PutRequest::descriptor()->file();
    for (int i = 0; i < file->service_count(); ++i)
      for (int j = 0; j < file->service(i)->method_count(); ++j)
        method(*file->service(i)->method(j));
    root_["components"]["securitySchemes"]["bearer"] = {{"type", "http"}, {"scheme", "bearer"}};
    while (!open_.empty()) {
      const auto* next = *open_.begin();
      open_.erase(open_.begin());
      root_["components"]["schemas"][next->name()] = schema(*next);
    }
    return root_.dump(1) + "\n";
  }

 private:
  Json ref(const Descriptor& message) {
    if (seen_.insert(&message).second) open_.insert(&message);
    return {{"$ref", "#/components/schemas/" + message.name()}};
  }

  Json well_known(const Descriptor& message) {
    const auto& name = message.full_name();
    if (name == "google.protobuf.Timestamp") return {{"type", "string"}, {"format", "date-time"}};
    if (name == "google.protobuf.Duration") return {{"type", "string"}, {"examples", {"10s"}}};
    if (name == "google.protobuf.Struct") return {{"type", "object"}};
    if (name == "google.protobuf.Value") return Json::object();
    return nullptr;
  }

  Json single(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return {{"type", "boolean"}};
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_UINT32:
        return {{"type", "integer"}};
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
        return {{"type", {"string", "integer"}}, {"format", "int64"}};
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return {{"type", "number"}};
      case FieldDescriptor::CPPTYPE_STRING:
        return {{"type", "string"}};
      case FieldDescriptor::CPPTYPE_ENUM: {
        Json names = Json::array();
        // The zero value stands for "not given".
        for (int i = 1; i < field.enum_type()->value_count(); ++i)
          names.push_back(field.enum_type()->value(i)->name());
        return {{"type", "string"}, {"enum", names}};
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (auto known = well_known(*field.message_type()); !known.is_null()) return known;
        return ref(*field.message_type());
    }
    return Json::object();
  }

  Json property(const FieldDescriptor& field) {
    if (field.is_map())
      return {{"type", "object"},
              {"additionalProperties", single(*field.message_type()->field(1))}};
    Json one = single(field);
    if (field.is_repeated()) return {{"type", "array"}, {"items", one}};
    const auto& rule = field.options().GetExtension(v1::rule);
    if (rule.output_only()) one["readOnly"] = true;
    return one;
  }

  Json schema(const Descriptor& message) {
    if (message.full_name() == "penstock.v1.Object") {
      Json any = Json::array();
      for (const auto& kind : kinds()) any.push_back(ref(*kind.descriptor));
      return {{"oneOf", any}, {"discriminator", {{"propertyName", "kind"}}}};
    }
    Json properties = Json::object(), required = Json::array();
    if (kind_of(&message)) {
      properties["kind"] = {{"const", message.name()}};
      required.push_back("kind");
    }
    for (int i = 0; i < message.field_count(); ++i) {
      const auto& field = *message.field(i);
      properties[field.json_name()] = property(field);
      if (field.options().GetExtension(v1::rule).required()) required.push_back(field.json_name());
    }
    Json out = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
    if (!required.empty()) out["required"] = required;
    return out;
  }

  static Json parameter(const char* name, const char* in, const char* text = "") {
    Json one = {{"name", name}, {"in", in}, {"schema", {{"type", "string"}}}};
    if (std::string_view(in) == "path") one["required"] = true;
    if (*text) one["description"] = text;
    return one;
  }
  static void write_parameters(Json& parameters) {
    parameters.push_back(parameter(
        "wait", "query", "\"applied\": answer when every affected host has acknowledged"));
    parameters.push_back(parameter("deadline", "query", "of the wait: \"10s\""));
    parameters.push_back(parameter("dryRun", "query", "\"server\": everything but the commit"));
    parameters.push_back(
        parameter("requestId", "query", "the same id again: the first answer, done once"));
  }
  Json content(const Descriptor& message) {
    return {{"application/json", {{"schema", ref(message)}}}};
  }
  Json operation(const std::string& id, Json parameters, const Descriptor* body,
                 const Descriptor& answer) {
    Json out = {{"operationId", id}};
    if (!parameters.empty()) out["parameters"] = std::move(parameters);
    if (body) {
      auto media = content(*body);
      media["application/yaml"] = media["application/json"];
      out["requestBody"] = {{"required", true}, {"content", std::move(media)}};
    }
    out["responses"] = {
        {"200", {{"description", "done"}, {"content", content(answer)}}},
        {"default",
         {{"description", "what is wrong"}, {"content", content(*v1::Failure::descriptor())}}}};
    return out;
  }

  void objects(const Kind& kind) {
    const std::string base = (kind.tenant_scoped ? "/v1/tenants/{tenant}/" : "/v1/") + kind.plural;
    Json scope = Json::array();
    if (kind.tenant_scoped) scope.push_back(parameter("tenant", "path"));
    if (kind.descriptor == v1::CatalogEntry::descriptor()) {  // besides a method of its own
      Json list = Json::array();
      for (const auto* name : {"tenant", "labelSelector", "watch", "resourceVersion"})
        list.push_back(parameter(name, "query"));
      root_["paths"][base]["get"] =
          operation("list" + kind.name, list, nullptr, *v1::ListResponse::descriptor());
      return;
    }

    Json list = scope;
    for (const auto* name : {"labelSelector", "limit", "continue", "watch", "resourceVersion"})
      list.push_back(parameter(name, "query"));
    root_["paths"][base]["get"] =
        operation("list" + kind.name, list, nullptr, *v1::ListResponse::descriptor());
    if (kind.tenant_scoped) {
      auto all = list;
      all.erase(0);
      root_["paths"]["/v1/" + kind.plural]["get"] =
          operation("listAll" + kind.name, all, nullptr, *v1::ListResponse::descriptor());
    }
    auto& one = root_["paths"][base + "/{name}"];
    Json path = scope;
    path.push_back(parameter("name", "path"));
    one["get"] = operation("get" + kind.name, path, nullptr, *kind.descriptor);
    if (kind.read_only) return;
    Json write = path;
    write_parameters(write);
    Json create = scope;
    write_parameters(create);
    root_["paths"][base]["post"] =
        operation("create" + kind.name, create, kind.descriptor, *v1::PutResponse::descriptor());
    one["put"] =
        operation("put" + kind.name, write, kind.descriptor, *v1::PutResponse::descriptor());
    one["patch"] = operation("patch" + kind.name, write, nullptr, *v1::PutResponse::descriptor());
    one["patch"]["requestBody"] = {
        {"required", true},
        {"content", {{"application/merge-patch+json", {{"schema", {{"type", "object"}}}}}}}};
    write.push_back(parameter("cascade", "query", "\"true\": what depends on it too"));
    write.push_back(parameter("resourceVersion", "query"));
    one["delete"] =
        operation("delete" + kind.name, write, nullptr, *v1::DeleteResponse::descriptor());
  }

  void method(const google::protobuf::MethodDescriptor& method) {
    const auto& rule = method.options().GetExtension(v1::http);
    if (rule.path().empty()) return;
    Json parameters = Json::array();
    const bool post = rule.method() == "POST";
    const auto& input = *method.input_type();
    for (int i = 0; i < input.field_count(); ++i) {
      const auto& name = input.field(i)->json_name();
      if (rule.path().find("{" + name + "}") != std::string::npos)
        parameters.push_back(parameter(name.c_str(), "path"));
      else if (!post)
        parameters.push_back(parameter(name.c_str(), "query"));
    }
    if (post) write_parameters(parameters);
    std::string verb = post ? "post" : "get";
    root_["paths"][rule.path()][verb] = operation(method.name(), std::move(parameters),
                                                  post ? &input : nullptr, *method.output_type());
  }

  Json root_ = Json::object();
  std::set<const Descriptor*> seen_;
  struct ByName {
    bool operator()(const Descriptor* a, const Descriptor* b) const {
      return a->full_name() < b->full_name();
    }
  };
  std::set<const Descriptor*, ByName> open_;
};

}  // namespace

std::string openapi_document() {
  return Document().text();
}

}  // namespace penstock
