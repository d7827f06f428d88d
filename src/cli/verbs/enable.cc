#include <fmt/format.h>

#include "cli/api.h"
#include "cli/effect.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock enable PROFILE --level LEVEL --on vm/TENANT/NAME";

struct Options {
  std::string profile, level, on, name;
  bool mandatory = false, not_mandatory = false, observe = false, enforce = false, confirm = false;
  WriteFlags write;
  OutputOptions output;
};

// Asked for: nothing is on, and no waiting changes that.
Exit say_asked(Console& console, const Options& options, const Json& enablement,
               const ObjectRef& ref) {
  std::string who;
  for (const auto& condition : at(enablement, "status", "conditions"))
    if (at(condition, "type") == "Ready") who = text_at(at(condition, "message"));
  const bool refused = at(enablement, "spec", "approval", "state") == "REFUSED";
  console.line(fmt::format("Nothing is on{}{}", who.empty() ? "" : ": ", who));
  console.try_next(refused ? fmt::format("penstock describe {}", ref.text())
                           : fmt::format("penstock wait {} --for=ready --deadline 1h", ref.text()));
  return options.write.wait ? Exit::kFailed : Exit::kDone;
}

// "office-firewall (basic, observing) on vm acme/web-1"
std::string subject(const Options& options, const Target& target, const Json& enablement) {
  auto how = text_at(at(enablement, "spec", "level"));
  if (at(enablement, "spec", "observe") == true) how += how.empty() ? "observing" : ", observing";
  return fmt::format("{}{} on {}", options.profile, how.empty() ? "" : " (" + how + ")",
                     target.text());
}

void say_effect(Console& console, const std::string& subject, const Json& outcome) {
  const auto change = text_at(at(outcome, "change"));
  const auto summary = effect_summary(outcome);
  if (change == "UNCHANGED")
    console.line(subject + ": was already enabled");
  else
    console.line(fmt::format("would {} {}{}{}", change == "UPDATED" ? "change" : "enable", subject,
                             summary.empty() ? "" : ": " + summary,
                             at(outcome, "effect", "examples").empty() ? "" : ":"));
  print_effect(console, outcome);
}

// Whether to go on: yes, unless live flows would be cut and nobody agrees.
Result<bool> confirmed(Invocation& inv, const Options& options, const Target& target,
                       const std::string& path, const Json& request) {
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer = PENSTOCK_TRY(api.post(path, request, {.dry_run = true}));
  const Json& outcome = at(answer, "outcome");
  if (flows_cut(outcome) == 0) return true;
  Console& console = inv.console();
  say_effect(console, subject(options, target, at(answer, "enablement")), outcome);
  if (inv.io().ask) {
    const auto said = inv.io().ask("Go on? [y/N] ");
    if (said == "y" || said == "Y" || said == "yes") return true;
  }
  console.line("nothing was changed");
  return false;
}

