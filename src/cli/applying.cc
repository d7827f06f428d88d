#include "cli/applying.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/tunables.h"

namespace penstock::cli {
namespace {

// "items[3].put.spec.rules" -> 3 and "spec.rules"; the server names the document by its place in
// the batch.
std::optional<std::pair<std::size_t, std::string>> split_item(std::string_view field) {
  if (!field.starts_with("items[")) return std::nullopt;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(field.data() + 6, field.data() + field.size(), index);
  const auto used = static_cast<std::size_t>(end - field.data());
  if (error != std::errc{} || used >= field.size() || *end != ']') return std::nullopt;
  auto rest = field.substr(used + 1);
  if (rest.starts_with(".put")) rest.remove_prefix(4);
  if (rest.starts_with('.')) rest.remove_prefix(1);
  return std::pair(index, std::string(rest));
}

// Every error as a line at its place; an error without fields is about the document's beginning.
void add_problems(Applied& applied, const Document& document, const Error& error) {
  if (applied.problems.empty()) applied.code = error.code;
  ++applied.bad_documents;
  if (error.details.empty())
    applied.problems.push_back({problem_line(document, {"", error.message, ""}), error.hint});
  // As one reads the file; the server names them as it finds them.
  std::vector<const ErrorDetail*> details;
  for (const auto& detail : error.details) details.push_back(&detail);
  std::ranges::stable_sort(details, {}, [&](const ErrorDetail* detail) {
    const auto mark = document.mark_of(*detail);
    return std::pair(mark.line, mark.column);
  });
  for (const auto* detail : details)
    applied.problems.push_back(
        {problem_line(document, *detail), details.size() == 1 ? error.hint : ""});
}

// A batch that was refused as a whole names its documents in the details' fields.
bool spread(Applied& applied, const std::vector<Document>& documents, const Error& error) {
  std::vector<Error> of_item(documents.size());
  for (const auto& detail : error.details) {
    const auto found = split_item(detail.field);
    if (!found || found->first >= documents.size()) return false;
    of_item[found->first].details.push_back({found->second, detail.message, detail.hint});
  }
  if (error.details.empty()) return false;
  const bool one =
      std::ranges::count_if(of_item, [](const Error& e) { return !e.details.empty(); }) == 1;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (of_item[i].details.empty()) continue;
    of_item[i].code = error.code;
    if (one) of_item[i].hint = error.hint;
    add_problems(applied, documents[i], of_item[i]);
  }
  return true;
}

Result<Applied> send(Api& api, const std::vector<Document>& documents, bool atomic,
                     const WriteOptions& options) {
  Json items = Json::array();
  for (const auto& document : documents) items.push_back(Json{{"put", document.object}});
  Applied applied;
  applied.items.resize(documents.size(), Json::object());
  auto answer = api.batch(std::move(items), atomic, options);
  if (!answer) {
    if (spread(applied, documents, answer.error())) return applied;
    return std::unexpected(std::move(answer).error());
  }
  applied.outcome = at(*answer, "outcome");
  std::size_t index = 0;
  for (const auto& item : at(*answer, "items")) {
    if (index == documents.size()) break;
    if (const Json& error = at(item, "error"); error.is_object()) {
      add_problems(applied, documents[index], failure_of(error));
    } else {
      applied.items[index] = item;
      applied.nothing_changed = applied.nothing_changed && (atomic || options.dry_run);
    }
    ++index;
  }
  return applied;
}

}  // namespace

Result<Applied> apply_documents(Api& api, const std::vector<Document>& documents,
                                const WriteOptions& options) {
  Applied first;
  if (!options.dry_run &&
      documents.size() <= static_cast<std::size_t>(Tunables{}.store_txn_max_ops)) {
    first = PENSTOCK_TRY(send(api, documents, /*atomic=*/true, options));
    if (first.problems.empty()) return first;
  }
  // A transaction ends at its first error and has room for so much; a dry run names every error.
  WriteOptions check = options;
  check.dry_run = true;
  check.wait_applied = false;
  Applied checked = PENSTOCK_TRY(send(api, documents, /*atomic=*/false, check));
  if (!checked.problems.empty() || options.dry_run) return checked;
  // Nothing wrong with them: they were too many for one transaction. Any other failure stands.
  if (!first.problems.empty() && first.code != Code::kInvalidArgument) return first;
  return send(api, documents, /*atomic=*/false, options);
}

Exit say_problems(Console& console, const Applied& applied, std::size_t documents) {
  const bool one = applied.problems.size() == 1;
  for (const auto& [line, hint] : applied.problems)
    console.note(one || hint.empty() ? line : fmt::format("{}; {}", line, hint));
  console.note(
      fmt::format("{} in {} of {}; {}.", counted(std::ssize(applied.problems), "error"),
                  applied.bad_documents, counted(static_cast<std::int64_t>(documents), "document"),
                  applied.nothing_changed ? "nothing was changed" : "the others were applied"));
  if (one) console.hint(applied.problems[0].hint);
  return exit_of(applied.code);
}

}  // namespace penstock::cli
