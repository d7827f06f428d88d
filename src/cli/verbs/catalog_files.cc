// `catalog export`, `catalog import`, `catalog sync`.
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "base/digest.h"
#include "cli/api.h"
#include "cli/catalog_files.h"
#include "cli/catalog_sync.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::milliseconds kLookAgain{500};

struct Options {
  std::string to, folder, name, deadline;
  std::vector<std::string> from;
  bool prune = false, watch = false;
  WriteFlags write;
};

bool is_file(const std::string& path) {
  std::error_code ignored;
  return path == "-" ||
         (!fs::is_directory(path, ignored) && (path.ends_with(".yaml") || path.ends_with(".yml")));
}

Result<Exit> export_catalog(Invocation& inv, const Options& options) {
  Console& console = inv.console();
  const auto objects = PENSTOCK_TRY(catalog_objects(*PENSTOCK_TRY(inv.api())));
  const auto text = counted(std::ssize(objects), "object");
  if (is_file(options.to)) {
    if (options.prune)
      return inv.usage("--prune is for folders", "penstock catalog export FOLDER --prune");
    if (options.to == "-") {
      console.write(catalog_text(objects));
      return Exit::kDone;
    }
    PENSTOCK_CHECK(replace_file(options.to, catalog_text(objects)));
    console.line(fmt::format("{} in {}", text, options.to));
    return Exit::kDone;
  }
  const auto written =
      PENSTOCK_TRY(write_catalog(options.to, catalog_files(objects), options.prune));
  console.line(fmt::format("{} in {}: {} written, {} as they were", text, options.to,
                           counted(static_cast<std::int64_t>(written.written), "file"),
                           written.unchanged));
  for (const auto& file : written.stale)
    console.line(fmt::format("  {} {}", file,
                             options.prune ? "removed: no object is in it any more"
                                           : "is of no object any more; goes with --prune"));
  return Exit::kDone;
}

Exit say_text_problems(Console& console, const Documents& documents) {
  for (const auto& problem : documents.problems) console.note(problem);
  console.note("The files themselves are wrong; nothing was changed.");
  return Exit::kInvalid;
}

Result<Exit> import_catalog(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), "penstock catalog import FOLDER");
  Console& console = inv.console();
  const Documents documents = PENSTOCK_TRY(load_catalog(options.from, inv.io()));
  if (!documents.problems.empty()) return say_text_problems(console, documents);
  if (documents.all.empty()) {
    console.line("0 objects: the files are empty");
    return Exit::kDone;
  }
  const Applied applied =
      PENSTOCK_TRY(apply_documents(*PENSTOCK_TRY(inv.api()), documents.all, *write));
  if (!applied.problems.empty()) return say_problems(console, applied, documents.all.size());
  std::map<std::string, std::size_t> count;
  for (const auto& item : applied.items) ++count[text_at(at(item, "outcome", "change"))];
  console.line(fmt::format("{}{}: {} created, {} updated, {} unchanged",
                           write->dry_run ? "dry run: " : "",
                           counted(std::ssize(documents.all), "object"), count["CREATED"],
                           count["UPDATED"], count["UNCHANGED"]));
  return print_outcome(console, applied.outcome, write->wait_applied, "penstock status");
}

// --- sync

Result<Exit> sync_once(Invocation& inv, const Options& options, bool quiet) {
  Console& console = inv.console();
  const Documents documents = PENSTOCK_TRY(load_catalog({options.folder}, inv.io()));
  if (!documents.problems.empty()) return say_text_problems(console, documents);
  Api& api = *PENSTOCK_TRY(inv.api());
  const SyncPlan plan =
      PENSTOCK_TRY(plan_sync(api, documents.all, {.name = options.name, .prune = options.prune}));
  if (!plan.checked.problems.empty())
    return say_problems(console, plan.checked, plan.documents.size());
  if (!plan.conflicts.empty()) {
    for (const auto& conflict : plan.conflicts) console.note(conflict);
    console.note("Nothing was changed. Remove the annotation there, or the file here.");
    return Exit::kConflict;
  }
  if (plan.steps.empty()) {
    if (!quiet)
      console.line(fmt::format("{}: the catalog is as the folder says, {}", options.folder,
                               counted(static_cast<std::int64_t>(plan.unchanged), "object")));
    return Exit::kDone;
  }
  const bool dry = !options.write.dry_run.empty();
  console.line(fmt::format("{}: {}, {} unchanged", options.folder,
                           counted(std::ssize(plan.steps), "step"), plan.unchanged));
  for (const auto& step : plan.steps) console.line(step_text(step, false));
  if (dry || !plan.changes()) {
    if (dry) console.line("dry run: nothing was changed");
    return Exit::kDone;
  }
  const Applied done = PENSTOCK_TRY(carry_out(api, plan));
  if (!done.problems.empty()) return say_problems(console, done, plan.documents.size());
  console.line("done");
  return Exit::kDone;
}

