#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include "model/json.h"
#include "model/json_names.h"

namespace penstock {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// What the tree has where something else was wanted: `a string "x"`.
std::string found(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list";
  auto text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  if (json.is_string()) return "the string " + text;
  if (json.is_boolean()) return text;
  return json.is_null() ? "null" : "the number " + text;
}

class Decoder {
 public:
  Decoder(Problems& problems, const DecodeOptions& options)
      : problems_(problems), options_(options) {}

  void message(const Json& json, Message& out, const std::string& path) {
    if (well_known(json, out, path)) return;
    if (!json.is_object()) {
      problems_.add(path, fmt::format("expected an object, found {}", found(json)));
      return;
    }
    const auto* type = out.GetDescriptor();
    std::set<const FieldDescriptor*> seen, wrong;
    std::map<const google::protobuf::OneofDescriptor*, std::string> chosen;
    for (const auto& [name, value] : json.items()) {
      const auto at = field_path(path, name);
      const auto* field = field_named(type, name);
      if (!field) {
        problems_.add(at, "unknown field", did_you_mean(name, field_names(type)));
        continue;
      }
      if (!seen.insert(field).second) {
        problems_.add(at,
                      fmt::format("is the same field as \"{}\", which is there too",
                                  name == field->json_name() ? field->name() : field->json_name()));
        continue;
      }
      if (rule_of(field).output_only() && !options_.keep_output_only) continue;
      if (value.is_null() && !takes_null(field)) continue;
      if (const auto* oneof = field->real_containing_oneof()) {
        const auto [it, fresh] = chosen.insert({oneof, name});
        if (!fresh) {
          problems_.add(at,
                        fmt::format("\"{}\" is set already: only one of them may be", it->second));
          continue;
        }
      }
      const auto problems = problems_.size();
      this->field(value, out, field, at);
      if (problems_.size() != problems) wrong.insert(field);
    }
    if (options_.check_required) check_required(out, path, wrong);
  }

 private:
  Problems& problems_;
  const DecodeOptions& options_;

  static bool takes_null(const FieldDescriptor* field) {
    return !field->is_repeated() && field->message_type() == google::protobuf::Value::descriptor();
  }

  // `wrong`: what is there but was not understood is not missing as well.
  void check_required(const Message& message, const std::string& path,
                      const std::set<const FieldDescriptor*>& wrong) {
    const auto* type = message.GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const auto* field = type->field(i);
      // An object's name may stand in the URL, or be made by the server: admission asks for it.
      if (!rule_of(field).required() || type == v1::Metadata::descriptor() || wrong.contains(field))
        continue;
      const bool there = field->is_repeated()
                             ? message.GetReflection()->FieldSize(message, field) > 0
                             : message.GetReflection()->HasField(message, field);
      if (!there) problems_.add(field_path(path, field->json_name()), "is required");
    }
  }

  void field(const Json& json, Message& out, const FieldDescriptor* field, const std::string& at) {
    if (field->is_map()) {
      map(json, out, field, at);
    } else if (field->is_repeated()) {
      if (!json.is_array()) {
        problems_.add(at, fmt::format("expected a list, found {}", found(json)),
                      json.is_object() ? "" : "write it in brackets, even if it is only one");
        return;
      }
      for (std::size_t i = 0; i < json.size(); ++i) single(json[i], out, field, field_path(at, i));
    } else {
      single(json, out, field, at);
    }
  }

  void map(const Json& json, Message& out, const FieldDescriptor* field, const std::string& at) {
    if (!json.is_object()) {
      problems_.add(at,
                    fmt::format("expected an object of names and values, found {}", found(json)));
      return;
    }
    const auto* entry_type = field->message_type();
    for (const auto& [key, value] : json.items()) {
      auto* entry = out.GetReflection()->AddMessage(&out, field);
      entry->GetReflection()->SetString(entry, entry_type->map_key(), key);
      single(value, *entry, entry_type->map_value(), field_path(at, key));
    }
  }

