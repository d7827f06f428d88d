// What is done to running VMs, and to a host on their account.
#include <algorithm>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock vm move web-1 --to h2 --wait";
constexpr std::string_view kTryDrain = "penstock host drain h1";

struct Options {
  std::string name, to;
  bool restart = false;
  WriteFlags write;
};

std::string path_of_vm(const ObjectRef& vm) {
  return fmt::format("/v1/tenants/{}/vms/{}", encode(vm.tenant), encode(vm.name));
}

// What the server says of a move that is under way, while its answer is waited for.
void show_phases(Invocation& inv, Api& waiting, const ObjectRef& vm) {
  waiting.set_waiting([&inv, &waiting, vm](std::chrono::seconds waited) {
    Api other(waiting.server(), (*inv.settings())->token);
    other.set_timeout(std::chrono::milliseconds(500));
    const auto now = other.get(vm.location());
    const auto phase = now ? text_at(at(*now, "status", "move", "phase")) : std::string();
    inv.console().progress(fmt::format("{}: {}, {} s", vm.full_name(),
                                       phase.empty() ? "waiting" : phase, waited.count()));
  });
}

Result<Exit> restart_there(Invocation& inv, const ObjectRef& vm, const Options& options,
                           const WriteOptions& write) {
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json patch = {{"spec", {{"placement", {{"host", options.to}}}}}};
  const Json answer = PENSTOCK_TRY(api.patch(vm.location(), patch, write));
  const bool changed = at(answer, "outcome", "change") != "UNCHANGED";
  inv.console().line(fmt::format("{}: {}", vm.full_name(),
                                 !changed
                                     ? "its place is " + options.to + " already"
                                     : fmt::format("{} on {}",
                                                   write.dry_run ? "would be ended and started anew"
                                                                 : "ended, and started anew",
                                                   options.to)));
  return print_outcome(inv.console(), at(answer, "outcome"), write.wait_applied,
                       "penstock explain " + vm.text());
}

// The move as the answer tells it, and how that ends the command.
Exit told(Console& console, const ObjectRef& vm, const std::string& from, const Json& answer,
          const WriteOptions& write) {
  const Json &outcome = at(answer, "outcome"), &status = at(answer, "vm", "status");
  const auto now = text_at(at(status, "host")), to = text_at(at(status, "move", "to"));
  const auto explain = "penstock explain " + vm.text();
  if (write.dry_run) {
    console.line(to.empty() ? fmt::format("{}: is on {} already", vm.full_name(), now)
                            : fmt::format("{}: would move from {} to {}", vm.full_name(), now, to));
    return Exit::kDone;
  }
  if (!write.wait_applied && !to.empty()) {
    console.line(fmt::format("{}: moving from {} to {}", vm.full_name(), now, to));
    console.try_next(explain);
    return Exit::kDone;
  }
  if (at(outcome, "deadlinePassed") == true) {
    console.line(fmt::format("{}: still moving from {} to {} ({}); the deadline passed",
                             vm.full_name(), now, to, text_at(at(status, "move", "phase"))));
    console.line("The move goes on.");
    console.try_next(explain);
    return Exit::kDeadline;
  }
  for (const auto& warning : at(outcome, "warnings")) {
    const auto text = text_at(warning);
    if (!text.starts_with("taken back")) continue;
    console.line(fmt::format("{}: stays on {}; the move was {}", vm.full_name(), now, text));
    console.try_next(explain);
    return Exit::kFailed;
  }
  if (at(outcome, "change") == "UNCHANGED" && now == from) {
    console.line(fmt::format("{}: is on {} already", vm.full_name(), now));
    return Exit::kDone;
  }
  console.line(fmt::format("{}: moved from {} to {}; silent for at most {} ms, {} went along",
                           vm.full_name(), from, now,
                           (number_at(at(answer, "pauseUs")) + 999) / 1000,
                           counted(number_at(at(answer, "flows")), "flow")));
  return Exit::kDone;
}

