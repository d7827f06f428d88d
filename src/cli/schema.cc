#include "cli/schema.h"

#include <fmt/format.h>

#include "penstock/v1/resource.pb.h"

namespace penstock::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

class Writer {
 public:
  Json write(const Descriptor& message, const std::string& title) {
    Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}};
    schema.update(object(message));
    schema["$defs"] = defs_;
    return schema;
  }
  Json write(const Kind& kind) {
    Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", kind.name}};
    Json body = object(*kind.descriptor);
    if (!kind.tenant_scoped && defs_.contains("Metadata"))
      defs_["Metadata"]["properties"].erase("tenant");
    body["properties"]["kind"] = Json{{"const", kind.name}};
    body["properties"]["apiVersion"] = Json{{"type", "string"}};
    body["required"] = Json::array({"kind", "metadata"});
    schema.update(body);
    schema["$defs"] = defs_;
    return schema;
  }

 private:
  // Types with a JSON form of their own (protobuf.dev, "ProtoJSON Format").
  static bool well_known(const Descriptor& message, Json& out) {
    const auto& name = message.full_name();
    if (name == "google.protobuf.Struct") {
      out = Json{{"type", "object"}};
    } else if (name == "google.protobuf.Value") {
      out = Json::object();
    } else if (name == "google.protobuf.Timestamp") {
      out = Json{{"type", "string"}, {"format", "date-time"}};
    } else if (name == "google.protobuf.Duration") {
      out = Json{{"type", "string"}, {"pattern", "^-?[0-9]+(\\.[0-9]+)?s$"}};
    } else {
      return false;
    }
    return true;
  }

  Json reference(const Descriptor& message) {
    Json out;
    if (well_known(message, out)) return out;
    // "penstock.v1.LabelSelector.Expression" -> "LabelSelector.Expression"
    const std::string name = message.full_name().substr(message.file()->package().size() + 1);
    if (!defs_.contains(name)) {
      defs_[name] = Json::object();  // stops the recursion of a message that holds itself
      defs_[name] = object(message);
    }
    return Json{{"$ref", "#/$defs/" + name}};
  }

  Json object(const Descriptor& message) {
    Json properties = Json::object(), required = Json::array();
    for (int i = 0; i < message.field_count(); ++i) {
      const FieldDescriptor& field = *message.field(i);
      const auto& rule = field.options().GetExtension(v1::rule);
      Json value = any(field);
      if (rule.output_only()) value["readOnly"] = true;
      if (rule.required()) required.push_back(field.json_name());
      properties[field.json_name()] = std::move(value);
    }
    Json out{
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!required.empty()) out["required"] = std::move(required);
    // At most one field of a oneof.
    for (int i = 0; i < message.real_oneof_decl_count(); ++i) {
      const auto& group = *message.oneof_decl(i);
      Json names = Json::array(), choices = Json::array();
      for (int f = 0; f < group.field_count(); ++f) names.push_back(group.field(f)->json_name());
      for (const auto& name : names) choices.push_back(Json{{"required", Json::array({name})}});
      Json none{{"not", Json{{"anyOf", choices}}}};
      choices.push_back(std::move(none));
      out["allOf"].push_back(Json{{"oneOf", std::move(choices)}});
    }
    return out;
  }

  Json any(const FieldDescriptor& field) {
    if (field.is_map()) {
      return Json{{"type", "object"},
                  {"additionalProperties", one(*field.message_type()->map_value())}};
    }
    if (field.is_repeated()) return Json{{"type", "array"}, {"items", one(field)}};
    return one(field);
  }

  Json one(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return Json{{"type", "boolean"}};
      case FieldDescriptor::CPPTYPE_STRING:
        return Json{{"type", "string"}};
      case FieldDescriptor::CPPTYPE_INT32:
        return Json{{"type", "integer"}, {"minimum", INT32_MIN}, {"maximum", INT32_MAX}};
      case FieldDescriptor::CPPTYPE_UINT32:
        return Json{{"type", "integer"}, {"minimum", 0}, {"maximum", UINT32_MAX}};
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
        // ProtoJSON writes 64-bit numbers as strings and reads both.
        return Json{{"type", Json::array({"integer", "string"})}, {"pattern", "^-?[0-9]+$"}};
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return Json{{"type", "number"}};
      case FieldDescriptor::CPPTYPE_ENUM: {
        Json names = Json::array();
        // Value 0 is what a field that is left out has; nobody writes it.
        for (int i = 0; i < field.enum_type()->value_count(); ++i)
          if (field.enum_type()->value(i)->number() != 0)
            names.push_back(field.enum_type()->value(i)->name());
        return Json{{"enum", std::move(names)}};
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return reference(*field.message_type());
    }
    return Json::object();
  }

  Json defs_ = Json::object();
};

}  // namespace

Json schema_of(const Descriptor& message, const std::string& title) {
  return Writer().write(message, title);
}

Json schema_of(const Kind& kind) {
  return Writer().write(kind);
}

}  // namespace penstock::cli
