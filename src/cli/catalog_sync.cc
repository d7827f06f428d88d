#include "cli/catalog_sync.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

using Step = SyncPlan::Step;
using What = Step::What;

std::string manager_of(const Json& object) {
  return text_at(at(object, "metadata", "annotations", std::string(kSyncedFrom)));
}

std::string counted_text(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

// Objects of the deployment by "Kind/name".
std::map<std::string, Json> by_title(const std::vector<Json>& objects) {
  std::map<std::string, Json> out;
  for (const auto& object : objects)
    out.emplace(text_at(at(object, "kind")) + "/" + text_at(at(object, "metadata", "name")),
                object);
  return out;
}

// What goes and what would, of what this synchronization put there and the folder has no more. A
// definition goes when all its profiles do.
void plan_deletions(SyncPlan& plan, const std::vector<Json>& there,
                    const std::set<std::string>& wanted, const SyncOptions& options) {
  std::map<std::string, std::int64_t> profiles_left;
  for (const auto& object : there)
    if (at(object, "kind") == "ServiceProfile")
      ++profiles_left[text_at(at(object, "spec", "definition"))];
  for (const bool profiles : {true, false})
    for (const auto& object : there) {
      const ObjectRef ref = ref_of(object);
      if ((ref.kind->name == "ServiceProfile") != profiles || manager_of(object) != options.name ||
          wanted.contains(ref.kind->name + "/" + ref.name))
        continue;
      const auto uses =
          profiles ? number_at(at(object, "status", "enablements")) : profiles_left[ref.name];
      if (uses > 0) {
        plan.steps.push_back({What::kInUse, ref.display(),
                              profiles
                                  ? fmt::format("in use by {}: penstock get enablements -A",
                                                counted_text(uses, "enablement"))
                                  : fmt::format("in use by {}", counted_text(uses, "profile"))});
        continue;
      }
      if (profiles) --profiles_left[text_at(at(object, "spec", "definition"))];
      plan.steps.push_back({options.prune ? What::kDelete : What::kWouldDelete, ref.display(),
                            options.prune ? "" : "not in the folder any more; goes with --prune"});
      if (options.prune) plan.deletions.push_back(ref);
    }
}

}  // namespace

bool SyncPlan::changes() const {
  return std::ranges::any_of(steps, [](const Step& step) {
    return step.what != What::kInUse && step.what != What::kWouldDelete;
  });
}

Result<SyncPlan> plan_sync(Api& api, std::vector<Document> documents, const SyncOptions& options) {
  SyncPlan plan;
  const auto there = PENSTOCK_TRY(catalog_objects(api));
  const auto known = by_title(there);
  std::set<std::string> wanted;
  for (auto& document : documents) {
    wanted.insert(document.title());
    // A file without metadata is for the server to refuse.
    if (document.object.contains("metadata") && document.object["metadata"].is_object()) {
      Json& annotations = document.object["metadata"]["annotations"];
      if (annotations.is_null() || annotations.is_object())
        annotations[std::string(kSyncedFrom)] = options.name;
    }
    const auto found = known.find(document.title());
    const auto manager = found == known.end() ? "" : manager_of(found->second);
    if (!manager.empty() && manager != options.name)
      plan.conflicts.push_back(fmt::format("{} is managed by the synchronization \"{}\"",
                                           ref_of(found->second).display(), manager));
  }
  plan.documents = std::move(documents);
  if (!plan.documents.empty()) {
    const WriteOptions check{.dry_run = true, .wait_applied = false, .deadline = {}};
    plan.checked = PENSTOCK_TRY(apply_documents(api, plan.documents, check));
  }
  if (!plan.good()) return plan;
  for (std::size_t i = 0; i < plan.documents.size(); ++i) {
    const auto change = text_at(at(plan.checked.items[i], "outcome", "change"));
    const auto display = ref_of(plan.documents[i].object).display();
    if (change == "CREATED") {
      plan.steps.push_back({What::kCreate, display, ""});
    } else if (change == "UPDATED") {
      const auto& object = known.at(plan.documents[i].title());
      const bool same = manager_of(object).empty() &&
                        file_form(object) == file_form(at(plan.checked.items[i], "object"));
      plan.steps.push_back({same ? What::kTakeOver : What::kUpdate, display, ""});
    } else {
      ++plan.unchanged;
    }
  }
  plan_deletions(plan, there, wanted, options);
  return plan;
}

Result<Applied> carry_out(Api& api, const SyncPlan& plan) {
  Applied done;
  if (!plan.documents.empty())
    done = PENSTOCK_TRY(apply_documents(api, plan.documents, WriteOptions{}));
  if (!done.problems.empty() || plan.deletions.empty()) return done;
  Json items = Json::array();
  for (const auto& ref : plan.deletions)
    items.push_back(Json{{"delete", {{"kind", ref.kind->name}, {"name", ref.name}}}});
  const Json answer = PENSTOCK_TRY(api.batch(std::move(items), /*atomic=*/false, WriteOptions{}));
  std::size_t index = 0;
  for (const auto& item : at(answer, "items")) {
    if (index == plan.deletions.size()) break;
    const auto& ref = plan.deletions[index++];
    const Json& error = at(item, "error");
    // Gone already is what was wanted.
    if (!error.is_object() || at(error, "code") == "not_found") continue;
    const auto failure = failure_of(error);
    if (done.problems.empty()) done.code = failure.code;
    done.problems.push_back(
        {fmt::format("{} was not deleted: {}", ref.display(), failure.message), failure.hint});
    done.nothing_changed = false;
  }
  return done;
}

std::string step_text(const Step& step, bool done) {
  std::string_view verb;
  switch (step.what) {
    case What::kCreate:
      verb = done ? "created" : "create";
      break;
    case What::kUpdate:
      verb = done ? "updated" : "update";
      break;
    case What::kTakeOver:
      verb = done ? "taken over" : "take over";
      break;
    case What::kDelete:
      verb = done ? "deleted" : "delete";
      break;
    case What::kInUse:
    case What::kWouldDelete:
      verb = "keep";
      break;
  }
  return fmt::format("  {} {}{}{}", verb, step.object, step.note.empty() ? "" : ": ", step.note);
}

}  // namespace penstock::cli
