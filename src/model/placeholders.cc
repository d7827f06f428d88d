// "${name}" in the strings of a configuration.
#include <cctype>

#include <utility>

#include <fmt/format.h>

#include "model/json_names.h"
#include "model/schema.h"

namespace penstock {
namespace {

using google::protobuf::FieldDescriptor;

struct Piece {
  bool placeholder = false;
  std::string text;  // literal, or the name
};

// Pieces of "a${b}c"; a "${" without a name and "}" is a problem.
std::vector<Piece> pieces(std::string_view text, Problems* problems, const std::string& path) {
  std::vector<Piece> out;
  while (!text.empty()) {
    const auto at = text.find("${");
    if (at != 0) out.push_back({false, std::string(text.substr(0, at))});
    if (at == text.npos) break;
    const auto end = text.find('}', at);
    const auto name = end == text.npos ? std::string_view() : text.substr(at + 2, end - at - 2);
    const bool good = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) || c == '_' || c == '-';
    });
    if (!good) {
      if (problems)
        problems->add(path, fmt::format("\"{}\" is not a placeholder", text.substr(at, 40)),
                      "write ${name}");
      break;
    }
    out.push_back({true, std::string(name)});
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

class Substitution {
 public:
  Substitution(const Json& values, Problems& problems, Origins* origins)
      : values_(values), problems_(problems), origins_(origins) {}

  void message(Message& m, const std::string& path) {
    const auto& r = *m.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    r.ListFields(m, &fields);
    for (const auto* field : fields) {
      const auto at = field_path(path, field->json_name());
      if (field->is_map())
        map(m, field, at);
      else if (field->is_repeated())
        repeated(m, field, at);
      else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        message(*r.MutableMessage(&m, field), at);
      else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING)
        r.SetString(&m, field, text(r.GetString(m, field), at));
    }
  }

 private:
  const Json& values_;
  Problems& problems_;
  Origins* origins_;
  static constexpr std::size_t kExpandedMost = 100'000;
  std::size_t made_ = 0;
  bool full_ = false;

  void came_from(const std::string& at, std::string name) {
    if (origins_) origins_->emplace(at, std::move(name));
  }

  const Json* value_of(const std::string& name, const std::string& at) {
    came_from(at, name);
    const auto it = values_.find(name);
    if (it != values_.end()) return &*it;
    problems_.add(at, fmt::format("the parameter \"{}\" has no value", name),
                  "give it in the profile's parameters, or a default in the definition");
    return nullptr;
  }

  // The list a string stands for when it is nothing but the placeholder of a list.
  const Json* list_of(const std::string& source) {
    const auto parts = pieces(source, nullptr, "");
    if (parts.size() != 1 || !parts[0].placeholder) return nullptr;
    const auto it = values_.find(parts[0].text);
    return it != values_.end() && it->is_array() ? &*it : nullptr;
  }

  std::string text(const std::string& source, const std::string& at) {
    if (!has_placeholder(source)) return source;
    std::string out;
    for (const auto& piece : pieces(source, &problems_, at)) {
      if (!piece.placeholder) {
        out += piece.text;
      } else if (const Json* value = value_of(piece.text, at)) {
        if (value->is_structured())
          problems_.add(at, fmt::format("the parameter \"{}\" is {}, but one value belongs here",
                                        piece.text, value->is_array() ? "a list" : "an object"));
        else
          out += scalar_text(*value);
      }
    }
    return out;
  }

  // A short text can stand for very much: a list of thousands, named by thousands of rules.
  bool room(std::size_t more, const std::string& at) {
    made_ += more;
    if (made_ <= kExpandedMost) return true;
    if (!std::exchange(full_, true))
      problems_.add(
          at,
          fmt::format("with all lists written out there are more than {} values", kExpandedMost),
          "name long lists in fewer rules");
    return false;
  }

  bool refuse_empty(const Json& list, const std::string& source, const std::string& at) {
    if (list.empty())
      problems_.add(at, fmt::format("{} is an empty list here, which would mean \"any\"", source),
                    "remove the rule, or give the list an element");
    return list.empty();
  }

