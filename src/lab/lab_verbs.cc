#include "lab/lab_verbs.h"

#include <unistd.h>

#include <chrono>

#include <fmt/format.h>

#include "lab/lab.h"

namespace penstock::lab {
namespace {

using cli::Complete;
using cli::Exit;
using cli::Invocation;

Status need_root() {
  if (geteuid() == 0) return {};
  return fail(Code::kPermissionDenied,
              "a lab makes network namespaces and loads eBPF programs, which needs root",
              "sudo penstock lab ...");
}

std::string environment(const Lab& lab) {
  return fmt::format("export PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {})",
                     lab.folder().server_url(), lab.folder().admin_token_file());
}

struct UpOptions {
  std::string file, name;
};

Result<Exit> up(Invocation& inv, const UpOptions& options) {
  PENSTOCK_CHECK(need_root());
  auto topology = PENSTOCK_TRY(read_topology(options.file));
  if (!options.name.empty()) topology.name = options.name;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  auto lab = Lab::up(topology, [&](const std::string& stage) {
    inv.console().note(fmt::format("{:6.1f} s  {}", seconds(), stage));
  });
  if (!lab) {
    auto error = std::move(lab).error();
    if (error.hint.empty()) error.hint = fmt::format("penstock lab down {}", topology.name);
    return std::unexpected(std::move(error));
  }
  inv.console().line(fmt::format("lab {} is up after {:.1f} s", topology.name, seconds()));
  inv.console().line("  " + environment(*lab));
  inv.console().try_next(fmt::format("penstock lab status {}", topology.name));
  return Exit::kDone;
}

Result<Exit> down(Invocation& inv, const std::string& name) {
  PENSTOCK_CHECK(need_root());
  const bool was = Folder(name).exists();
  PENSTOCK_CHECK(Lab::down(name));
  inv.console().line(was ? fmt::format("lab {} is gone", name)
                         : fmt::format("there is no lab {}: nothing to do", name));
  return Exit::kDone;
}

std::string state_of(const Folder& folder) {
  const auto programs = folder.programs();
  const auto running = std::ranges::count_if(
      programs, [&](const auto& name) { return folder.running_pid(name) > 0; });
  if (running == 0) return "dead (penstock lab down)";
  return running == static_cast<std::ptrdiff_t>(programs.size())
             ? "up"
             : fmt::format("{} of {} programs run", running, programs.size());
}

Result<Exit> list(Invocation& inv) {
  const auto labs = Folder::all_labs();
  if (labs.empty()) inv.console().line("no labs");
  for (const auto& name : labs) {
    const auto lab = PENSTOCK_TRY(Lab::attach(name));
    inv.console().line(
        fmt::format("{:<20} {:>4} hosts  {}", name, lab.hosts().size(), state_of(lab.folder())));
  }
  inv.console().try_next(labs.empty() ? "penstock lab up examples/figure1.yaml"
                                      : fmt::format("penstock lab status {}", labs.front()));
  return Exit::kDone;
}

Result<Exit> status(Invocation& inv, const std::string& name) {
  const auto lab = PENSTOCK_TRY(Lab::attach(name));
  inv.console().line(fmt::format("lab {}: {}", name, state_of(lab.folder())));
  for (const auto& program : lab.folder().programs()) {
    const int pid = lab.folder().running_pid(program);
    inv.console().line(fmt::format("  {:<12} {:<14} log {}", program,
                                   pid > 0 ? fmt::format("pid {}", pid) : "not running",
                                   lab.folder().path("logs/" + program)));
  }
  inv.console().line("  " + environment(lab));
  inv.console().try_next(
      fmt::format("penstock lab exec {} {} -- ip -br address", name, kRouterNode));
  return Exit::kDone;
}

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
  if (options.program == kServerNode) {
    PENSTOCK_CHECK(lab.stop_server(options.kill));
    PENSTOCK_CHECK(lab.start_server());
  } else {
    const auto hosts = lab.hosts();
    if (std::ranges::find(hosts, options.program) == hosts.end())
      return fail(Code::kNotFound,
                  fmt::format("lab {} has no host {}", options.lab, options.program),
                  fmt::format("hosts: {}; or: {}", fmt::join(hosts, ", "), kServerNode));
    PENSTOCK_CHECK(lab.stop_host(options.program, options.kill));
    PENSTOCK_CHECK(lab.start_host(options.program));
  }
  inv.console().line(fmt::format("{} of lab {} was started again", options.program, options.lab));
  return Exit::kDone;
}

Result<Exit> gc(Invocation& inv) {
  PENSTOCK_CHECK(need_root());
  std::size_t removed = 0;
  for (const auto& name : Folder::all_labs()) {
    const Folder folder(name);
    const auto programs = folder.programs();
    if (std::ranges::any_of(programs,
                            [&](const auto& program) { return folder.running_pid(program) > 0; }))
      continue;
    PENSTOCK_CHECK(folder.remove());
    inv.console().line(fmt::format("lab {} had no program left and is gone", name));
    ++removed;
  }
  if (removed == 0) inv.console().line("nothing to remove");
  return Exit::kDone;
}

}  // namespace

