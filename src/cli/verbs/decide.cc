// `approve` and `refuse`: answers to what was asked for by enabling.
#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

struct Options {
  std::vector<std::string> words;
  std::string reason;
  WriteFlags write;
};

// "enablement/acme/ips-web", or the name alone.
Result<ObjectRef> enablement_of(const std::vector<std::string>& words, const std::string& tenant) {
  const Kind& kind = kind_of<v1::Enablement>();
  if (words.size() == 1) {
    const auto slash = words[0].find('/');
    const auto known = kind_named(words[0].substr(0, slash));
    if (slash == std::string::npos || !known || *known != &kind)
      return parse_name(kind, words[0], tenant);
  }
  auto ref = PENSTOCK_TRY(parse_ref(words, tenant));
  if (ref.kind != &kind)
    return fail(Code::kInvalidArgument, fmt::format("{} is no enablement", ref.text()),
                "what waits: penstock get enablements -A --awaiting");
  return ref;
}

Result<Exit> decide(Invocation& inv, const Options& options, bool grant) {
  const std::string try_next =
      fmt::format("penstock {} enablement/TENANT/NAME", grant ? "approve" : "refuse");
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), try_next);
  const auto ref = enablement_of(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), try_next);
  Json request{{"grant", grant}};
  if (!options.reason.empty()) request["reason"] = options.reason;
  const Json answer = PENSTOCK_TRY(
      (*PENSTOCK_TRY(inv.api())).post(path_of(ref->location()) + ":decide", request, *write));
  const Json& object = at(answer, "object");
  const Json& outcome = at(answer, "outcome");
  const bool unchanged = at(outcome, "change") == "UNCHANGED";
  Console& console = inv.console();
  console.line(fmt::format("{} ({}) on {} of {}: {}{}", text_at(at(object, "spec", "profile")),
                           text_at(at(object, "spec", "level")), target_text(object), ref->tenant,
                           write->dry_run ? "would be "
                           : unchanged    ? "was already "
                                          : "",
                           grant ? "granted" : "refused"));
  if (write->dry_run) return Exit::kDone;
  const Exit exit =
      print_outcome(console, outcome, write->wait_applied, "penstock explain " + ref->text());
  if (grant && !write->wait_applied)
    console.try_next(fmt::format("penstock wait {} --for=applied", ref->text()));
  return exit;
}

void add(Verbs& verbs, const char* name, const char* description, std::vector<std::string> examples,
         bool grant) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(name, description, std::move(examples));
  verb.app->add_option("enablement", options->words, "ENABLEMENT or enablement/TENANT/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("--reason", options->reason, "told to whoever asked");
  options->write.declare(verb);
  verb.completes({"", Complete::kNameOfKind, {"enablement"}});
  verb.on([options, grant](Invocation& inv) { return decide(inv, *options, grant); });
}

}  // namespace

void add_decide_verbs(Verbs& verbs) {
  add(verbs, "approve", "grant what was asked for by enabling",
      {"penstock approve enablement/acme/ips-web-1 --reason \"until the audit\"",
       "penstock get enablements -A --awaiting"},
      true);
  add(verbs, "refuse", "refuse what was asked for, or take a grant back",
      {"penstock refuse enablement/acme/ips-web-1 --reason \"no licence is left\""}, false);
}

}  // namespace penstock::cli
