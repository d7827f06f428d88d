// The files of `apply -f`: YAML or JSON, many documents each, with the way back from a field path
// to file:line:column.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/ref.h"
#include "model/yaml_tree.h"

namespace penstock::cli {

struct Document {
  std::string file;  // as given; "stdin"
  YamlPtr root;
  Json object;

  // An unknown field is pointed at by its key, everything else by its value.
  YamlMark mark_of(const ErrorDetail&) const;
  // "web.yaml:14:9".
  std::string place_of(const ErrorDetail&) const;
  std::string title() const;  // "ServiceProfile/office-firewall", "VirtualMachine/acme/web-1"
};

struct Documents {
  std::vector<Document> all;
  // What is wrong with the text itself, as "file:line:column  message". Then nothing should be
  // sent.
  std::vector<std::string> problems;
};

// A file, or "-" for stdin; at most 16 MiB.
Result<std::string> read_text(const std::string& path, const Io&);

// Files, folders (their *.yaml, *.yml and *.json; with `recursive` those below too) and "-" for
// stdin, in the order given.
// {"kind": "List", "items": [...]}, as `get -o json` prints it, counts as its items. Tenant-scoped
// objects without a tenant get `default_tenant`.
Result<Documents> load_documents(const std::vector<std::string>& paths, bool recursive, const Io&,
                                 const std::string& default_tenant);

// The lines of an error for people: place, title, field, message, hint. `detail.field` is inside
// the document.
std::string problem_line(const Document&, const ErrorDetail&);

}  // namespace penstock::cli
