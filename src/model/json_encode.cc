#include <cctype>
#include <cmath>
#include <map>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include "model/json.h"
#include "model/json_names.h"

namespace penstock {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

Json number(double value) {
  // Struct has only doubles; whole numbers print without ".0".
  if (value == std::floor(value) && std::abs(value) < 9007199254740992.0)
    return static_cast<std::int64_t>(value);
  return value;
}

Json encode_value(const Message& message, const FieldDescriptor* field, int index,
                  const EncodeOptions& options) {
  const auto& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return encode(
          many ? r.GetRepeatedMessage(message, field, index) : r.GetMessage(message, field),
          options);
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(message, field, index) : r.GetString(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return many ? r.GetRepeatedBool(message, field, index) : r.GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value =
          many ? r.GetRepeatedEnumValue(message, field, index) : r.GetEnumValue(message, field);
      const auto* named = field->enum_type()->FindValueByNumber(value);
      return named ? Json(named->name()) : Json(value);
    }
    case FieldDescriptor::CPPTYPE_INT32:
      return many ? r.GetRepeatedInt32(message, field, index) : r.GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return many ? r.GetRepeatedUInt32(message, field, index) : r.GetUInt32(message, field);
    // 64-bit numbers are strings in proto3 JSON: a double cannot hold them all.
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(many ? r.GetRepeatedInt64(message, field, index)
                                 : r.GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(many ? r.GetRepeatedUInt64(message, field, index)
                                 : r.GetUInt64(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return many ? r.GetRepeatedDouble(message, field, index) : r.GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return many ? r.GetRepeatedFloat(message, field, index) : r.GetFloat(message, field);
  }
  return nullptr;
}

Json encode_map(const Message& message, const FieldDescriptor* field,
                const EncodeOptions& options) {
  const auto& r = *message.GetReflection();
  std::map<std::string, Json> sorted;  // protobuf's own order differs from run to run
  for (int i = 0; i < r.FieldSize(message, field); ++i) {
    const auto& entry = r.GetRepeatedMessage(message, field, i);
    const auto* type = entry.GetDescriptor();
    sorted[entry.GetReflection()->GetString(entry, type->map_key())] =
        encode_value(entry, type->map_value(), -1, options);
  }
  Json out = Json::object();
  for (auto& [key, value] : sorted) out[key] = std::move(value);
  return out;
}

Json encode_fields(const Message& message, Json out, const EncodeOptions& options) {
  const auto* type = message.GetDescriptor();
  const auto& r = *message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    if (rule_of(field).secret() && !options.with_secrets) continue;
    if (field->is_repeated()) {
      const int size = r.FieldSize(message, field);
      if (size == 0) continue;
      if (field->is_map()) {
        out[field->json_name()] = encode_map(message, field, options);
        continue;
      }
      Json list = Json::array();
      for (int item = 0; item < size; ++item)
        list.push_back(encode_value(message, field, item, options));
      out[field->json_name()] = std::move(list);
    } else if (r.HasField(message, field)) {
      out[field->json_name()] = encode_value(message, field, -1, options);
    }
  }
  return out;
}

}  // namespace

Json encode(const Message& message, const EncodeOptions& options) {
  using google::protobuf::util::TimeUtil;
  const Descriptor* type = message.GetDescriptor();
  if (type == google::protobuf::Struct::descriptor())
    return to_json(static_cast<const google::protobuf::Struct&>(message));
  if (type == google::protobuf::Value::descriptor())
    return to_json(static_cast<const google::protobuf::Value&>(message));
  if (type == google::protobuf::Timestamp::descriptor())
    return TimeUtil::ToString(static_cast<const google::protobuf::Timestamp&>(message));
  if (type == google::protobuf::Duration::descriptor())
    return TimeUtil::ToString(static_cast<const google::protobuf::Duration&>(message));
  if (type == v1::Object::descriptor()) {
    const auto* object = unwrap(static_cast<const v1::Object&>(message));
    return object ? encode(*object, options) : Json::object();
  }
  Json out = Json::object();
  if (kind_of(type)) out["kind"] = type->name();
  return encode_fields(message, std::move(out), options);
}

std::string encode_text(const Message& message, const EncodeOptions& options, int indent) {
  return encode(message, options).dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json to_json(const google::protobuf::Struct& object) {
  std::map<std::string, const google::protobuf::Value*> sorted;
  for (const auto& [name, value] : object.fields()) sorted[name] = &value;
  Json out = Json::object();
  for (const auto& [name, value] : sorted) out[name] = to_json(*value);
  return out;
}

Json to_json(const google::protobuf::Value& value) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kNumberValue:
      return number(value.number_value());
    case Value::kStringValue:
      return value.string_value();
    case Value::kStructValue:
      return to_json(value.struct_value());
    case Value::kListValue: {
      Json out = Json::array();
      for (const auto& item : value.list_value().values()) out.push_back(to_json(item));
      return out;
    }
    default:
      return nullptr;
  }
}

const FieldDescriptor* field_named(const Descriptor* type, std::string_view name) {
  for (int i = 0; i < type->field_count(); ++i)
    if (type->field(i)->json_name() == name || type->field(i)->name() == name)
      return type->field(i);
  return nullptr;
}

std::vector<std::string> field_names(const Descriptor* type) {
  std::vector<std::string> out;
  for (int i = 0; i < type->field_count(); ++i) out.push_back(type->field(i)->json_name());
  return out;
}

const google::protobuf::EnumValueDescriptor* enum_value_named(
    const google::protobuf::EnumDescriptor* type, std::string_view name) {
  for (int i = 0; i < type->value_count(); ++i) {
    const auto& candidate = type->value(i)->name();
    if (type->value(i)->number() != 0 && candidate.size() == name.size() &&
        std::equal(
            name.begin(), name.end(), candidate.begin(),
            [](unsigned char a, unsigned char b) { return std::toupper(a) == std::toupper(b); }))
      return type->value(i);
  }
  return nullptr;
}

const v1::FieldRule& rule_of(const FieldDescriptor* field) {
  return field->options().GetExtension(v1::rule);
}

}  // namespace penstock