  void map(Message& m, const FieldDescriptor* field, const std::string& at) {
    const auto* value = field->message_type()->map_value();
    if (value->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return;
    const auto& r = *m.GetReflection();
    for (int i = 0; i < r.FieldSize(m, field); ++i) {
      auto* entry = r.MutableRepeatedMessage(&m, field, i);
      const auto& er = *entry->GetReflection();
      const auto key = er.GetString(*entry, field->message_type()->map_key());
      er.SetString(entry, value, text(er.GetString(*entry, value), field_path(at, key)));
    }
  }

  void repeated(Message& m, const FieldDescriptor* field, const std::string& at) {
    const auto& r = *m.GetReflection();
    const int size = r.FieldSize(m, field);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::vector<std::string> out;
      for (int i = 0; i < size; ++i) {
        const auto source = r.GetRepeatedString(m, field, i);
        const auto here = [&] { return field_path(at, out.size()); };
        if (const Json* list = list_of(source)) {
          if (refuse_empty(*list, source, here()) || !room(list->size(), here())) continue;
          for (const auto& item : *list) {
            came_from(here(), pieces(source, nullptr, "")[0].text);
            out.push_back(scalar_text(item));
          }
        } else {
          auto value = text(source, here());
          out.push_back(std::move(value));
        }
      }
      r.ClearField(&m, field);
      for (auto& item : out) r.AddString(&m, field, std::move(item));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      messages(m, field, at);
    }
  }

  void messages(Message& m, const FieldDescriptor* field, const std::string& at) {
    const auto& r = *m.GetReflection();
    const int size = r.FieldSize(m, field);
    bool expands = false;
    for (int i = 0; i < size && !expands; ++i)
      expands = list_field(r.GetRepeatedMessage(m, field, i));
    if (!expands) {
      for (int i = 0; i < size; ++i)
        message(*r.MutableRepeatedMessage(&m, field, i),
                field_path(at, static_cast<std::size_t>(i)));
      return;
    }
    std::vector<std::unique_ptr<Message>> out;
    for (int i = 0; i < size; ++i) {
      const auto& source = r.GetRepeatedMessage(m, field, i);
      const auto here = [&] { return field_path(at, out.size() - 1); };  // of the newest
      const auto* through = list_field(source);
      const auto copy = [&] {
        out.emplace_back(source.New());
        out.back()->CopyFrom(source);
        return out.back().get();
      };
      if (!through) {
        auto* made = copy();
        message(*made, here());
        continue;
      }
      const auto placeholder = source.GetReflection()->GetString(source, through);
      const Json& list = *list_of(placeholder);
      if (refuse_empty(list, placeholder,
                       field_path(field_path(at, out.size()), through->json_name())) ||
          !room(list.size(), field_path(at, out.size())))
        continue;
      for (const auto& item : list) {
        auto* made = copy();
        made->GetReflection()->SetString(made, through, scalar_text(item));
        came_from(field_path(here(), through->json_name()),
                  pieces(placeholder, nullptr, "")[0].text);
        message(*made, here());
      }
    }
    r.ClearField(&m, field);
    for (auto& item : out) r.AddAllocatedMessage(&m, field, item.release());
  }

  // The string field of an element through which it becomes many; nullptr: it stays one.
  const FieldDescriptor* list_field(const Message& m) {
    std::vector<const FieldDescriptor*> fields;
    m.GetReflection()->ListFields(m, &fields);
    for (const auto* field : fields)
      if (!field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
          list_of(m.GetReflection()->GetString(m, field)))
        return field;
    return nullptr;
  }
};

void check_text(const std::string& text, const std::set<std::string>& declared, Problems& problems,
                const std::string& at) {
  if (!has_placeholder(text)) return;
  const std::vector<std::string> names(declared.begin(), declared.end());
  for (const auto& piece : pieces(text, &problems, at))
    if (piece.placeholder && !declared.contains(piece.text))
      problems.add(at, fmt::format("the parameter \"{}\" is not declared", piece.text),
                   declared.empty() ? "declare it under spec.parameters.properties"
                                    : did_you_mean(piece.text, names));
}

}  // namespace

bool has_placeholder(std::string_view text) {
  return text.find("${") != text.npos;
}

void substitute(Message& message, const Json& values, Problems& problems, const std::string& path,
                Origins* origins) {
  Substitution(values, problems, origins).message(message, path);
}

void check_placeholders(const Message& message, const std::set<std::string>& declared,
                        Problems& problems, const std::string& path) {
  const auto& r = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(message, &fields);
  for (const auto* field : fields) {
    const auto at = field_path(path, field->json_name());
    const bool text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (!text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      if (text)
        check_text(r.GetString(message, field), declared, problems, at);
      else
        check_placeholders(r.GetMessage(message, field), declared, problems, at);
      continue;
    }
    for (int i = 0; i < r.FieldSize(message, field); ++i) {
      const auto here = field_path(at, static_cast<std::size_t>(i));
      if (text)
        check_text(r.GetRepeatedString(message, field, i), declared, problems, here);
      else
        check_placeholders(r.GetRepeatedMessage(message, field, i), declared, problems, here);
    }
  }
}

}  // namespace penstock
