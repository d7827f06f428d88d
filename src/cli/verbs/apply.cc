#include <fmt/format.h>

#include "cli/api.h"
#include "cli/applying.h"
#include "cli/documents.h"
#include "cli/effect.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock apply -f FILE";

struct Options {
  std::vector<std::string> files;
  bool recursive = false, exit_code = false;
  WriteFlags write;
};

std::string_view word(std::string_view change, bool dry_run) {
  if (change == "CREATED") return dry_run ? "would be created" : "created";
  if (change == "UPDATED") return dry_run ? "would be updated" : "updated";
  return "unchanged";
}

Result<Exit> apply(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  const Documents documents = PENSTOCK_TRY(load_documents(
      options.files, options.recursive, inv.io(), PENSTOCK_TRY(inv.settings())->tenant));
  Console& console = inv.console();
  if (!documents.problems.empty()) {
    for (const auto& problem : documents.problems) console.note(problem);
    console.note("The text itself is wrong; nothing was sent.");
    return Exit::kInvalid;
  }
  if (documents.all.empty()) {
    console.line("0 objects: the files are empty");
    return Exit::kDone;
  }
  Api& api = *PENSTOCK_TRY(inv.api());
  const Applied applied = PENSTOCK_TRY(apply_documents(api, documents.all, *write));
  if (!applied.problems.empty() && applied.nothing_changed) {
    return say_problems(console, applied, documents.all.size());
  }
  std::size_t created = 0, updated = 0, unchanged = 0;
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < documents.all.size(); ++i) {
    const Json& item = applied.items[i];
    if (item.empty()) continue;
    const auto change = text_at(at(item, "outcome", "change"));
    (change == "CREATED" ? created : change == "UPDATED" ? updated : unchanged) += 1;
    lines.push_back(fmt::format("  {} {}", documents.all[i].title(), word(change, write->dry_run)));
    for (const auto& warning : at(item, "outcome", "warnings"))
      lines.push_back("    warning: " + text_at(warning));
    // The only time that a token's secret is ever shown.
    if (const auto secret = text_at(at(item, "object", "status", "secret")); !secret.empty()) {
      lines.push_back("    secret, shown only now: " + secret);
    }
  }
  const auto total = created + updated + unchanged;
  const auto effect = effect_summary(applied.outcome);
  console.line(fmt::format("{}{} object{}: {} created, {} updated, {} unchanged{}",
                           write->dry_run ? "dry run: " : "", total, total == 1 ? "" : "s", created,
                           updated, unchanged, effect.empty() ? "" : "; " + effect));
  for (const auto& line : lines) console.line(line);
  print_effect(console, applied.outcome);
  if (!applied.problems.empty()) return say_problems(console, applied, documents.all.size());
  const Exit exit = print_outcome(console, applied.outcome, write->wait_applied, "penstock status");
  if (exit != Exit::kDone) return exit;
  return options.exit_code && created + updated > 0 ? Exit::kChanged : Exit::kDone;
}

}  // namespace

void add_apply_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("apply", "create or change objects as files say; all or nothing",
                         {"penstock apply -f firewall.yaml --dry-run=server",
                          "penstock apply -f services/firewall --wait --deadline 10s",
                          "penstock get vm acme/web-1 -o yaml | penstock apply -f -"});
  verb.app
      ->add_option("-f,--filename", options->files,
                   "files (YAML or JSON), folders, - for standard input")
      ->required();
  verb.app->add_flag("-R,--recursive", options->recursive, "folders below folders too");
  verb.app->add_flag("--exit-code", options->exit_code, "exit 10 when something was changed");
  options->write.declare(verb);
  verb.completes({"--filename", Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return apply(inv, *options); });
}

}  // namespace penstock::cli
