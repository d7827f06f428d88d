// The catalog as files: definitions and profiles as YAML that `apply` takes, the same bytes for the
// same catalog.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/api.h"
#include "cli/documents.h"

namespace penstock::cli {

// Annotation by which an object says which synchronization manages it.
inline constexpr std::string_view kSyncedFrom = "penstock/synced-from";

// All definitions, then all profiles, by name, as the server has them.
Result<std::vector<Json>> catalog_objects(Api&);
// What a file should hold of one: kind, name, labels, annotations, spec. Nothing that the server
// gave or that says who manages it.
Json file_form(const Json& object);
// As one text of several documents.
std::string catalog_text(const std::vector<Json>& objects);
// As one file each: "10-definition-NAME.yaml", "20-profile-NAME.yaml", so that in order of name
// what is leant on comes first.
std::map<std::string, std::string> catalog_files(const std::vector<Json>& objects);

struct Written {
  std::size_t written = 0, unchanged = 0;
  std::vector<std::string> stale;  // files of this form that no object is in any more
};
// Each file is replaced whole or not at all; one that has the bytes already is not touched.
Result<Written> write_catalog(const std::string& folder, const std::map<std::string, std::string>&,
                              bool prune);
Status replace_file(const std::string& path, const std::string& text);

// Documents of files and folders (and those below), definitions first. Anything but a definition or
// a profile, or one named twice, is a problem.
Result<Documents> load_catalog(const std::vector<std::string>& paths, const Io&);

}  // namespace penstock::cli
