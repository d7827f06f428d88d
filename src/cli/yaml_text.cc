#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

// Plain only when nothing about the string could mean something in YAML; quotes are never wrong.
bool plain(const std::string& text) {
  if (text.empty()) return false;
  static constexpr std::string_view kInside =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+$";
  static constexpr std::string_view kFirst =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/$";
  if (kFirst.find(text[0]) == std::string_view::npos) return false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool middle = i + 1 < text.size();
    if (kInside.find(text[i]) != std::string_view::npos) continue;
    if (text[i] == ' ' && middle && text[i + 1] != ' ') continue;
    if (text[i] == ':' && middle && text[i + 1] != ' ') continue;
    return false;
  }
  // Would it be read as a number, a boolean, null or (in other readers) as yes/no or a date?
  static constexpr std::string_view kWords[] = {"null", "true", "false", "yes", "no",
                                                "on",   "off",  "y",     "n"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto word : kWords) {
    if (lower == word) return false;
  }
  return !std::isdigit(static_cast<unsigned char>(text[0])) ||
         text.find_first_not_of("0123456789.:+-_eExXoOabcdefABCDEFTZ ") != std::string::npos;
}

std::string scalar(const Json& value) {
  if (value.is_string() && plain(value.get_ref<const std::string&>()))
    return value.get<std::string>();
  // A JSON string is a YAML double-quoted string.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool nested(const Json& value) {
  return value.is_structured() && !value.empty();
}

void write(const Json& value, std::size_t indent, bool after_dash, std::string& out) {
  bool first = true;
  const auto start = [&] {
    if (!(first && after_dash)) out.append(indent, ' ');
    first = false;
  };
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      start();
      out += scalar(Json(key)) + ":";
      if (nested(member)) {
        out += '\n';
        // Items of a list stand under their key, not deeper: the usual form.
        write(member, member.is_array() ? indent : indent + 2, false, out);
      } else {
        out += " " + scalar(member) + "\n";
      }
    }
    return;
  }
  for (const auto& item : value) {
    start();
    out += "- ";
    if (nested(item)) {
      write(item, indent + 2, true, out);
    } else {
      out += scalar(item) + "\n";
    }
  }
}

}  // namespace

std::string yaml_text(const Json& value) {
  if (!nested(value)) return scalar(value) + "\n";
  std::string out;
  write(value, 0, false, out);
  return out;
}

}  // namespace penstock::cli
