#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/counters_text.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kTry = "penstock counters vm TENANT/NAME";

struct Options {
  std::vector<std::string> words;
  bool follow = false;
  std::string every = "2s", tenant, deadline;
  OutputOptions output;
};

Result<Exit> counters(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto ref = parse_ref(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  const bool of_profile = ref->kind->name == "ServiceProfile";
  if (!of_profile && ref->kind->name != "VirtualMachine")
    return inv.usage(fmt::format("a {} has no counters: a profile or a VM has", ref->kind->name),
                     kTry);
  if (!of_profile && !options.tenant.empty())
    return inv.usage("--of-tenant is of use for a profile", "penstock counters profile NAME");
  const auto every = parse_duration(options.every);
  if (!every) return inv.usage(every.error(), kTry);
  if (*every < std::chrono::milliseconds(100)) return inv.usage("--every is at least 100ms", kTry);
  auto deadline = Clock::time_point::max();
  if (!options.deadline.empty()) {
    const auto limit = parse_duration(options.deadline);
    if (!limit) return inv.usage(limit.error(), kTry);
    deadline = Clock::now() + *limit;
  }
  Api& api = *PENSTOCK_TRY(inv.api());
  Console& console = inv.console();
  const auto tenant = of_profile ? options.tenant : ref->tenant;
  Query query{{"kind", ref->kind->name}};
  if (!tenant.empty()) query.emplace_back("tenant", tenant);
  query.emplace_back("name", ref->name);

  Json before;
  auto then = Clock::now();
  for (;;) {
    const Json answer = PENSTOCK_TRY(api.read("/v1:counters", query));
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - then).count();
    if (!form->is_table())
      PENSTOCK_CHECK(print_data(console, answer, *form));
    else
      print_counters(console, ref->display(), answer, before.is_null() ? nullptr : &before,
                     seconds);
    if (!options.follow) break;
    before = answer;
    then = now;
    if (now + *every > deadline) return Exit::kDone;
    std::this_thread::sleep_for(*every);
    if (console.gone()) return Exit::kDone;
    if (form->is_table()) console.line("");
  }
  if (form->is_table())
    console.try_next(of_profile ? "penstock describe profile " + ref->name + " --rule 1"
                                : "penstock explain " + ref->text());
  return Exit::kDone;
}

}  // namespace

void add_counters_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "counters", "what rules decided about and what NICs carried and dropped",
      {"penstock counters profile office-firewall", "penstock counters vm acme/web-1 -f"});
  verb.app->add_option("object", options->words, "KIND NAME or KIND/NAME: a profile or a VM")
      ->required()
      ->expected(1, 2);
  verb.app->add_flag("-f,--follow,--watch", options->follow, "again and again, with rates");
  verb.app->add_option("--every", options->every, "with -f: so often")->capture_default_str();
  verb.app->add_option("--of-tenant", options->tenant,
                       "of a profile: only what this tenant's NICs count");
  verb.app->add_option("--deadline", options->deadline, "with -f: end after 10s, 5m");
  verb.completes({"", Complete::kObject, {}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return counters(inv, *options); });
}

}  // namespace penstock::cli
