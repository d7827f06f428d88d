#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock enable PROFILE --level LEVEL --on vm/TENANT/NAME";

struct Options {
  std::string profile, level, on, name;
  bool mandatory = false, not_mandatory = false;
  WriteFlags write;
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

Result<Exit> enable(Invocation& inv, const Options& options) {
  auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  const auto target = parse_target(options.on, PENSTOCK_TRY(inv.settings())->tenant);
  if (!target) return inv.usage(target.error(), kTry);
  Json request = target->json();
  request["profile"] = options.profile;
  if (!options.level.empty()) request["level"] = options.level;
  if (!options.name.empty()) request["name"] = options.name;
  if (options.mandatory && options.not_mandatory)
    return inv.usage("--mandatory or --not-mandatory, not both", kTry);
  if (options.mandatory || options.not_mandatory) request["mandatory"] = options.mandatory;
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer =
      PENSTOCK_TRY(api.post("/v1/tenants/" + encode(target->tenant) + ":enable", request, *write));

  const Json& outcome = at(answer, "outcome");
  const Json& enablement = at(answer, "enablement");
  ObjectRef ref = ref_of(enablement);
  ref.kind = &kind_of<v1::Enablement>();
  if (ref.tenant.empty()) ref.tenant = target->tenant;
  const auto level = text_at(at(enablement, "spec", "level"));
  const auto vms = number_at(at(enablement, "status", "vms"));
  const auto change = text_at(at(outcome, "change"));
  const auto approval = text_at(at(enablement, "spec", "approval", "state"));
  const bool asked = approval == "ASKED" || approval == "REFUSED";
  const std::string_view verb = write->dry_run && asked ? "would be asked for"
                                : approval == "REFUSED" ? "was refused"
                                : asked
                                    ? change == "UNCHANGED" ? "was already asked for" : "asked for"
                                : write->dry_run        ? "would be enabled"
                                : change == "UNCHANGED" ? "was already enabled"
                                : change == "UPDATED"   ? "changed"
                                                        : "enabled";
  Console& console = inv.console();
  console.line(fmt::format("{}{} on {}: {}{}", options.profile,
                           level.empty() ? "" : " (" + level + ")", target->text(), verb,
                           vms > 0 ? fmt::format(", {} VM{}", vms, vms == 1 ? "" : "s") : ""));
  if (write->dry_run) return Exit::kDone;
  if (asked) {
    for (const auto& warning : at(outcome, "warnings"))
      console.line(console.paint(Tone::kWarning, "warning: " + text_at(warning)));
    return say_asked(console, options, enablement, ref);
  }
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
       "penstock enable ips --level gold --on pool/web -t acme"});
  verb.app->add_option("profile", options->profile, "a service of `penstock catalog`")->required();
  verb.app->add_option("--on", options->on, "vm/NAME, nic/VM/NIC, pool/NAME or network/NAME")
      ->required();
  verb.app->add_option("--level", options->level, "service level; else the profile's first");
  verb.app->add_option("--name", options->name,
                       "of the enablement; else made of profile and target");
  verb.app->add_flag("--mandatory", options->mandatory,
                     "the owner sees it and cannot switch it off (administrators)");
  verb.app->add_flag("--not-mandatory", options->not_mandatory, "the owner may again");
  options->write.declare(verb);
  verb.completes({"", Complete::kCatalog, {}});
  verb.completes({"--on", Complete::kTarget, {}});
  verb.completes({"--level", Complete::kLevel, {}});
  verb.on([options](Invocation& inv) { return enable(inv, *options); });
}

}  // namespace penstock::cli
