#include <fmt/format.h>

#include "cli/api.h"
#include "cli/applying.h"
#include "cli/difference.h"
#include "cli/documents.h"
#include "cli/effect.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

struct Options {
  std::vector<std::string> files;
  bool recursive = false;
};

// What is there now; null when it is not.
Result<Json> live(Api& api, const Json& object) {
  ObjectRef ref = ref_of(object);
  if (!ref.kind->tenant_scoped) ref.tenant.clear();
  auto found = api.get(ref.location());
  if (!found && found.error().code == Code::kNotFound) return Json();
  return found;
}

Result<Exit> diff(Invocation& inv, const Options& options) {
  const Documents documents = PENSTOCK_TRY(load_documents(
      options.files, options.recursive, inv.io(), PENSTOCK_TRY(inv.settings())->tenant));
  Console& console = inv.console();
  if (!documents.problems.empty()) {
    for (const auto& problem : documents.problems) console.note(problem);
    return Exit::kInvalid;
  }
  Api& api = *PENSTOCK_TRY(inv.api());
  Applied applied;
  if (!documents.all.empty()) {
    // The server says what each object would become, defaults and given addresses included.
    applied = PENSTOCK_TRY(apply_documents(api, documents.all, {.dry_run = true}));
    if (!applied.problems.empty()) return say_problems(console, applied, documents.all.size());
  }
  std::size_t different = 0;
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < documents.all.size(); ++i) {
    const Json& planned = at(applied.items[i], "object");
    const Json& after = planned.is_object() ? planned : documents.all[i].object;
    const Json before = PENSTOCK_TRY(live(api, after));
    const auto title = documents.all[i].title();
    if (before.is_null()) {
      ++different;
      lines.push_back(
          fmt::format("{} {}", console.paint(Tone::kGood, "+"), title + " would be created"));
      continue;
    }
    const auto changes = difference(wanted_part(before), wanted_part(after));
    if (changes.empty()) continue;
    ++different;
    lines.push_back("~ " + title);
    for (const auto& change : changes) lines.push_back("    " + change.text());
  }
  const auto effect = effect_summary(applied.outcome);
  console.line(
      different == 0
          ? fmt::format("no difference in {}", counted(std::ssize(documents.all), "object"))
          : fmt::format("{} of {} {}{}", different, counted(std::ssize(documents.all), "object"),
                        different == 1 ? "differs" : "differ",
                        effect.empty() ? "" : "; " + effect));
  for (const auto& line : lines) console.line(line);
  if (different > 0) print_effect(console, applied.outcome);
  return different == 0 ? Exit::kDone : Exit::kNo;
}

}  // namespace

void add_diff_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("diff", "what `apply` would change; exit 1 when anything differs",
                         {"penstock diff -f firewall.yaml", "penstock diff -R -f deployment/"});
  verb.app
      ->add_option("-f,--filename", options->files,
                   "files (YAML or JSON), folders, - for standard input")
      ->required();
  verb.app->add_flag("-R,--recursive", options->recursive, "folders below folders too");
  verb.completes({"--filename", Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return diff(inv, *options); });
}

}  // namespace penstock::cli