Result<Exit> move_one(Invocation& inv, const ObjectRef& vm, const std::string& to,
                      const WriteOptions& write) {
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json before = PENSTOCK_TRY(api.get(vm.location()));
  if (write.wait_applied) show_phases(inv, api, vm);
  Json request = Json::object();
  if (!to.empty()) request["host"] = to;
  const Json answer = PENSTOCK_TRY(api.post(path_of_vm(vm) + ":move", request, write));
  return told(inv.console(), vm, text_at(at(before, "status", "host")), answer, write);
}

Result<Exit> move(Invocation& inv, const Options& options) {
  const auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTry);
  if (options.restart && options.to.empty())
    return inv.usage("--restart needs --to", "penstock vm move web-1 --to h2 --restart");
  const auto vm =
      parse_name(kind_of<v1::VirtualMachine>(), options.name, PENSTOCK_TRY(inv.settings())->tenant);
  if (!vm) return inv.usage(vm.error(), kTry);
  if (options.restart) return restart_there(inv, *vm, options, *write);
  return move_one(inv, *vm, options.to, *write);
}

// One VM after the other: each is silent for a moment, and hosts have other things to do.
Result<Exit> drain(Invocation& inv, const Options& options) {
  auto write = options.write.parse();
  if (!write) return inv.usage(write.error(), kTryDrain);
  write->wait_applied = !write->dry_run;
  const ObjectRef host{&kind_of<v1::Host>(), "", options.name};
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json cordon = {{"spec", {{"cordoned", true}}}};
  WriteOptions quick = *write;
  quick.wait_applied = false;
  PENSTOCK_TRY(api.patch(host.location(), cordon, quick));
  inv.console().line(
      fmt::format("host {}: {}cordoned", options.name, write->dry_run ? "would be " : ""));
  int moved = 0, stayed = 0;
  for (const auto& object : PENSTOCK_TRY(api.list({"vms", "", ""}, ""))) {
    if (text_at(at(object, "status", "host")) != options.name) continue;
    auto vm = ref_of(object);
    vm.kind = &kind_of<v1::VirtualMachine>();
    const auto end = move_one(inv, vm, "", *write);
    if (!end) inv.console().error(end.error());
    ++(end && *end == Exit::kDone ? moved : stayed);
  }
  inv.console().line(fmt::format("{} {}, {} stayed", counted(moved, "VM"),
                                 write->dry_run ? "would move" : "moved", stayed));
  return stayed == 0 ? Exit::kDone : Exit::kFailed;
}

}  // namespace

void add_vm_verb(Verbs& verbs) {
  Verb& group = verbs.add("vm", "move VMs between hosts", {std::string(kTry)});
  group.app->require_subcommand(1);
  auto options = std::make_shared<Options>();
  Verb& verb =
      verbs.add("move", "move a running VM to another host; its connections and services go along",
                {std::string(kTry), "penstock vm move acme/web-1 --wait --deadline 30s",
                 "penstock vm move web-1 --to h2 --restart"},
                group.app);
  verb.app->add_option("vm", options->name, "NAME or TENANT/NAME")->required();
  verb.app->add_option("--to", options->to, "host; else any that fits its placement");
  verb.app->add_flag("--restart", options->restart,
                     "end it here and start it there: its place changes, its connections end");
  options->write.declare(verb);
  verb.completes({"", Complete::kNameOfKind, {"vm"}});
  verb.completes({"--to", Complete::kNameOfKind, {"host"}});
  verb.on([options](Invocation& inv) { return move(inv, *options); });
}

void add_host_verb(Verbs& verbs) {
  Verb& group = verbs.add("host", "empty hosts", {std::string(kTryDrain)});
  group.app->require_subcommand(1);
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add("drain", "cordon a host and move its VMs away, one after the other",
                         {std::string(kTryDrain)}, group.app);
  verb.app->add_option("host", options->name, "NAME")->required();
  options->write.declare(verb);
  verb.completes({"", Complete::kNameOfKind, {"host"}});
  verb.on([options](Invocation& inv) { return drain(inv, *options); });
}

}  // namespace penstock::cli
