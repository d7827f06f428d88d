#include <fmt/format.h>

#include "lab/verbs/verbs.h"
#include "model/kinds.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct ExecOptions {
  std::string lab, node;
  std::vector<std::string> command;
};

Result<Exit> exec(Invocation&, const ExecOptions& options) {
  PENSTOCK_CHECK(need_root());
  const auto lab = PENSTOCK_TRY(Lab::attach(options.lab));
  auto spec = PENSTOCK_TRY(lab.enter(options.node));
  spec.words = options.command;
  if (!spec.words.empty() && spec.words.front() == "--") spec.words.erase(spec.words.begin());
  if (spec.words.empty()) spec.words = {"/bin/sh"};
  return static_cast<Exit>(PENSTOCK_TRY(run_in(spec)));
}

struct RestartOptions {
  std::string lab, program;
  bool kill = false;
};

Result<Exit> restart(Invocation& inv, const RestartOptions& options) {
  PENSTOCK_CHECK(need_root());
  const auto lab = PENSTOCK_TRY(Lab::attach(options.lab));
  PENSTOCK_CHECK(lab.restart(options.program, options.kill));
  inv.console().line(fmt::format("{} of lab {} was started again", options.program, options.lab));
  return Exit::kDone;
}

}  // namespace

void add_exec(Below& below) {
  auto options = std::make_shared<ExecOptions>();
  auto& verb = below.add("exec", "run a command in a host, a router, a system, a device or a VM",
                         {"penstock lab exec figure1 acme/web -- curl http://10.0.1.12",
                          "penstock lab exec figure1 h1"});
  verb.app->add_option("lab", options->lab)->required();
  verb.app->add_option("node", options->node, "h1, router, server, a remote, or TENANT/VM")
      ->required();
  verb.app->add_option("command", options->command, "else a shell");
  verb.app->positionals_at_end();
  verb.completes(lab_place()).completes(node_place()).completes({"", cli::Complete::kFile, {}});
  verb.on([options](Invocation& inv) { return exec(inv, *options); });
}

void add_restart(Below& below) {
  auto options = std::make_shared<RestartOptions>();
  auto& verb = below.add("restart", "stop and start a daemon of a lab; traffic goes on",
                         {"penstock lab restart figure1 h1 --kill"});
  verb.app->add_option("lab", options->lab)->required();
  verb.app->add_option("program", options->program, "a host, or \"server\"")->required();
  verb.app->add_flag("--kill", options->kill, "kill -9 instead of a clean stop");
  verb.completes(lab_place()).completes(node_place());
  verb.on([options](Invocation& inv) { return restart(inv, *options); });
}

}  // namespace penstock::lab
