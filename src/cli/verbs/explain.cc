#include <fmt/format.h>

#include "cli/api.h"
#include "cli/codes.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

struct Options {
  std::vector<std::string> words;
  std::string host;
  bool markdown = false;
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

// Of what is printed everywhere: cause and remedy. Needs no server.
Result<Exit> explain_code(Invocation& inv, const Options& options) {
  Console& console = inv.console();
  if (options.markdown) {
    console.write(codes_markdown());
    return Exit::kDone;
  }
  if (options.words.size() == 1) {
    for (const auto& code : all_codes())
      console.line(fmt::format("{:<11}  {:<20}  {}", code.group, code.name, code.cause));
    return Exit::kDone;
  }
  const auto found = codes_named(options.words[1]);
  if (found.empty()) {
    std::vector<std::string> names;
    for (const auto& code : all_codes()) names.push_back(code.name);
    const auto like = nearest(options.words[1], names);
    return fail(Code::kNotFound, fmt::format("there is no code \"{}\"", options.words[1]),
                like.empty() ? "see: penstock explain code" : "see: penstock explain code " + like);
  }
  for (const auto& code : found) {
    console.line(fmt::format("{} ({}): {}", code.name, code.group, code.cause));
    if (!code.remedy.empty()) console.line("  " + code.remedy);
    if (!code.more.empty()) console.line("  " + code.more);
  }
  return Exit::kDone;
}

Result<Exit> explain(Invocation& inv, const Options& options) {
  constexpr std::string_view kTry = "penstock explain vm TENANT/NAME";
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  if (options.words[0] == "code") return explain_code(inv, options);
  if (options.markdown) return inv.usage("--markdown is for codes", "penstock explain code");
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
  Verb& verb = verbs.add(
      "explain", "what is wanted of an object, what is applied, what is waited for and why",
      {"penstock explain vm acme/web-1", "penstock explain enablement/acme/web-firewall --host h3",
       "penstock explain code policy_deny"});
  verb.app
      ->add_option("object", options->words,
                   "KIND NAME or KIND/NAME; or code NAME: what a code means")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("--host", options->host, "only what concerns this host");
  verb.app->add_flag("--markdown", options->markdown, "all codes, as docs/codes.md");
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--host", Complete::kNameOfKind, {"host"}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return explain(inv, *options); });
}

}  // namespace penstock::cli
