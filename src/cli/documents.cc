#include "cli/documents.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargestFile = 16U << 20;

bool is_ours(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// The entries of a folder in order of name, so that "10-net.yaml" goes before "20-vms.yaml"
// everywhere.
template <typename Iterator>
Result<std::vector<std::string>> files_in(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code failed;
  for (Iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    if (it->is_regular_file() && is_ours(it->path())) found.push_back(it->path().string());
  }
  if (failed) return fail_errno(failed.value(), folder.string());
  std::ranges::sort(found);
  if (found.empty()) {
    return fail(Code::kNotFound,
                fmt::format("{}: no *.yaml, *.yml or *.json in this folder", folder.string()));
  }
  return found;
}

Result<std::string> read_file(const std::string& path) {
  std::error_code failed;
  const auto size = fs::file_size(path, failed);
  if (failed) return fail_errno(failed.value(), path);
  if (size > kLargestFile) {
    return fail(Code::kInvalidArgument,
                fmt::format("{}: larger than {} MiB", path, kLargestFile >> 20));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(errno, path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void add_document(Documents& out, const std::string& file, const YamlPtr& root,
                  const std::string& default_tenant) {
  if (root->form != YamlNode::Form::kMapping) {
    out.problems.push_back(fmt::format("{}:{}:{}  an object was expected, with kind and metadata",
                                       file, root->mark.line, root->mark.column));
    return;
  }
  const auto member = [&](std::string_view name) -> YamlPtr {
    for (const auto& entry : root->entries) {
      if (entry.key == name) return entry.value;
    }
    return nullptr;
  };
  const auto kind = member("kind"), items = member("items");
  if (kind && kind->scalar == "List" && items && items->form == YamlNode::Form::kSequence) {
    for (const auto& item : items->items) add_document(out, file, item, default_tenant);
    return;
  }
  if (kind && kind->scalar == "Lab")
    return out.problems.push_back(
        fmt::format("{}:{}:{}  is the topology of a lab: penstock lab up {}", file, root->mark.line,
                    root->mark.column, file));
  Document document{file, root, to_json(*root)};
  const ObjectRef ref = ref_of(document.object);
  const Json& metadata = at(document.object, "metadata");
  if (ref.kind && ref.kind->tenant_scoped && metadata.is_object() && !metadata.contains("tenant") &&
      !default_tenant.empty()) {
    document.object["metadata"]["tenant"] = default_tenant;
  }
  out.all.push_back(std::move(document));
}

}  // namespace

Result<std::string> read_text(const std::string& path, const Io& io) {
  return path == "-" ? io.in() : read_file(path);
}

YamlMark Document::mark_of(const ErrorDetail& detail) const {
  const YamlPlace found = locate(*root, detail.field);
  return detail.message.starts_with("unknown field") ? found.key : found.value;
}

std::string Document::place_of(const ErrorDetail& detail) const {
  const YamlMark mark = mark_of(detail);
  return fmt::format("{}:{}:{}", file, mark.line, mark.column);
}

std::string Document::title() const {
  const ObjectRef ref = ref_of(object);
  const auto kind = text_at(at(object, "kind"));
  return fmt::format("{}/{}", kind.empty() ? "?" : kind, ref.name.empty() ? "?" : ref.full_name());
}

Result<Documents> load_documents(const std::vector<std::string>& paths, bool recursive,
                                 const Io& io, const std::string& default_tenant) {
  Documents out;
  for (const auto& path : paths) {
    std::vector<std::string> files{path};
    std::error_code ignored;
    if (path != "-" && fs::is_directory(path, ignored)) {
      files = recursive ? PENSTOCK_TRY(files_in<fs::recursive_directory_iterator>(path))
                        : PENSTOCK_TRY(files_in<fs::directory_iterator>(path));
    }
    for (const auto& file : files) {
      const bool standard_input = file == "-";
      const std::string text = PENSTOCK_TRY(read_text(file, io));
      const std::string name = standard_input ? "stdin" : file;
      const YamlDocuments parsed = parse_yaml(text);
      for (const auto& problem : parsed.problems) {
        out.problems.push_back(fmt::format("{}:{}:{}  {}{}", name, problem.mark.line,
                                           problem.mark.column, problem.message,
                                           problem.hint.empty() ? "" : "; " + problem.hint));
      }
      for (const auto& root : parsed.roots) add_document(out, name, root, default_tenant);
    }
  }
  return out;
}

std::string problem_line(const Document& document, const ErrorDetail& detail) {
  std::string line = fmt::format("{}  {}", document.place_of(detail), document.title());
  if (!detail.field.empty()) line += "  " + detail.field;
  line += "  " + detail.message;
  if (!detail.hint.empty()) line += "; " + detail.hint;
  return line;
}

}  // namespace penstock::cli