Result<Exit> enable(Invocation& inv, const Options& options) {
  auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto target = parse_target(options.on, PENSTOCK_TRY(inv.settings())->tenant);
  if (!target) return inv.usage(target.error(), kTry);
  Json request = target->json();
  request["profile"] = options.profile;
  if (!options.level.empty()) request["level"] = options.level;
  if (!options.name.empty()) request["name"] = options.name;
  if (options.mandatory && options.not_mandatory)
    return inv.usage("--mandatory or --not-mandatory, not both", kTry);
  if (options.mandatory || options.not_mandatory) request["mandatory"] = options.mandatory;
  if (options.observe || options.enforce) request["observe"] = options.observe;
  const auto path = "/v1/tenants/" + encode(target->tenant) + ":enable";
  if (options.confirm && !write->dry_run &&
      !PENSTOCK_TRY(confirmed(inv, options, *target, path, request)))
    return Exit::kNo;
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer = PENSTOCK_TRY(api.post(path, request, *write));

  const Json& outcome = at(answer, "outcome");
  const Json& enablement = at(answer, "enablement");
  Console& console = inv.console();
  if (!form->is_table()) {
    PENSTOCK_CHECK(print_data(console, answer, *form));
    return exit_of_outcome(outcome, write->wait_applied);
  }
  const auto what = subject(options, *target, enablement);
  if (write->dry_run) {
    if (text_at(at(enablement, "spec", "approval", "state")) == "ASKED") {
      console.line(what + ": would be asked for");
      return Exit::kDone;
    }
    say_effect(console, what, outcome);
    const bool doubtful = flows_cut(outcome) > 0 || !at(outcome, "effect", "incomplete").empty();
    if (doubtful && at(enablement, "spec", "observe") != true)
      console.try_next(fmt::format("penstock enable {}{} --observe --on {}", options.profile,
                                   options.level.empty() ? "" : " --level " + options.level,
                                   target->word()));
    return Exit::kDone;
  }
  ObjectRef ref = ref_of(enablement);
  ref.kind = &kind_of<v1::Enablement>();
  if (ref.tenant.empty()) ref.tenant = target->tenant;
  const auto vms = number_at(at(enablement, "status", "vms"));
  const auto change = text_at(at(outcome, "change"));
  const auto approval = text_at(at(enablement, "spec", "approval", "state"));
  const bool asked = approval == "ASKED" || approval == "REFUSED";
  const std::string_view verb = approval == "REFUSED" ? "was refused"
                                : asked
                                    ? change == "UNCHANGED" ? "was already asked for" : "asked for"
                                : change == "UNCHANGED" ? "was already enabled"
                                : change == "UPDATED"   ? "changed"
                                                        : "enabled";
  console.line(
      fmt::format("{}: {}{}", what, verb, vms > 0 ? ", " + counted(vms, "VM") : std::string()));
  if (asked) {
    for (const auto& warning : at(outcome, "warnings"))
      console.line(console.paint(Tone::kWarning, "warning: " + text_at(warning)));
    return say_asked(console, options, enablement, ref);
  }
  if (at(enablement, "spec", "observe") == true)
    console.line(console.paint(
        Tone::kWarning, "it only observes: nothing is dropped, they are not protected by it"));
  const Exit exit =
      print_outcome(console, outcome, write->wait_applied, "penstock explain " + ref.text());
  if (!write->wait_applied)
    console.try_next(fmt::format("penstock wait {} --for=applied", ref.text()));
  return exit;
}

}  // namespace

void add_enable_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "enable", "switch a service of the catalog on for a VM, a NIC, a pool or a network",
      {"penstock enable office-firewall --level basic --on vm/acme/web-1 --wait --deadline 10s",
       "penstock enable ips --on nic/acme/web-1/eth0",
       "penstock enable ips --level gold --on pool/web -t acme",
       "penstock enable office-firewall --observe --on vm/acme/web-1",
       "penstock enable office-firewall --enforce --on vm/acme/web-1 --dry-run=server"});
  verb.app->add_option("profile", options->profile, "a service of `penstock catalog`")->required();
  verb.app->add_option("--on", options->on, "vm/NAME, nic/VM/NIC, pool/NAME or network/NAME")
      ->required();
  verb.app->add_option("--level", options->level, "service level; else the profile's first");
  verb.app->add_option("--name", options->name,
                       "of the enablement; else made of profile and target");
  verb.app->add_flag("--mandatory", options->mandatory,
                     "the owner sees it and cannot switch it off (administrators)");
  verb.app->add_flag("--not-mandatory", options->not_mandatory, "the owner may again");
  auto* observe = verb.app->add_flag("--observe", options->observe,
                                     "judge, count and log what would be dropped; drop nothing");
  verb.app->add_flag("--enforce", options->enforce, "end observing: drop what is to be dropped")
      ->excludes(observe);
  verb.app->add_flag("--confirm", options->confirm,
                     "ask first when live flows would be cut; where nobody can be asked: exit 1");
  options->write.declare(verb);
  options->output.declare(verb, /*tables=*/false);
  verb.completes({"", Complete::kCatalog, {}});
  verb.completes({"--on", Complete::kTarget, {}});
  verb.completes({"--level", Complete::kLevel, {}});
  verb.on([options](Invocation& inv) { return enable(inv, *options); });
}

}  // namespace penstock::cli
