#include <fmt/format.h>

#include "cli/api.h"
#include "cli/documents.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

struct Options {
  std::string name, file;
};

// No member of a spec is called spec: with one the file has a definition around its part.
bool has_spec(const Json& document) {
  return at(document, "spec").is_object();
}

// The server's paths start at "part"; in a file with a whole definition that is its "spec".
Exit say_part_errors(Console& console, const Document& document, const Error& error) {
  const bool whole = has_spec(document.object);
  for (ErrorDetail detail : error.details) {
    if (detail.field.starts_with("part")) {
      detail.field = whole ? "spec" + detail.field.substr(4)
                           : detail.field.substr(detail.field.starts_with("part.") ? 5 : 4);
    }
    console.note(problem_line(document, detail));
  }
  console.note(error.message + "; nothing was changed.");
  return exit_of(error.code);
}

std::string said(const Json& answer) {
  const auto change = text_at(at(answer, "outcome", "change"));
  return change == "UNCHANGED" ? "unchanged" : change == "CREATED" ? "created" : "changed";
}

Result<Exit> add_part(Invocation& inv, const Options& options) {
  const Documents documents = PENSTOCK_TRY(load_documents({options.file}, false, inv.io(), ""));
  Console& console = inv.console();
  if (!documents.problems.empty()) {
    for (const auto& problem : documents.problems) console.note(problem);
    return Exit::kInvalid;
  }
  if (documents.all.size() != 1) {
    return fail(Code::kInvalidArgument, fmt::format("{}: one document is needed, not {}",
                                                    options.file, documents.all.size()));
  }
  const Json& part = documents.all[0].object;
  Api& api = *PENSTOCK_TRY(inv.api());
  const auto answer = api.post("/v1/definitions/" + encode(options.name) + ":add",
                               Json{{"part", has_spec(part) ? at(part, "spec") : part}}, {});
  if (!answer) {
    if (answer.error().details.empty()) return std::unexpected(answer.error());
    return say_part_errors(console, documents.all[0], answer.error());
  }
  console.line(fmt::format("draft of definition {} {}", options.name, said(*answer)));
  console.try_next("penstock definition submit " + options.name);
  return Exit::kDone;
}

Result<Exit> submit(Invocation& inv, const Options& options) {
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json answer = PENSTOCK_TRY(
      api.post("/v1/definitions/" + encode(options.name) + ":submit", Json::object(), {}));
  inv.console().line(fmt::format("definition {} submitted, version {}", options.name,
                                 text_at(at(answer, "object", "spec", "version"))));
  inv.console().try_next("penstock describe definition " + options.name);
  return Exit::kDone;
}

}  // namespace

void add_definition_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& definition = verbs.add(
      "definition", "a service definition as a series of calls: draft, add, submit",
      {"penstock definition add acme-ips -f levels.yaml", "penstock definition submit acme-ips"});
  definition.app->require_subcommand(1);
  Verb& add = verbs.add("add", "merge a part into a draft: scalars replace, lists append",
                        {"penstock definition add acme-ips -f levels.yaml"}, definition.app);
  add.app->add_option("name", options->name, "the definition")->required();
  add.app
      ->add_option("-f,--filename", options->file,
                   "a file, - for standard input: members of spec, or a whole definition")
      ->required();
  add.completes({"", Complete::kNameOfKind, {"definition"}});
  add.completes({"--filename", Complete::kFile, {}});
  add.on([options](Invocation& inv) { return add_part(inv, *options); });
  Verb& send = verbs.add("submit", "check a draft as a whole and make it final for its version",
                         {"penstock definition submit acme-ips"}, definition.app);
  send.app->add_option("name", options->name, "the definition")->required();
  send.completes({"", Complete::kNameOfKind, {"definition"}});
  send.on([options](Invocation& inv) { return submit(inv, *options); });
}

}  // namespace penstock::cli
