// Runs simulated deployments from seeds: penstock-sim --seed 7, penstock-sim --seeds 200 --twice.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "sim/defect.h"
#include "sim/world.h"

namespace {

using penstock::sim::Defect;
using penstock::sim::RunOptions;
using penstock::sim::RunReport;

std::string replay(const RunOptions& options) {
  auto command = fmt::format("penstock-sim --seed {} --steps {}", options.seed, options.steps);
  for (const auto& info : penstock::sim::defects())
    if (info.defect == options.defect) command += fmt::format(" --plant {}", info.name);
  return command;
}

void print_broken(const RunOptions& options, const RunReport& report) {
  fmt::print("\nseed {}, step {}: broken: {}\n  {}\n\nthe last {} lines of the trace:\n",
             report.seed, report.step, report.broken->invariant, report.broken->details,
             report.last_lines.size());
  for (const auto& line : report.last_lines) fmt::print("  {}\n", line);
  fmt::print("\nagain:  {} --verbose\n", replay(options));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulated deployments: server, hosts, networks and accidents from a seed."};
  std::uint64_t seed = 0, first = 1, seeds = 0;
  int steps = RunOptions{}.steps;
  bool twice = false, verbose = false, list = false;
  std::string plant;
  app.add_option("--seed", seed, "run this one world");
  app.add_option("--seeds", seeds, "run this many worlds");
  app.add_option("--first", first, "the first of them");
  app.add_option("--steps", steps, "operations and accidents in a world");
  app.add_flag("--twice", twice, "each world twice: the traces must be equal");
  app.add_flag("--verbose", verbose, "print every line of the trace");
  app.add_option("--plant", plant, "plant a defect: the run must find it (exit code 3)");
  app.add_flag("--list-defects", list, "the defects that can be planted");
  CLI11_PARSE(app, argc, argv);

  if (list) {
    for (const auto& info : penstock::sim::defects())
      fmt::print("{:20} {}\n", info.name, info.help);
    return 0;
  }
  RunOptions options;
  options.steps = steps;
  options.loud = verbose;
  if (!plant.empty()) {
    const auto defect = penstock::sim::find_defect(plant);
    if (!defect) return fmt::print(stderr, "no defect is called \"{}\"\n", plant), 2;
    options.defect = *defect;
  }
  if (seed != 0) first = seed, seeds = 1;
  if (seeds == 0) seeds = 1;

  std::int64_t revisions = 0;
  std::size_t lines = 0;
  double simulated = 0;
  int succeeded = 0, refused = 0, gave_up = 0;
  for (auto next = first; next < first + seeds; ++next) {
    options.seed = next;
    const auto report = penstock::sim::run(options);
    if (report.broken) {
      print_broken(options, report);
      return options.defect == Defect::kNone ? 1 : 3;
    }
    if (twice) {
      const auto again = penstock::sim::run(options);
      if (again.hash != report.hash) {
        fmt::print("seed {}: two runs differ: {} lines {}, {} lines {}\n", next, report.trace_lines,
                   report.hash, again.trace_lines, again.hash);
        return 1;
      }
    }
    revisions += report.revisions;
    lines += report.trace_lines;
    simulated += report.simulated_s;
    succeeded += report.succeeded;
    refused += report.refused;
    gave_up += report.gave_up;
    if (seeds == 1) fmt::print("seed {}: trace {}\n", next, report.hash);
  }
  fmt::print(
      "{} worlds{}, {:.0f} simulated seconds, {} trace lines, {} revisions; requests: {} done, "
      "{} refused, {} given up\n",
      seeds, twice ? " twice" : "", simulated, lines, revisions, succeeded, refused, gave_up);
  return 0;
}
