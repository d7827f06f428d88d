#include <fmt/format.h>

#include "cli/api.h"
#include "cli/documents.h"
#include "cli/effect.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = R"(penstock patch vm/TENANT/NAME -p '{"spec": {...}}')";

struct Options {
  std::vector<std::string> words;
  std::string patch, file;
  bool exit_code = false;
  WriteFlags write;
};

Result<Json> patch_of(Invocation& inv, const Options& options) {
  std::string text = options.patch;
  if (!options.file.empty()) text = PENSTOCK_TRY(read_text(options.file, inv.io()));
  const auto documents = parse_yaml(text);
  const std::string where = options.file.empty() ? "--patch" : options.file;
  if (!documents.problems.empty()) {
    const auto& first = documents.problems.front();
    return fail(
        Code::kInvalidArgument,
        fmt::format("{}:{}:{}  {}", where, first.mark.line, first.mark.column, first.message),
        first.hint);
  }
  if (documents.roots.size() != 1 || documents.roots[0]->form != YamlNode::Form::kMapping)
    return fail(Code::kInvalidArgument, where + ": a patch is one mapping",
                R"({"metadata": {"labels": {"role": "db"}}})");
  return to_json(*documents.roots[0]);
}

Result<Exit> patch(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  if (options.patch.empty() == options.file.empty())
    return inv.usage("either --patch or --patch-file is needed", kTry);
  const auto ref = parse_ref(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  const Json body = PENSTOCK_TRY(patch_of(inv, options));
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer = PENSTOCK_TRY(api.patch(ref->location(), body, *write));
  const Json& outcome = at(answer, "outcome");
  const bool changed = at(outcome, "change") != "UNCHANGED";
  const auto effect = changed ? effect_summary(outcome) : std::string();
  inv.console().line(fmt::format("{} {}{}", ref->display(),
                                 !changed         ? "unchanged"
                                 : write->dry_run ? "would be changed"
                                                  : "changed",
                                 effect.empty() ? "" : ": " + effect));
  if (changed) print_effect(inv.console(), outcome);
  const Exit end =
      print_outcome(inv.console(), outcome, write->wait_applied, "penstock explain " + ref->text());
  return end == Exit::kDone && changed && options.exit_code ? Exit::kChanged : end;
}

}  // namespace

void add_patch_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "patch", "change some fields of an object (JSON merge patch: null removes)",
      {R"(penstock patch vm/acme/web-1 -p '{"spec": {"power": "STOPPED"}}')",
       R"(penstock patch profile office-firewall -p '{"spec": {"published": true}}' --wait)",
       "penstock patch network acme/blue --patch-file change.yaml --dry-run=server"});
  verb.app->add_option("object", options->words, "KIND NAME or KIND/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("-p,--patch", options->patch, "the patch, JSON or YAML");
  verb.app->add_option("--patch-file", options->file, "a file with it; - for standard input");
  verb.app->add_flag("--exit-code", options->exit_code, "exit 10 when something was changed");
  options->write.declare(verb);
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--patch-file", Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return patch(inv, *options); });
}

}  // namespace penstock::cli
