// What -o does: objects as table, wide table, JSON, YAML, names or a JSONPath template.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/jsonpath.h"
#include "cli/table.h"
#include "model/kinds.h"

namespace CLI {
class App;
}

namespace penstock::cli {

struct Verb;

// As on the command line.
struct OutputOptions {
  std::string output = "table";
  std::string columns;  // "NAME,HOST,OWNER=spec.owner"
  std::string sort_by;  // a column's header or a path

  // Declares -o, and with `tables` --columns and --sort-by.
  void declare(Verb&, bool tables);
};

struct Column {
  std::string header;
  JsonPath path;
  std::string special;  // "name", "age", "ready", "target": not a path
  // What stands for an absent value: proto3 JSON leaves defaults out.
  std::string absent = "-";
};

struct Output {
  enum class Form { kTable, kWide, kJson, kYaml, kName, kJsonPath };
  Form form = Form::kTable;
  std::optional<JsonPathTemplate> path;
  std::vector<std::string> columns;
  std::string sort_by;

  bool is_table() const { return form == Form::kTable || form == Form::kWide; }
};
// Misuse of the command line comes with a hint.
Result<Output> parse_output(const OutputOptions&);

// The columns of a kind: NAME, those of the option `resource`, AGE; or those the user asked for.
Result<std::vector<Column>> columns_of(const Kind&, const Output&);
// `with_tenant`: names are "acme/web-1".
std::vector<std::string> row_of(const std::vector<Column>&, const Json& object, bool with_tenant);

// `objects`: an array of one kind. `single`: JSON, YAML and JSONPath show the object instead of a
// List.
Status print_objects(Console&, const Kind&, const Json& objects, bool single, const Output&,
                     bool with_tenant);

// Any answer that is not an object of a kind: JSON, YAML, JSONPath. kInvalidArgument for the other
// forms.
Status print_data(Console&, const Json&, const Output&);

// "yes", "no (reason)", "unknown (reason)", "-" by the condition Ready.
std::string ready_text(const Json& object);
// The condition of that type, or null.
const Json& condition_of(const Json& object, std::string_view type);
// "vm web-1", "nic web-1/eth0", "pool web", "network blue" of an enablement.
std::string target_text(const Json& enablement);
// "3d", "42s" since an RFC 3339 time; "-" when it is none.
std::string age_text(std::string_view rfc3339);

}  // namespace penstock::cli