  // One value, appended when the field is repeated.
  void single(const Json& json, Message& out, const FieldDescriptor* field, const std::string& at) {
    const Reflection& r = *out.GetReflection();
    const bool many = field->is_repeated();
    const auto put = [&](auto set, auto add, auto value) {
      if (many)
        (r.*add)(&out, field, value);
      else
        (r.*set)(&out, field, value);
    };
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        message(json, many ? *r.AddMessage(&out, field) : *r.MutableMessage(&out, field), at);
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        if (!json.is_string()) {
          problems_.add(at, fmt::format("expected a string, found {}", found(json)),
                        json.is_primitive() && !json.is_null() ? "put it in quotes" : "");
        } else if (many) {
          r.AddString(&out, field, json.get<std::string>());
        } else {
          r.SetString(&out, field, json.get<std::string>());
        }
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (!json.is_boolean())
          problems_.add(at, fmt::format("expected true or false, found {}", found(json)));
        else
          put(&Reflection::SetBool, &Reflection::AddBool, json.get<bool>());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        if (const auto value = enumeration(json, field->enum_type(), at))
          put(&Reflection::SetEnumValue, &Reflection::AddEnumValue, *value);
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        if (const auto v = integer<std::int32_t>(json, at))
          put(&Reflection::SetInt32, &Reflection::AddInt32, *v);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        if (const auto v = integer<std::uint32_t>(json, at))
          put(&Reflection::SetUInt32, &Reflection::AddUInt32, *v);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        if (const auto v = integer<std::int64_t>(json, at))
          put(&Reflection::SetInt64, &Reflection::AddInt64, *v);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (const auto v = integer<std::uint64_t>(json, at))
          put(&Reflection::SetUInt64, &Reflection::AddUInt64, *v);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        if (!json.is_number())
          problems_.add(at, fmt::format("expected a number, found {}", found(json)));
        else if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE)
          put(&Reflection::SetDouble, &Reflection::AddDouble, json.get<double>());
        else
          put(&Reflection::SetFloat, &Reflection::AddFloat, json.get<float>());
        break;
    }
  }

  template <typename T>
  std::optional<T> integer(const Json& json, const std::string& at) {
    const auto range = [&] {
      problems_.add(
          at, fmt::format("{} is out of range", found(json)),
          fmt::format("{} to {}", std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
      return std::nullopt;
    };
    if (json.is_number_unsigned()) {
      const auto v = json.get<std::uint64_t>();
      if (std::in_range<T>(v)) return static_cast<T>(v);
      return range();
    }
    if (json.is_number_integer()) {
      const auto v = json.get<std::int64_t>();
      if (std::in_range<T>(v)) return static_cast<T>(v);
      return range();
    }
    if (json.is_number_float()) {
      const auto v = json.get<double>();
      if (v != std::floor(v)) {
        problems_.add(at, fmt::format("expected a whole number, found {}", found(json)));
        return std::nullopt;
      }
      // 2^53: above it a double no longer names one integer.
      if (std::abs(v) > 9007199254740992.0 || !std::in_range<T>(static_cast<std::int64_t>(v)))
        return range();
      return static_cast<T>(v);
    }
    if (json.is_string()) {
      const auto& text = json.get_ref<const std::string&>();
      T value{};
      const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (!text.empty() && stop == text.data() + text.size()) {
        if (error == std::errc()) return value;
        if (error == std::errc::result_out_of_range) return range();
      }
    }
    problems_.add(at, fmt::format("expected a whole number, found {}", found(json)));
    return std::nullopt;
  }

  std::optional<int> enumeration(const Json& json, const EnumDescriptor* type,
                                 const std::string& at) {
    std::vector<std::string> names;
    for (int i = 0; i < type->value_count(); ++i)
      if (type->value(i)->number() != 0) names.push_back(type->value(i)->name());
    if (json.is_string()) {
      const auto& text = json.get_ref<const std::string&>();
      if (const auto* value = enum_value_named(type, text)) return value->number();
      auto hint = did_you_mean(text, names);
      problems_.add(at, fmt::format("{} is not one of {}", found(json), fmt::join(names, ", ")),
                    hint);
      return std::nullopt;
    }
    if (json.is_number_integer()) {
      const auto number = json.get<std::int64_t>();
      if (std::in_range<int>(number) && type->FindValueByNumber(static_cast<int>(number)))
        return static_cast<int>(number);
    }
    problems_.add(at,
                  fmt::format("expected one of {}, found {}", fmt::join(names, ", "), found(json)));
    return std::nullopt;
  }

  // Messages with a JSON form of their own. Returns whether it was one.
  bool well_known(const Json& json, Message& out, const std::string& path) {
    using google::protobuf::util::TimeUtil;
    const auto* type = out.GetDescriptor();
    if (type == google::protobuf::Struct::descriptor()) {
      if (!json.is_object()) {
        problems_.add(path, fmt::format("expected an object, found {}", found(json)));
        return true;
      }
      auto& fields = *static_cast<google::protobuf::Struct&>(out).mutable_fields();
      for (const auto& [name, value] : json.items()) from_json(value, fields[name]);
      return true;
    }
    if (type == google::protobuf::Value::descriptor()) {
      from_json(json, static_cast<google::protobuf::Value&>(out));
      return true;
    }
    if (type == google::protobuf::Timestamp::descriptor()) {
      if (!json.is_string() ||
          !TimeUtil::FromString(json.get<std::string>(),
                                static_cast<google::protobuf::Timestamp*>(&out)))
        problems_.add(path, fmt::format("expected a time, found {}", found(json)),
                      "like \"2030-01-31T12:00:00Z\"");
      return true;
    }
    if (type == google::protobuf::Duration::descriptor()) {
      if (!json.is_string() ||
          !TimeUtil::FromString(json.get<std::string>(),
                                static_cast<google::protobuf::Duration*>(&out)))
        problems_.add(path, fmt::format("expected a duration, found {}", found(json)),
                      "like \"1.5s\"");
      return true;
    }
    if (type == v1::Object::descriptor()) {
      auto object = decode_object_into(json, path);
      if (object)
        out.GetReflection()->SetAllocatedMessage(&out, object.release(),
                                                 kind_of(*object).object_field);
      return true;
    }
    return false;
  }

 public:
  // The object form; nullptr when not even the kind is clear.
  std::unique_ptr<Message> decode_object_into(const Json& json, const std::string& path,
                                              const Kind* expected = nullptr) {
    if (!json.is_object()) {
      problems_.add(path, fmt::format("expected an object, found {}", found(json)));
      return nullptr;
    }
    const Kind* kind = expected;
    const auto at = json.find("kind");
    if (at == json.end()) {
      if (!expected) {
        problems_.add(field_path(path, "kind"), "is required", "like \"VirtualMachine\"");
        return nullptr;
      }
    } else {
      if (!at->is_string()) {
        problems_.add(field_path(path, "kind"),
                      fmt::format("expected a string, found {}", found(*at)));
        return nullptr;
      }
      auto named = find_kind(at->get<std::string>());
      if (!named) {
        problems_.add(field_path(path, "kind"), named.error());
        return nullptr;
      }
      if (expected && *named != expected) {
        problems_.add(field_path(path, "kind"),
                      fmt::format("is {}, but a {} belongs here", (*named)->name, expected->name));
        return nullptr;
      }
      kind = *named;
    }
    Json rest = json;
    rest.erase("kind");
    rest.erase("apiVersion");
    auto object = kind->make();
    message(rest, *object, path);
    return object;
  }
};

// The line and column of a byte position, both from 1.
std::string place(std::string_view text, std::size_t position) {
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i + 1 < position && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return fmt::format("line {}, column {}", line, column);
}

// Builds the tree and refuses what nlohmann would let pass: a key twice, a tree too deep.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  Json root;
  std::string problem;

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override { return value(v); }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override { return value(std::move(v)); }
  bool binary(binary_t&) override { return refuse("binary values are not JSON"); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    // The ordered tree finds keys by walking; a set beside it keeps wide objects linear.
    if (!keys_.back().insert(name).second)
      return refuse(fmt::format("the key \"{}\" is there twice", name));
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    position_ = position;
    return false;
  }
  std::size_t position() const { return position_; }

 private:
  std::vector<Json*> stack_;
  std::vector<std::set<std::string>> keys_;
  std::string key_;
  std::size_t position_ = 0;

  bool refuse(std::string why) {
    problem = std::move(why);
    return false;
  }
  Json* place(Json v) {
    if (stack_.empty()) {
      root = std::move(v);
      return &root;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(v));
      return &parent.back();
    }
    // Not operator[]: it would look the key up by walking.
    auto& object = parent.get_ref<Json::object_t&>();
    object.Container::emplace_back(std::move(key_), std::move(v));
    return &object.back().second;
  }
  bool value(Json v) {
    place(std::move(v));
    return true;
  }
  bool open(Json v) {
    if (stack_.size() >= static_cast<std::size_t>(kJsonMaxDepth))
      return refuse(fmt::format("nested deeper than {} levels", kJsonMaxDepth));
    stack_.push_back(place(std::move(v)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }
};

}  // namespace

