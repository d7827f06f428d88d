#include "cli/format.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>

#include "cli/ref.h"
#include "cli/verb.h"
#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

// What an absent field at the path stands for: false and 0 are left out by proto3 JSON.
std::string absent_text(const Kind& kind, std::string_view path) {
  const auto* message = kind.descriptor;
  const google::protobuf::FieldDescriptor* field = nullptr;
  for (const auto& name : split(path, '.')) {
    field = nullptr;
    for (int i = 0; message && i < message->field_count(); ++i) {
      if (message->field(i)->json_name() == name) field = message->field(i);
    }
    message = field && !field->is_repeated() ? field->message_type() : nullptr;
  }
  using Type = google::protobuf::FieldDescriptor;
  if (!field || field->is_repeated() || field->containing_oneof()) return "-";
  switch (field->cpp_type()) {
    case Type::CPPTYPE_BOOL:
      return "no";
    case Type::CPPTYPE_INT32:
    case Type::CPPTYPE_INT64:
    case Type::CPPTYPE_UINT32:
    case Type::CPPTYPE_UINT64:
      return "0";
    default:
      return "-";
  }
}

Result<Column> make_column(const Kind& kind, std::string_view text) {
  const auto equals = text.find('=');
  const auto path = text.substr(equals + 1);
  Column column{.header = std::string(text.substr(0, equals)), .path = {}, .special = {}};
  if (path == "ready" || path == "target" || path == "name" || path == "age") {
    column.special = std::string(path);
  } else {
    column.path = PENSTOCK_TRY(parse_path(path));
    column.absent = absent_text(kind, path);
  }
  return column;
}

// "2030-01-31T12:00:00.123456789Z" to milliseconds: what a reader compares.
std::string short_time(const std::string& text) {
  constexpr std::size_t kSeconds = 19, kMillis = 23;
  if (text.size() <= kMillis + 1 || text[10] != 'T' || text[kSeconds] != '.' ||
      !text.ends_with('Z'))
    return text;
  return text.substr(0, kMillis) + "Z";
}

// Short text for a structured value in a cell: an object goes by its name or its first plain
// member.
std::string cell_text(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_array()) {
    std::string out;
    for (const auto& item : value) out += (out.empty() ? "" : ",") + cell_text(item);
    return out;
  }
  if (value.is_string()) return short_time(value.get<std::string>());
  if (!value.is_object()) return plain_text(value);
  const auto kind = text_at(at(value, "kind")), name = text_at(at(value, "name"));
  const auto tenant = text_at(at(value, "tenant"));
  if (!kind.empty() && !name.empty()) {
    const auto known = kind_named(kind);
    return (known ? singular(**known) : kind) + "/" + (tenant.empty() ? "" : tenant + "/") + name;
  }
  if (!name.empty()) return name;
  if (const auto role = text_at(at(value, "role")); !role.empty()) {
    const auto scope = tenant.empty() ? text_at(at(value, "vendor")) : tenant;
    return scope.empty() ? role : role + "@" + scope;
  }
  for (const auto& [key, member] : value.items()) {
    if (!member.is_structured()) return plain_text(member);
  }
  return "-";
}

// Maps of plain values (labels) are shown whole.
std::string value_text(const Json& value, const std::string& absent) {
  if (value.is_null() || (value.is_structured() && value.empty())) return absent;
  const bool map = value.is_object() &&
                   std::ranges::none_of(value, [](const Json& v) { return !v.is_string(); });
  if (!map || at(value, "kind").is_string() || at(value, "name").is_string()) {
    const auto text = cell_text(value);
    return text.empty() ? absent : text;
  }
  std::string out;
  for (const auto& [key, member] : value.items())
    out += (out.empty() ? "" : ",") + key + "=" + plain_text(member);
  return out;
}

std::string name_text(const Json& object, bool with_tenant) {
  const auto tenant = text_at(at(object, "metadata", "tenant"));
  const auto name = text_at(at(object, "metadata", "name"));
  return with_tenant && !tenant.empty() ? tenant + "/" + name : name;
}

bool number_less(const std::string& left, const std::string& right) {
  char *end_left = nullptr, *end_right = nullptr;
  const double a = std::strtod(left.c_str(), &end_left), b = std::strtod(right.c_str(), &end_right);
  const bool numbers = !left.empty() && !right.empty() && *end_left == 0 && *end_right == 0;
  return numbers ? a < b : left < right;
}

// NAME, those of the kind in their order, AGE.
Result<std::vector<Column>> all_columns(const Kind& kind) {
  std::vector<Column> all{{.header = "NAME", .path = {}, .special = "name"}};
  for (std::string_view text : kind.columns)
    all.push_back(PENSTOCK_TRY(make_column(kind, text.substr(text.starts_with('+') ? 1 : 0))));
  all.push_back({.header = "AGE", .path = {}, .special = "age"});
  return all;
}

