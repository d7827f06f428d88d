#include <fmt/format.h>

#include "cli/api.h"
#include "cli/effect.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock disable PROFILE --on vm/TENANT/NAME";

struct Options {
  std::string profile, on;
  WriteFlags write;
  OutputOptions output;
};

Result<Exit> disable(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto target = parse_target(options.on, PENSTOCK_TRY(inv.settings())->tenant);
  if (!target) return inv.usage(target.error(), kTry);
  Json request = target->json();
  request["profile"] = options.profile;
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer =
      PENSTOCK_TRY(api.post("/v1/tenants/" + encode(target->tenant) + ":disable", request, *write));
  const Json& outcome = at(answer, "outcome");
  Console& console = inv.console();
  if (!form->is_table()) {
    PENSTOCK_CHECK(print_data(console, answer, *form));
    return exit_of_outcome(outcome, write->wait_applied);
  }
  if (write->dry_run) {
    const auto summary = effect_summary(outcome);
    console.line(fmt::format("would disable {} on {}{}", options.profile, target->text(),
                             summary.empty() ? "" : ": " + summary));
    print_effect(console, outcome);
  } else {
    console.line(
        fmt::format("{} on {}: {}", options.profile, target->text(),
                    at(outcome, "change") == "UNCHANGED" ? "was not enabled" : "disabled"));
  }
  // The service may still act on the VM through a pool or a network: said aloud.
  for (const auto& warning : at(answer, "warnings")) {
    console.line(console.paint(Tone::kWarning, "warning: " + text_at(warning)));
  }
  return print_outcome(console, outcome, write->wait_applied, "penstock status");
}

}  // namespace

void add_disable_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("disable", "switch a service off where it was switched on",
                         {"penstock disable office-firewall --on vm/acme/web-1 --wait"});
  verb.app->add_option("profile", options->profile, "the service")->required();
  verb.app->add_option("--on", options->on, "vm/NAME, nic/VM/NIC, pool/NAME or network/NAME")
      ->required();
  options->write.declare(verb);
  options->output.declare(verb, /*tables=*/false);
  verb.completes({"", Complete::kCatalog, {}});
  verb.completes({"--on", Complete::kTarget, {}});
  verb.on([options](Invocation& inv) { return disable(inv, *options); });
}

}  // namespace penstock::cli