Result<Json> parse_json(std::string_view text) {
  TreeBuilder builder;
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);
  if (!builder.problem.empty())
    return fail(Code::kInvalidArgument, fmt::format("not acceptable JSON: {}", builder.problem));
  return fail(Code::kInvalidArgument,
              fmt::format("not JSON: syntax error at {}", place(text, builder.position())));
}

void decode(const Json& json, Message& message, Problems& problems, std::string_view path,
            const DecodeOptions& options) {
  Decoder(problems, options).message(json, message, std::string(path));
}

Status decode(const Json& json, Message& message, const DecodeOptions& options) {
  Problems problems;
  decode(json, message, problems, "", options);
  return problems.status(message.GetDescriptor()->name());
}

Result<std::unique_ptr<Message>> decode_object(const Json& json, const Kind* expected,
                                               const DecodeOptions& options) {
  Problems problems;
  auto object = Decoder(problems, options).decode_object_into(json, "", expected);
  std::string about = expected ? expected->name : "object";
  if (object) {
    const auto& metadata = metadata_of(*object);
    about = object->GetDescriptor()->name() + " " +
            (metadata.tenant().empty() ? "" : metadata.tenant() + "/") + metadata.name();
  }
  PENSTOCK_CHECK(problems.status(about));
  return object;
}

void from_json(const Json& json, google::protobuf::Value& out) {
  if (json.is_null())
    out.set_null_value(google::protobuf::NULL_VALUE);
  else if (json.is_boolean())
    out.set_bool_value(json.get<bool>());
  else if (json.is_number())
    out.set_number_value(json.get<double>());
  else if (json.is_string())
    out.set_string_value(json.get<std::string>());
  else if (json.is_array())
    for (out.mutable_list_value(); const auto& item : json)
      from_json(item, *out.mutable_list_value()->add_values());
  else
    for (auto& fields = *out.mutable_struct_value()->mutable_fields();
         const auto& [name, value] : json.items())
      from_json(value, fields[name]);
}

}  // namespace penstock