// A word that is no column's header is a path, and a path starts with a field of the kind.
Status check_sort(const Kind& kind, const std::vector<Column>& columns, const std::string& by) {
  if (by.empty()) return {};
  std::vector<std::string> names;
  for (const auto& column : columns) names.push_back(column.header);
  const auto header = [&](const std::string& name) { return upper(by) == upper(name); };
  if (std::ranges::any_of(names, header)) return {};
  PENSTOCK_CHECK(parse_path(by));
  const auto start = by.find_first_not_of(".{$");
  const auto first =
      start == std::string::npos ? by : by.substr(start, by.find_first_of(".[}", start) - start);
  if (first == "kind") return {};
  for (int i = 0; i < kind.descriptor->field_count(); ++i)
    if (kind.descriptor->field(i)->json_name() == first) return {};
  const auto hint = did_you_mean(upper(by), names);
  return fail(
      Code::kInvalidArgument, fmt::format("--sort-by: {} have no column \"{}\"", kind.plural, by),
      hint.empty() ? fmt::format("columns: {}; or a path like spec.owner", fmt::join(names, ", "))
                   : hint);
}

Status sort_objects(std::vector<const Json*>& objects, const std::vector<Column>& columns,
                    const std::string& by) {
  if (by.empty()) return {};
  const auto named =
      std::ranges::find(columns, upper(by), [](const Column& c) { return upper(c.header); });
  JsonPath path;
  if (named == columns.end()) path = PENSTOCK_TRY(parse_path(by));
  const auto key = [&](const Json* object) {
    if (named != columns.end() && named->special == "age")
      return text_at(at(*object, "metadata", "createdAt"));
    if (named != columns.end()) return row_of({*named}, *object, true)[0];
    const auto values = follow(path, *object);
    return values.empty() ? std::string() : plain_text(*values[0]);
  };
  std::ranges::stable_sort(
      objects, [&](const Json* a, const Json* b) { return number_less(key(a), key(b)); });
  return {};
}

}  // namespace

void OutputOptions::declare(Verb& verb, bool tables) {
  verb.app->add_option("-o,--output", output,
                       tables ? "table, wide, json, yaml, name or jsonpath=TEMPLATE"
                              : "table, json, yaml or jsonpath=TEMPLATE");
  verb.completes(
      {"--output", Complete::kWords, {"table", "wide", "json", "yaml", "name", "jsonpath="}});
  if (!tables) return;
  verb.app->add_option("--columns", columns, "which columns: headers, or HEADER=path.in.json");
  verb.app->add_option("--sort-by", sort_by, "a column's header, or a path");
}

Result<Output> parse_output(const OutputOptions& options) {
  Output out{.path = {}, .columns = {}, .sort_by = options.sort_by};
  if (!options.columns.empty()) out.columns = split(options.columns, ',');
  constexpr std::string_view kJsonPath = "jsonpath=";
  static const std::vector<std::pair<std::string, Output::Form>> kForms{
      {"table", Output::Form::kTable},
      {"wide", Output::Form::kWide},
      {"json", Output::Form::kJson},
      {"yaml", Output::Form::kYaml},
      {"name", Output::Form::kName}};
  if (options.output.starts_with(kJsonPath)) {
    out.form = Output::Form::kJsonPath;
    out.path = PENSTOCK_TRY(
        JsonPathTemplate::parse(std::string_view(options.output).substr(kJsonPath.size())));
    return out;
  }
  std::vector<std::string> names{"jsonpath="};
  for (const auto& [name, form] : kForms) {
    if (name == options.output) {
      out.form = form;
      return out;
    }
    names.push_back(name);
  }
  const auto hint = did_you_mean(options.output, names);
  return fail(Code::kInvalidArgument, fmt::format("-o {}: no such output", options.output),
              hint.empty() ? "table, wide, json, yaml, name or jsonpath=TEMPLATE" : hint);
}

Result<std::vector<Column>> columns_of(const Kind& kind, const Output& output) {
  const std::vector<Column> all = PENSTOCK_TRY(all_columns(kind));
  std::vector<Column> shown{all.front()};
  for (std::size_t i = 0; i < kind.columns.size(); ++i)
    if (!kind.columns[i].starts_with('+') || output.form == Output::Form::kWide)
      shown.push_back(all[i + 1]);
  if (!kind.read_only) shown.push_back(all.back());
  PENSTOCK_CHECK(check_sort(kind, all, output.sort_by));
  // Events have no name worth reading: their first column is the time.
  if (kind.read_only && kind.name == "Event") shown.erase(shown.begin());
  if (output.columns.empty()) return shown;

  std::vector<Column> chosen;
  std::vector<std::string> headers;
  for (const auto& column : all) headers.push_back(column.header);
  for (const auto& wanted : output.columns) {
    if (wanted.find('=') != std::string::npos) {
      chosen.push_back(PENSTOCK_TRY(make_column(kind, wanted)));
      continue;
    }
    const auto found = std::ranges::find(all, upper(wanted), &Column::header);
    if (found == all.end()) {
      const auto hint = did_you_mean(upper(wanted), headers);
      return fail(Code::kInvalidArgument,
                  fmt::format("--columns: {} have no column \"{}\"", kind.plural, wanted),
                  hint.empty()
                      ? fmt::format("columns: {}; or HEADER=path.in.json", fmt::join(headers, ", "))
                      : hint);
    }
    chosen.push_back(*found);
  }
  return chosen;
}

