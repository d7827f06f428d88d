#include <chrono>

#include <fmt/format.h>

#include "lab/form.h"
#include "lab/guard.h"
#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct Options {
  std::string file, name;
  bool keep = false;
};

void how_to_go_on(Invocation& inv, const Lab& lab) {
  inv.console().line("  " + environment(lab));
  inv.console().try_next(fmt::format("penstock lab status {}", lab.folder().lab()));
}

Result<Exit> build(Invocation& inv, const Topology& topology, bool keep) {
  const auto start = std::chrono::steady_clock::now();
  auto lab = Lab::up(topology, timed_progress(inv.console()), keep);
  if (!lab) {
    auto error = std::move(lab).error();
    if (error.hint.empty() && Folder(topology.name).exists())
      error.hint = fmt::format("penstock lab down {}", topology.name);
    return std::unexpected(std::move(error));
  }
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  inv.console().line(fmt::format("lab {} is up after {:.1f} s", topology.name, passed.count()));
  how_to_go_on(inv, *lab);
  return Exit::kDone;
}

Result<Exit> up(Invocation& inv, const Options& options) {
  PENSTOCK_CHECK(need_root());
  auto topology = PENSTOCK_TRY(read_topology(options.file));
  if (!options.name.empty()) {
    if (const auto good = check_lab_name(options.name); !good)
      return inv.usage(good.error(), "penstock lab up --help");
    topology.name = options.name;
  }
  if (const auto lab = PENSTOCK_TRY(Lab::already_up(topology))) {
    inv.console().line(fmt::format("lab {} is up already", topology.name));
    how_to_go_on(inv, *lab);
    return Exit::kDone;
  }
  return guarded(
      inv, [&] { return std::vector{topology.name}; },
      [&] { return build(inv, topology, options.keep); });
}

}  // namespace

void add_up(Below& below) {
  auto options = std::make_shared<Options>();
  auto& verb = below.add("up", "build a lab from a topology file",
                         {"penstock lab up examples/figure1.yaml --name mine"});
  verb.app->add_option("file", options->file, "topology (see: penstock lab schema)")->required();
  verb.app->add_option("--name", options->name, "instead of the name in the file");
  verb.app->add_flag("--keep", options->keep,
                     "leave the lab up when the server refuses its objects");
  verb.completes({"", cli::Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return up(inv, *options); });
}

}  // namespace penstock::lab
