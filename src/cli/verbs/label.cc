#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock label vm/TENANT/NAME role=db old-";

struct Options {
  std::vector<std::string> words;
  WriteFlags write;
};

// No name of an object has a "=" or ends with "-", so the words need no order.
bool is_change(const std::string& word) {
  return word.find('=') != std::string::npos || word.ends_with('-');
}

Result<Json> labels_of(const std::vector<std::string>& words) {
  Json labels = Json::object();
  for (const auto& word : words) {
    if (!is_change(word)) continue;
    const auto equals = word.find('=');
    const bool removal = equals == std::string::npos;
    const auto key = word.substr(0, removal ? word.size() - 1 : equals);
    if (key.empty()) return fail(Code::kInvalidArgument, fmt::format("\"{}\" has no key", word));
    if (labels.contains(key))
      return fail(Code::kInvalidArgument, fmt::format("label {} is named twice", key));
    labels[key] = removal ? Json() : Json(word.substr(equals + 1));
  }
  return labels;
}

// `before`: the labels there were; what was not among them was not removed.
std::string text_of(const Json& labels, const Json& before = {}) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : labels.items())
    parts.push_back(!value.is_null()       ? key + "=" + text_at(value)
                    : before.contains(key) ? key + " removed"
                                           : key + " was not there");
  return parts.empty() ? "no labels" : fmt::format("{}", fmt::join(parts, ", "));
}

Result<Exit> label(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  std::vector<std::string> objects;
  for (const auto& word : options.words)
    if (!is_change(word)) objects.push_back(word);
  const auto refs = parse_refs(objects, PENSTOCK_TRY(inv.settings())->tenant);
  if (!refs) return inv.usage(refs.error(), kTry);
  const auto labels = labels_of(options.words);
  if (!labels) return inv.usage(labels.error(), kTry);
  Api& api = *PENSTOCK_TRY(inv.api());
  Console& console = inv.console();
  const bool removes = std::ranges::any_of(*labels, [](const Json& v) { return v.is_null(); });
  Exit exit = Exit::kDone;
  for (const auto& ref : *refs) {
    if (labels->empty()) {
      const Json object = PENSTOCK_TRY(api.get(ref.location()));
      console.line(fmt::format("{}: {}", ref.display(), text_of(at(object, "metadata", "labels"))));
      continue;
    }
    Json before = Json::object();
    if (removes)
      if (const auto object = api.get(ref.location())) before = at(*object, "metadata", "labels");
    const Json patch{{"metadata", {{"labels", *labels}}}};
    const auto answer = api.patch(ref.location(), patch, *write);
    if (!answer) {
      // One that cannot be labelled does not keep the others.
      console.error(answer.error());
      if (exit == Exit::kDone) exit = exit_of(answer.error().code);
      if (answer.error().code == Code::kUnavailable) break;
      continue;
    }
    const Json& outcome = at(*answer, "outcome");
    console.line(fmt::format("{} {}", ref.display(),
                             at(outcome, "change") == "UNCHANGED" ? "unchanged"
                             : write->dry_run ? "would be labelled: " + text_of(*labels, before)
                                              : "labelled: " + text_of(*labels, before)));
    const Exit end =
        print_outcome(console, outcome, write->wait_applied, "penstock explain " + ref.text());
    if (exit == Exit::kDone) exit = end;
  }
  return exit;
}

}  // namespace

void add_label_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("label", "set and remove labels; without any, show them",
                         {"penstock label vm/acme/web-1 role=db old-",
                          "penstock label vm acme/web-1 acme/web-2 tier=front --wait",
                          "penstock label vm/acme/web-1"});
  verb.app
      ->add_option("words", options->words,
                   "KIND NAME... or KIND/NAME..., then KEY=VALUE to set, KEY- to remove")
      ->required();
  options->write.declare(verb);
  verb.completes({"", Complete::kObject, {}});
  verb.on([options](Invocation& inv) { return label(inv, *options); });
}

}  // namespace penstock::cli
