// penstock check: few, fast, named probes; those of the server, and what only this end can see.
#include <chrono>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/junit.h"
#include "cli/verbs/operations.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock check";

struct Options {
  std::vector<std::string> names;
  std::string junit;
  OutputOptions output;
};

Json check_of(const char* name, const char* state, std::string message, std::string hint,
              std::chrono::steady_clock::time_point begun) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now() - begun)
                      .count();
  Json check{{"name", name}, {"state", state}, {"message", std::move(message)}};
  if (!hint.empty()) check["hint"] = std::move(hint);
  check["tookUs"] = std::to_string(us);
  return check;
}

// "reachable" and "token", each by a call of its own; false: the server's cannot be asked.
bool own_checks(Api& api, Json& checks) {
  const auto begun = std::chrono::steady_clock::now();
  const auto who = api.read("/v1:whoami", {});
  const auto text = api.server().text();
  if (!who && who.error().code == Code::kUnavailable) {
    checks.push_back(check_of("reachable", "FAILED", who.error().message, who.error().hint, begun));
    return false;
  }
  checks.push_back(check_of("reachable", "PASSED", text + " answers", "", begun));
  if (!who) {
    checks.push_back(check_of("token", "FAILED", who.error().message, who.error().hint, begun));
    return false;
  }
  checks.push_back(
      check_of("token", "PASSED", "is that of user " + text_at(at(*who, "user")), "", begun));
  return true;
}

void show(Console& console, const Json& checks, int failed, int warned) {
  const auto total = static_cast<int>(checks.size());
  console.line(console.paint(
      failed > 0   ? Tone::kBad
      : warned > 0 ? Tone::kWarning
                   : Tone::kGood,
      failed > 0 ? fmt::format("{} of {} failed", failed, counted(total, "check"))
                 : fmt::format("{}: {}{}", warned > 0 ? "warnings" : "ok", counted(total, "check"),
                               warned > 0 ? fmt::format(", {}", counted(warned, "warning")) : "")));
  for (const auto* wanted : {"FAILED", "WARNING", "PASSED", "SKIPPED"})
    for (const auto& check : checks) {
      const auto state = text_at(at(check, "state"));
      if (state != wanted) continue;
      const auto tone = state == "FAILED"    ? Tone::kBad
                        : state == "WARNING" ? Tone::kWarning
                        : state == "PASSED"  ? Tone::kGood
                                             : Tone::kFaint;
      console.line(fmt::format("  {} {:<17} {}", console.paint(tone, fmt::format("{:<7}", state)),
                               text_at(at(check, "name")), text_at(at(check, "message"))));
      const auto hint = text_at(at(check, "hint"));
      if (!hint.empty() && !hint.starts_with("penstock ")) console.line("          " + hint);
    }
  for (const auto& check : checks)
    if (const auto hint = text_at(at(check, "hint"));
        text_at(at(check, "state")) != "PASSED" && hint.starts_with("penstock "))
      return console.try_next(hint);
  if (failed + warned > 0) console.try_next("penstock status");
}

Result<Exit> check(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  Api& api = *PENSTOCK_TRY(inv.api());
  Json checks = Json::array();
  const bool reachable = own_checks(api, checks);
  if (reachable) {
    Query query;
    for (const auto& name : options.names) query.emplace_back("names", name);
    const Json answer = PENSTOCK_TRY(api.read("/v1:check", query));
    for (const auto& one : at(answer, "checks")) checks.push_back(one);
  }
  int failed = 0, warned = 0;
  std::vector<JunitCase> cases;
  for (const auto& one : checks) {
    const auto state = text_at(at(one, "state"));
    failed += state == "FAILED";
    warned += state == "WARNING";
    const auto object = text_at(at(one, "object"));
    cases.push_back({.group = "penstock check",
                     .name = text_at(at(one, "name")) + (object.empty() ? "" : " " + object),
                     .skipped = state == "SKIPPED",
                     .failure = state == "FAILED" ? text_at(at(one, "message")) : "",
                     .output = text_at(at(one, "hint")),
                     .seconds = static_cast<double>(number_at(at(one, "tookUs"))) / 1e6});
  }
  if (!options.junit.empty()) PENSTOCK_CHECK(write_junit(options.junit, "penstock check", cases));
  if (form->is_table())
    show(inv.console(), checks, failed, warned);
  else
    PENSTOCK_CHECK(print_data(inv.console(), Json{{"failed", failed}, {"checks", checks}}, *form));
  return failed == 0 ? Exit::kDone : Exit::kNo;
}

}  // namespace

void add_check_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("check", "few, fast, named probes of the deployment",
                         {"penstock check", "penstock check underlay-mtu disk-space",
                          "penstock check --junit check.xml -o json"});
  verb.app->add_option("names", options->names, "only these of the server's checks");
  verb.app->add_option("--junit", options->junit, "also as JUnit XML to this file");
  verb.completes({"",
                  Complete::kWords,
                  {"server", "audit-log", "disk-space", "hosts-connected", "hosts-applied",
                   "hosts-digests", "hosts-lag", "hosts-flow-table", "underlay-mtu"}});
  options->output.declare(verb, /*tables=*/false);
  verb.on([options](Invocation& inv) { return check(inv, *options); });
}

}  // namespace penstock::cli