void add_lab_verbs(cli::Verbs& verbs) {
  auto& lab =
      verbs.add("lab", "many hosts on this machine: each a namespace with its own agent and switch",
                {"penstock lab up examples/figure1.yaml"});
  lab.app->require_subcommand(1);
  const auto below = [&](std::string name, std::string description,
                         std::vector<std::string> examples) -> cli::Verb& {
    return verbs.add(std::move(name), std::move(description), std::move(examples), lab.app);
  };

  auto up_options = std::make_shared<UpOptions>();
  auto& up_verb = below("up", "build a lab from a topology file",
                        {"penstock lab up examples/figure1.yaml --name mine"});
  up_verb.app->add_option("file", up_options->file, "topology (see: penstock lab schema)")
      ->required();
  up_verb.app->add_option("--name", up_options->name, "instead of the name in the file");
  up_verb.completes({"", Complete::kFile, {}});
  up_verb.on([up_options](Invocation& inv) { return up(inv, *up_options); });

  auto name = std::make_shared<std::string>();
  auto& down_verb = below("down", "end a lab and remove all it made, also after a crash",
                          {"penstock lab down figure1"});
  down_verb.app->add_option("lab", *name)->required();
  down_verb.on([name](Invocation& inv) { return down(inv, *name); });

  auto& status_verb = below("status", "programs of a lab and how to reach its server",
                            {"penstock lab status figure1"});
  status_verb.app->add_option("lab", *name)->required();
  status_verb.on([name](Invocation& inv) { return status(inv, *name); });

  below("list", "the labs of this machine", {"penstock lab list"}).on(list);
  below("gc", "remove labs whose programs are all gone", {"penstock lab gc"}).on(gc);
  below("schema", "JSON Schema of the topology file", {"penstock lab schema"})
      .on([](Invocation& inv) -> Result<Exit> {
        inv.console().line(topology_schema().dump(2));
        return Exit::kDone;
      });

  auto exec_options = std::make_shared<ExecOptions>();
  auto& exec_verb = below("exec", "run a command in a host, the router, a remote system or a VM",
                          {"penstock lab exec figure1 acme/web-1 -- curl http://10.0.1.12",
                           "penstock lab exec figure1 h1"});
  exec_verb.app->add_option("lab", exec_options->lab)->required();
  exec_verb.app
      ->add_option("node", exec_options->node, "h1, router, server, a remote, or TENANT/VM")
      ->required();
  exec_verb.app->add_option("command", exec_options->command, "else a shell");
  exec_verb.app->positionals_at_end();
  exec_verb.on([exec_options](Invocation& inv) { return exec(inv, *exec_options); });

  auto restart_options = std::make_shared<RestartOptions>();
  auto& restart_verb = below("restart", "stop and start a daemon of a lab; traffic goes on",
                             {"penstock lab restart figure1 h1 --kill"});
  restart_verb.app->add_option("lab", restart_options->lab)->required();
  restart_verb.app->add_option("program", restart_options->program, "a host, or \"server\"")
      ->required();
  restart_verb.app->add_flag("--kill", restart_options->kill, "kill -9 instead of a clean stop");
  restart_verb.on([restart_options](Invocation& inv) { return restart(inv, *restart_options); });
}

}  // namespace penstock::lab
