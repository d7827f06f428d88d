#include "cli/catalog_files.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefinitionFile = "10-definition-", kProfileFile = "20-profile-";

bool of_this_form(const std::string& file) {
  return (file.starts_with(kDefinitionFile) || file.starts_with(kProfileFile)) &&
         file.ends_with(".yaml");
}

// Members of a map in order of name: the server's order of these is none of the content.
Json sorted(const Json& map) {
  std::map<std::string, Json> members;
  for (const auto& [key, value] : map.items()) members.emplace(key, value);
  Json out = Json::object();
  for (auto& [key, value] : members) out[key] = std::move(value);
  return out;
}

std::string file_of(const Json& object) {
  const bool definition = at(object, "kind") == "ServiceDefinition";
  return fmt::format("{}{}.yaml", definition ? kDefinitionFile : kProfileFile,
                     text_at(at(object, "metadata", "name")));
}

std::optional<std::string> content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

Result<std::vector<Json>> catalog_objects(Api& api) {
  std::vector<Json> out;
  for (const std::string_view plural : {"definitions", "profiles"}) {
    const Json listed = PENSTOCK_TRY(api.list({std::string(plural), "", ""}, ""));
    for (const auto& object : listed) out.push_back(object);
  }
  return out;
}

Json file_form(const Json& object) {
  Json out;
  out["kind"] = at(object, "kind");
  out["metadata"]["name"] = at(object, "metadata", "name");
  for (const auto* field : {"labels", "annotations"}) {
    Json map = sorted(at(object, "metadata", field));
    map.erase(std::string(kSyncedFrom));
    if (!map.empty()) out["metadata"][field] = std::move(map);
  }
  if (const Json& spec = at(object, "spec"); !spec.is_null()) out["spec"] = spec;
  return out;
}

std::string catalog_text(const std::vector<Json>& objects) {
  std::string out;
  for (const auto& object : objects)
    out += (out.empty() ? "" : "---\n") + yaml_text(file_form(object));
  return out;
}

std::map<std::string, std::string> catalog_files(const std::vector<Json>& objects) {
  std::map<std::string, std::string> out;
  for (const auto& object : objects) out.emplace(file_of(object), yaml_text(file_form(object)));
  return out;
}

Status replace_file(const std::string& path, const std::string& text) {
  const std::string aside = path + ".new";
  {
    std::ofstream file(aside, std::ios::binary | std::ios::trunc);
    file << text;
    file.flush();
    if (!file) return fail_errno(errno, fmt::format("write {}", aside));
  }
  if (::rename(aside.c_str(), path.c_str()) != 0)
    return fail_errno(errno, fmt::format("replace {}", path));
  return {};
}

Result<Written> write_catalog(const std::string& folder,
                              const std::map<std::string, std::string>& files, bool prune) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return fail_errno(failed.value(), fmt::format("create {}", folder));
  Written out;
  for (const auto& [name, text] : files) {
    // The name is the server's word; it must not lead out of the folder.
    if (name.find('/') != std::string::npos)
      return fail(Code::kInternal, fmt::format("\"{}\" is no name of a file", name));
    const auto path = fs::path(folder) / name;
    if (content(path) == text) {
      ++out.unchanged;
      continue;
    }
    PENSTOCK_CHECK(replace_file(path.string(), text));
    ++out.written;
  }
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    const auto name = it->path().filename().string();
    if (of_this_form(name) && !files.contains(name)) out.stale.push_back(name);
  }
  if (failed) return fail_errno(failed.value(), folder);
  std::ranges::sort(out.stale);
  if (prune)
    for (const auto& name : out.stale)
      if (!fs::remove(fs::path(folder) / name, failed) && failed)
        return fail_errno(failed.value(), fmt::format("remove {}", name));
  return out;
}

Result<Documents> load_catalog(const std::vector<std::string>& paths, const Io& io) {
  Documents documents = PENSTOCK_TRY(load_documents(paths, /*recursive=*/true, io, ""));
  std::set<std::string> seen;
  for (const auto& document : documents.all) {
    const auto kind = ref_of(document.object).kind;
    const bool ours = kind && (kind->name == "ServiceDefinition" || kind->name == "ServiceProfile");
    if (!ours)
      documents.problems.push_back(
          problem_line(document, {"", "is not of the catalog: definitions and profiles are", ""}));
    else if (!seen.insert(document.title()).second)
      documents.problems.push_back(problem_line(document, {"", "is there twice", ""}));
  }
  std::ranges::stable_partition(documents.all, [](const Document& document) {
    const auto kind = ref_of(document.object).kind;
    return kind && kind->name == "ServiceDefinition";
  });
  return documents;
}

}  // namespace penstock::cli
