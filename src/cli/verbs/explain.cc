#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

struct Options {
  std::vector<std::string> words;
  std::string host;
  OutputOptions output;
};

bool mentions(const Json& line, const std::string& host) {
  if (text_at(at(line, "text")).find(host) != std::string::npos) return true;
  for (const auto& child : at(line, "children")) {
    if (mentions(child, host)) return true;
  }
  return false;
}

void show(Console& console, const Json& line, int depth) {
  const bool decisive = at(line, "decisive") == true;
  const auto text = text_at(at(line, "text"));
  const std::string mark = decisive && text.find("<--") == std::string::npos ? "   <==" : "";
  console.line(std::string(static_cast<std::size_t>(depth) * 2, ' ') +
               console.paint(decisive ? Tone::kWarning : Tone::kPlain, text + mark));
  for (const auto& child : at(line, "children")) show(console, child, depth + 1);
}

Result<Exit> explain(Invocation& inv, const Options& options) {
  constexpr std::string_view kTry = "penstock explain vm TENANT/NAME";
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto ref = parse_ref(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  Api& api = *PENSTOCK_TRY(inv.api());
  Query query{{"kind", ref->kind->name}};
  if (!ref->tenant.empty()) query.emplace_back("tenant", ref->tenant);
  query.emplace_back("name", ref->name);
  const Json answer = PENSTOCK_TRY(api.read("/v1:explain", query));
  Console& console = inv.console();
  if (!form->is_table()) {
    PENSTOCK_CHECK(print_data(console, answer, *form));
    return Exit::kDone;
  }
  console.line(text_at(at(answer, "headline")));
  for (const auto& line : at(answer, "lines")) {
    if (options.host.empty() || mentions(line, options.host)) show(console, line, 1);
  }
  for (const auto& rollout : at(answer, "rollouts")) {
    for (const auto& host : at(rollout, "waiting")) {
      const auto name = text_at(at(host, "host")), message = text_at(at(host, "message"));
      if (!options.host.empty() && name != options.host) continue;
      console.line(fmt::format("  {} {} at revision {}{}", name, text_at(at(host, "state")),
                               number_at(at(host, "appliedRevision")),
                               message.empty() ? "" : ": " + message));
    }
  }
  console.line(fmt::format("As of revision {}.", number_at(at(answer, "revision"))));
  for (const auto& hint : at(answer, "hints")) console.try_next(text_at(hint));
  return Exit::kDone;
}

}  // namespace

void add_explain_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("explain",
                         "what is wanted of an object, what is applied, what is waited for and why",
                         {"penstock explain vm acme/web-1",
                          "penstock explain enablement/acme/web-firewall --host h3"});
  verb.app->add_option("object", options->words, "KIND NAME or KIND/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("--host", options->host, "only what concerns this host");
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--host", Complete::kNameOfKind, {"host"}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return explain(inv, *options); });
}

}  // namespace penstock::cli