// Of all files with their contents; of a folder that cannot be read its error.
std::string fingerprint(const std::string& folder, const Io& io) {
  std::string all;
  std::error_code failed;
  std::map<std::string, std::string> files;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed))
    if (it->is_regular_file(failed) && !it->path().string().ends_with(".new"))
      files[it->path().string()] = read_text(it->path().string(), io).value_or("unreadable");
  for (const auto& [path, text] : files) all += path + '\0' + text + '\0';
  return digest(all + failed.message()).text();
}

Result<Exit> sync_catalog(Invocation& inv, const Options& given) {
  constexpr std::string_view kTry = "penstock catalog sync FOLDER --dry-run=server";
  Options options = given;
  // The deadline is that of --watch, of which the other verbs know nothing.
  auto flags = options.write;
  flags.deadline.clear();
  if (const auto write = flags.parse(); !write) return inv.usage(write.error(), kTry);
  if (options.write.wait) return inv.usage("sync does not wait", "penstock status");
  std::error_code failed;
  if (!fs::is_directory(options.folder, failed))
    return fail(Code::kNotFound, fmt::format("{} is no folder", options.folder));
  if (options.name.empty())
    options.name = fs::canonical(options.folder, failed).filename().string();
  if (options.name.empty())
    return inv.usage("a name is needed for what this synchronization manages",
                     "penstock catalog sync FOLDER --name NAME");
  if (!options.watch) {
    if (!options.write.deadline.empty())
      return inv.usage("--deadline is of no use without --watch", kTry);
    return sync_once(inv, options, false);
  }
  if (!options.write.dry_run.empty())
    return inv.usage("--watch with --dry-run would repeat itself", kTry);
  std::optional<std::chrono::steady_clock::time_point> end;
  if (!options.write.deadline.empty())
    end = std::chrono::steady_clock::now() + PENSTOCK_TRY(parse_duration(options.write.deadline));
  std::string seen;
  bool again = false;  // the server was away: the same files once more
  while (!inv.console().gone() && (!end || std::chrono::steady_clock::now() < *end)) {
    if (const auto now = fingerprint(options.folder, inv.io()); now != seen || again) {
      const bool first = seen.empty();
      // What is wrong is said; the files are looked at again when they change.
      const auto done = sync_once(inv, options, !first);
      if (!done) inv.console().error(done.error());
      again = !done && retryable(done.error().code);
      seen = now;
    }
    std::this_thread::sleep_for(kLookAgain);
  }
  return Exit::kDone;
}

}  // namespace

void add_catalog_file_verbs(Verbs& verbs, CLI::App& catalog) {
  auto options = std::make_shared<Options>();
  Verb& out = verbs.add(
      "export", "definitions and profiles as YAML files that `apply` takes",
      {"penstock catalog export catalog.d --prune", "penstock catalog export - > catalog.yaml"},
      &catalog);
  out.app->add_option("to", options->to, "a folder, a file FILE.yaml, - for standard output")
      ->required();
  out.app->add_flag("--prune", options->prune,
                    "remove files of earlier exports whose objects are gone");
  out.completes({"", Complete::kFile, {}});
  out.on([options](Invocation& inv) { return export_catalog(inv, *options); });

  options = std::make_shared<Options>();
  Verb& in = verbs.add("import", "definitions and profiles of files or folders, all or nothing",
                       {"penstock catalog import catalog.d --dry-run=server",
                        "penstock catalog import catalog.yaml"},
                       &catalog);
  in.app->add_option("from", options->from, "files, folders and those below, - for standard input")
      ->required();
  options->write.declare(in);
  in.completes({"", Complete::kFile, {}});
  in.on([options](Invocation& inv) { return import_catalog(inv, *options); });

  options = std::make_shared<Options>();
  Verb& sync = verbs.add("sync", "make the catalog what a folder says; says first what it will do",
                         {"penstock catalog sync catalog.d --dry-run=server",
                          "penstock catalog sync catalog.d --prune",
                          "penstock catalog sync catalog.d --prune --watch"},
                         &catalog);
  sync.app->add_option("folder", options->folder, "YAML or JSON files, also in folders below")
      ->required();
  sync.app->add_flag("--prune", options->prune,
                     "delete what came from this folder and is not in it any more");
  sync.app->add_option("--name", options->name,
                       "of the synchronization, kept in its objects; else the folder's name");
  sync.app->add_flag("-w,--watch", options->watch, "go on whenever a file changes");
  options->write.declare(sync);
  sync.completes({"", Complete::kFile, {}});
  sync.on([options](Invocation& inv) { return sync_catalog(inv, *options); });
}

}  // namespace penstock::cli