std::vector<std::string> row_of(const std::vector<Column>& columns, const Json& object,
                                bool with_tenant) {
  std::vector<std::string> row;
  for (const auto& column : columns) {
    if (column.special == "name") {
      row.push_back(name_text(object, with_tenant));
    } else if (column.special == "ready") {
      row.push_back(ready_text(object));
    } else if (column.special == "target") {
      row.push_back(target_text(object));
    } else if (column.special == "age") {
      row.push_back(age_text(text_at(at(object, "metadata", "createdAt"))));
    } else {
      std::string text;
      for (const Json* value : follow(column.path, object)) {
        text += (text.empty() ? "" : ",") + value_text(*value, column.absent);
      }
      row.push_back(text.empty() ? column.absent : text);
    }
  }
  return row;
}

Status print_objects(Console& console, const Kind& kind, const Json& objects, bool single,
                     const Output& output, bool with_tenant) {
  const auto columns = PENSTOCK_TRY(columns_of(kind, output));
  std::vector<const Json*> sorted;
  for (const auto& object : objects) sorted.push_back(&object);
  // Also by columns that are not shown.
  PENSTOCK_CHECK(sort_objects(sorted, PENSTOCK_TRY(all_columns(kind)), output.sort_by));

  if (output.form == Output::Form::kName) {
    for (const Json* object : sorted) console.line(singular(kind) + "/" + name_text(*object, true));
    return {};
  }
  if (output.is_table()) {
    std::vector<std::string> header;
    for (const auto& column : columns) header.push_back(column.header);
    Table table(std::move(header));
    for (const Json* object : sorted) table.add(row_of(columns, *object, with_tenant));
    console.write(table.text());
    return {};
  }
  if (single && sorted.size() == 1) return print_data(console, *sorted[0], output);
  // One object, so that what was printed can be applied again.
  Json list{{"kind", "List"}, {"items", Json::array()}};
  for (const Json* object : sorted) list["items"].push_back(*object);
  return print_data(console, list, output);
}

Status print_data(Console& console, const Json& data, const Output& output) {
  switch (output.form) {
    case Output::Form::kJson:
      console.line(data.dump(2, ' ', false, Json::error_handler_t::replace));
      return {};
    case Output::Form::kYaml:
      console.write(yaml_text(data));
      return {};
    case Output::Form::kJsonPath: {
      const auto text = output.path->render(data);
      console.write(text.ends_with('\n') ? text : text + "\n");
      return {};
    }
    default:
      return fail(Code::kInvalidArgument, "this answer is no list of objects",
                  "use -o json, yaml or jsonpath=");
  }
}

const Json& condition_of(const Json& object, std::string_view type) {
  static const Json nothing;
  for (const auto& condition : at(object, "status", "conditions")) {
    if (at(condition, "type") == type) return condition;
  }
  return nothing;
}

std::string ready_text(const Json& object) {
  const Json& ready = condition_of(object, "Ready");
  const auto state = text_at(at(ready, "status")), reason = text_at(at(ready, "reason"));
  if (state == "TRUE") return "yes";
  if (state.empty()) return "-";
  const std::string word = state == "FALSE" ? "no" : "unknown";
  return reason.empty() ? word : fmt::format("{} ({})", word, reason);
}

std::string target_text(const Json& enablement) {
  const Json& spec = at(enablement, "spec");
  for (const std::string_view kind : {"vm", "pool", "network"}) {
    if (const auto name = text_at(at(spec, kind)); !name.empty())
      return fmt::format("{} {}", kind, name);
  }
  const Json& nic = at(spec, "nic");
  if (!nic.is_object()) return "-";
  return fmt::format("nic {}/{}", text_at(at(nic, "vm")), text_at(at(nic, "nic")));
}

std::string age_text(std::string_view rfc3339) {
  std::tm time{};
  if (!::strptime(std::string(rfc3339).c_str(), "%Y-%m-%dT%H:%M:%S", &time)) return "-";
  const auto then = std::chrono::system_clock::from_time_t(::timegm(&time));
  const auto seconds = std::max<long long>(
      0, std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - then)
             .count());
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 7200) return fmt::format("{}m", seconds / 60);
  if (seconds < 172'800) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86'400);
}

}  // namespace penstock::cli
