#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "lab/guard.h"
#include "lab/scenario/report.h"
#include "lab/scenario/runner.h"
#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;
using cli::Tone;

// The codes of this verb: passed, failed, nothing tested.
constexpr auto kPassed = Exit::kDone, kFailed = Exit::kNo, kNothing = Exit::kUsage;

struct Options {
  std::vector<std::string> files;
  std::string junit;
  bool keep = false, verbose = false;
};

// Files, and the *.scenario below folders in the order of their names.
std::vector<std::string> files_of(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const auto& path : given) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.path().extension() == ".scenario") inside.push_back(entry.path());
    std::ranges::sort(inside);
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

void tell(cli::Console& console, const Verdict& verdict) {
  console.line(fmt::format(
      "{}  {:<40} {:5.1f} s  {}",
      verdict.passed() ? console.paint(Tone::kGood, "ok    ") : console.paint(Tone::kBad, "FAILED"),
      verdict.name, verdict.time.count(), verdict.file));
  if (verdict.passed()) return;
  console.line(fmt::format("        {}  {}", verdict.place, verdict.failure));
  std::istringstream output(verdict.output);
  for (std::string line; std::getline(output, line);) console.line("          | " + line);
}

Result<Exit> run_all(Invocation& inv, const std::vector<Scenario>& scenarios,
                     const std::vector<std::string>& labs, const Options& options) {
  auto& console = inv.console();
  std::vector<Verdict> verdicts;
  std::size_t expectations = 0, failed = 0;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    verdicts.push_back(run_scenario(
        scenarios[i],
        {.lab = labs[i], .keep_failed = options.keep, .progress = [&](const std::string& step) {
           if (options.verbose) console.note("        " + step);
           console.progress(
               fmt::format("{} of {}  {}: {}", i + 1, scenarios.size(), scenarios[i].name, step));
         }}));
    tell(console, verdicts.back());
    expectations += verdicts.back().expectations;
    failed += !verdicts.back().passed();
    if (!verdicts.back().passed() && options.keep) {
      console.line(fmt::format("        lab {} stays up", labs[i]));
      console.try_next("penstock lab status " + labs[i]);
    }
  }
  console.line(failed == 0
                   ? console.paint(Tone::kGood, fmt::format("passed: {} scenarios, {} expectations",
                                                            scenarios.size(), expectations))
                   : console.paint(Tone::kBad, fmt::format("FAILED: {} of {} scenarios", failed,
                                                           scenarios.size())));
  if (!options.junit.empty()) {
    std::ofstream file(options.junit);
    file << junit_xml(verdicts);
    if (!file.flush()) return fail_errno(errno, options.junit);
  }
  return failed == 0 ? kPassed : kFailed;
}

Result<Exit> test(Invocation& inv, const Options& options) {
  auto& console = inv.console();
  if (const auto root = need_root(); !root) {
    console.error(root.error());
    return kNothing;
  }
  std::vector<Scenario> scenarios;
  bool good = true;
  for (const auto& file : files_of(options.files)) {
    auto scenario = read_scenario(file);
    if (scenario) {
      scenarios.push_back(std::move(*scenario));
    } else {
      console.error(scenario.error());
      good = false;
    }
  }
  if (!good || scenarios.empty()) {
    console.line("nothing tested");
    return kNothing;
  }
  std::vector<std::string> labs;
  for (const auto& scenario : scenarios) {
    auto name = lab_name(scenario.file, getpid());
    while (std::ranges::find(labs, name) != labs.end()) name += "x";  // equal names in two folders
    labs.push_back(std::move(name));
  }
  return guarded(
      inv, [&] { return labs; }, [&] { return run_all(inv, scenarios, labs, options); });
}

}  // namespace

void add_test(Below& below) {
  auto options = std::make_shared<Options>();
  auto& verb = below.add("test", "run scenario files: 0 passed, 1 failed, 2 nothing tested",
                         {"penstock lab test tests/scenarios/files",
                          "penstock lab test web.scenario --keep --junit results.xml"});
  verb.app
      ->add_option("file", options->files, "files, or folders with *.scenario (docs/scenarios.md)")
      ->required();
  verb.app->add_option("--junit", options->junit, "write JUnit XML to this file");
  verb.app->add_flag("--keep", options->keep, "leave the labs of failed scenarios up");
  verb.app->add_flag("-v,--verbose", options->verbose, "tell each step");
  verb.completes({"", cli::Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return test(inv, *options); });
}

}  // namespace penstock::lab
