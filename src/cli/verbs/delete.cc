#include <algorithm>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/documents.h"
#include "cli/effect.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock delete vm acme/web-1";

struct Options {
  std::vector<std::string> words, files;
  bool cascade = false, recursive = false, ignore_not_found = false;
  WriteFlags write;
};

struct Wanted {
  std::vector<ObjectRef> refs;
  bool absent_is_fine = false;
};

Result<Wanted> from_files(Invocation& inv, const Options& options, const std::string& tenant) {
  Wanted wanted{.refs = {}, .absent_is_fine = true};
  const Documents documents =
      PENSTOCK_TRY(load_documents(options.files, options.recursive, inv.io(), tenant));
  Error error{.code = Code::kInvalidArgument,
              .message = "the files cannot be read; nothing was deleted",
              .details = {},
              .hint = {}};
  for (const auto& problem : documents.problems) error.details.push_back({"", problem, ""});
  for (const auto& document : documents.all) {
    ObjectRef ref = ref_of(document.object);
    if (!ref.kind || ref.name.empty() || (ref.kind->tenant_scoped && ref.tenant.empty())) {
      error.details.push_back(
          {"", document.place_of({}) + "  names no object: kind, metadata.name, metadata.tenant",
           ""});
      continue;
    }
    if (!ref.kind->tenant_scoped) ref.tenant.clear();
    wanted.refs.push_back(std::move(ref));
  }
  if (!error.details.empty()) return std::unexpected(std::move(error));
  // What was applied last leans on what was applied first.
  std::ranges::reverse(wanted.refs);
  return wanted;
}

void say_deleted(Console& console, const ObjectRef& ref, const Json& answer, bool dry_run) {
  const auto effect = effect_summary(at(answer, "outcome"));
  console.line(fmt::format("{} {}{}", ref.display(), dry_run ? "would be deleted" : "deleted",
                           effect.empty() ? "" : ": " + effect));
  for (const auto& other : at(answer, "deleted")) {
    const auto tenant = text_at(at(other, "tenant")), name = text_at(at(other, "name"));
    const auto kind = kind_named(text_at(at(other, "kind")));
    if (!kind || (*kind == ref.kind && tenant == ref.tenant && name == ref.name)) continue;
    console.line(fmt::format("  with it: {}", ObjectRef{*kind, tenant, name}.display()));
  }
  print_effect(console, at(answer, "outcome"));
}

Result<Exit> remove(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  if (options.words.empty() == options.files.empty()) {
    return inv.usage("either objects or files (-f) are needed", kTry);
  }
  const std::string tenant = PENSTOCK_TRY(inv.settings())->tenant;
  Wanted wanted;
  if (options.files.empty()) {
    auto refs = parse_refs(options.words, tenant);
    if (!refs) return inv.usage(refs.error(), kTry);
    wanted = {std::move(*refs), options.ignore_not_found};
  } else {
    wanted = PENSTOCK_TRY(from_files(inv, options, tenant));
  }
  Api& api = *PENSTOCK_TRY(inv.api());
  Console& console = inv.console();
  Exit exit = Exit::kDone;
  for (const auto& ref : wanted.refs) {
    const auto answer = api.remove(ref.location(), options.cascade, *write);
    if (answer) {
      say_deleted(console, ref, *answer, write->dry_run);
      const Exit end =
          print_outcome(console, at(*answer, "outcome"), write->wait_applied, "penstock status");
      if (exit == Exit::kDone) exit = end;
      continue;
    }
    if (answer.error().code == Code::kNotFound && wanted.absent_is_fine) {
      console.line(ref.display() + " is not there");
      continue;
    }
    // One that cannot be deleted does not keep the others.
    Error error = answer.error();
    if (error.code == Code::kFailedPrecondition && !options.cascade) {
      // Some users of an object outlive it even so; what would be refused again is not advised.
      const auto all = api.remove(ref.location(), /*cascade=*/true, {.dry_run = true});
      if (all) {
        error.hint = fmt::format("penstock delete {} --cascade", ref.text());
      } else {
        error.message += fmt::format("; with --cascade too: {}", all.error().message);
        error.hint = all.error().hint;
      }
    }
    console.error(error);
    if (exit == Exit::kDone) exit = exit_of(error.code);
    if (error.code == Code::kUnavailable) break;
  }
  return exit;
}

}  // namespace

void add_delete_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("delete", "objects by name, or those of files in reverse order",
                         {"penstock delete vm acme/web-1",
                          "penstock delete network acme/blue --cascade --wait --deadline 10s",
                          "penstock delete -f topology.yaml"});
  verb.app->add_option("objects", options->words, "KIND NAME... or KIND/NAME...");
  verb.app->add_option(
      "-f,--filename", options->files,
      "files, folders, - for standard input; objects that are not there count as deleted");
  verb.app->add_flag("-R,--recursive", options->recursive, "folders below folders too");
  verb.app->add_flag("--cascade", options->cascade,
                     "what depends on it too; else it is refused while in use");
  verb.app->add_flag("--ignore-not-found", options->ignore_not_found,
                     "an object that is not there counts as deleted");
  options->write.declare(verb);
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--filename", Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return remove(inv, *options); });
}

}  // namespace penstock::cli
