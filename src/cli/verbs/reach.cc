// penstock reach: what should reach what, as tests; each one a trace.
#include <chrono>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/documents.h"
#include "cli/format.h"
#include "cli/junit.h"
#include "cli/reach_file.h"
#include "cli/trace_text.h"
#include "cli/verbs/operations.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock reach -f reach.yaml";

struct Options {
  std::vector<std::string> files;
  std::string junit;
  OutputOptions output;
};

struct Outcome {
  Expectation expectation;
  std::string failure;  // empty: as expected
  Json trace;
  double seconds = 0;
};

Result<Exit> report(Invocation& inv, const Options& options, const Output& form,
                    const std::vector<Outcome>& outcomes) {
  Console& console = inv.console();
  std::size_t good = 0;
  std::vector<JunitCase> cases;
  Json list = Json::array();
  for (const auto& outcome : outcomes) {
    const auto& one = outcome.expectation;
    good += outcome.failure.empty() ? 1 : 0;
    cases.push_back({.group = one.file,
                     .name = one.text(),
                     .failure = outcome.failure,
                     .output = outcome.failure.empty() ? "" : outcome.trace.dump(2),
                     .seconds = outcome.seconds});
    Json item{{"file", one.file}, {"line", one.line},     {"from", one.from},
              {"to", one.to},     {"expect", one.expect}, {"met", outcome.failure.empty()}};
    if (!outcome.failure.empty()) item["failure"] = outcome.failure;
    item["trace"] = outcome.trace;
    list.push_back(std::move(item));
  }
  if (!options.junit.empty()) PENSTOCK_CHECK(write_junit(options.junit, "penstock reach", cases));
  const bool all = good == outcomes.size();
  if (!form.is_table()) {
    PENSTOCK_CHECK(
        print_data(console, Json{{"met", good}, {"of", outcomes.size()}, {"results", list}}, form));
    return all ? Exit::kDone : Exit::kNo;
  }
  console.line(console.paint(all ? Tone::kGood : Tone::kBad,
                             fmt::format("{} of {} as expected", good, outcomes.size())));
  std::string first;
  for (const auto& outcome : outcomes) {
    if (outcome.failure.empty()) continue;
    const auto& one = outcome.expectation;
    if (first.empty()) first = fmt::format("penstock trace {} {}", one.from, one.to);
    console.line("");
    console.line(fmt::format("{}:{}  {}: {}", one.file, one.line, one.text(), outcome.failure));
    if (outcome.trace.is_object()) print_trace(console, outcome.trace, true);
  }
  if (!all) console.try_next(first);
  return all ? Exit::kDone : Exit::kNo;
}

Result<Exit> reach(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto tenant = PENSTOCK_TRY(inv.settings())->tenant;
  std::vector<Expectation> all;
  std::vector<std::string> problems;
  for (const auto& file : options.files) {
    const auto text = PENSTOCK_TRY(read_text(file, inv.io()));
    auto read = read_reach(file == "-" ? "stdin" : file, text, tenant);
    std::ranges::move(read.all, std::back_inserter(all));
    std::ranges::move(read.problems, std::back_inserter(problems));
  }
  if (!problems.empty()) {
    for (const auto& problem : problems) inv.console().note(problem);
    inv.console().note(fmt::format("{}; nothing was run.", counted(std::ssize(problems), "error")));
    return Exit::kInvalid;
  }
  Api& api = *PENSTOCK_TRY(inv.api());
  std::vector<Outcome> outcomes;
  for (auto& one : all) {
    inv.console().progress(
        fmt::format("{} of {}: {}", outcomes.size() + 1, all.size(), one.text()));
    const auto begun = std::chrono::steady_clock::now();
    auto trace = api.post("/v1/tenants/" + encode(one.tenant) + ":trace", one.request, {});
    Outcome outcome;
    outcome.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (trace) {
      outcome.trace = std::move(*trace);
      outcome.failure = unmet(one, outcome.trace);
    } else {
      // Of one that names what is not there the others still are answers; of no server none is.
      if (trace.error().code == Code::kUnavailable || trace.error().code == Code::kUnauthenticated)
        return std::unexpected(std::move(trace).error());
      outcome.failure = trace.error().message;
    }
    outcome.expectation = std::move(one);
    outcomes.push_back(std::move(outcome));
  }
  return report(inv, options, *form, outcomes);
}

}  // namespace

void add_reach_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "reach", "expectations of what reaches what, as tests; each one is traced",
      {"penstock reach -f reach.yaml", "penstock reach -f reach.yaml --junit reach.xml -o json"});
  verb.app->add_option("-f,--filename", options->files, "file of expectations, - for stdin")
      ->required();
  verb.app->add_option("--junit", options->junit, "also as JUnit XML to this file");
  verb.completes({"-f", Complete::kFile, {}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return reach(inv, *options); });
}

}  // namespace penstock::cli
