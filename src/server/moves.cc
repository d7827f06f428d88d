#include "server/moves.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/authorize.h"

namespace penstock {
namespace {

constexpr std::size_t kOutcomesKept = 1'000;

void stamp(google::protobuf::Timestamp& out, WallTime time) {
  const auto ns = time.since_epoch.count();
  out.set_seconds(ns / 1'000'000'000);
  out.set_nanos(static_cast<int>(ns % 1'000'000'000));
}

std::string how_many(std::int64_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

}  // namespace

Moves::Moves(Runtime& runtime, Log& log, Engine& engine, Compiler& compiler, HostSessions& sessions,
             Journal& journal)
    : runtime_(runtime),
      log_(log),
      engine_(engine),
      compiler_(compiler),
      sessions_(sessions),
      journal_(journal) {}

// --- may it?

bool Moves::ready(std::string_view host) const {
  const auto* view = sessions_.view(host);
  return view && view->connected && view->in_step;
}

Status Moves::may_take(const Snapshot& snapshot, const v1::VirtualMachine& vm,
                       const std::string& name) const {
  const auto host = snapshot.find<v1::Host>(name);
  if (!host) return fail_field("host", fmt::format("there is no Host \"{}\"", name.substr(0, 80)));
  const auto no = [&](std::string why, std::string hint = {}) {
    return fail(Code::kFailedPrecondition, fmt::format("host {} {}", name, why), std::move(hint));
  };
  if (host->spec().cordoned()) return no("is cordoned: nothing new is placed there");
  if (const auto& cluster = vm.spec().placement().cluster();
      !cluster.empty() && cluster != host->spec().cluster())
    return no(fmt::format("is not in cluster {}, where the VM is to run", cluster));
  const auto* there = sessions_.view(name);
  if (!there || !there->connected)
    return no("has no session with the server", fmt::format("penstock explain host {}", name));
  const auto* here = sessions_.view(host_of(vm));
  if (!here || !here->connected)
    return fail(
        Code::kFailedPrecondition,
        fmt::format("host {}, where the VM is, has no session with the server", host_of(vm)),
        "set spec.placement.host: the VM is started anew there");
  const auto& drivers = there->hello.drivers();
  const auto& driver = vm.spec().driver();
  if (!driver.empty() && std::ranges::find(drivers, driver) == drivers.end())
    return no(fmt::format("has no driver {}", driver),
              drivers.empty() ? "" : fmt::format("it has: {}", fmt::join(drivers, ", ")));
  // A namespace stays on its machine; what it is moved by is a cable within that machine.
  if (here->hello.boot_id() != there->hello.boot_id())
    return no("is another machine, and a network namespace cannot leave its own",
              "move it with --restart: it is ended here and started there");
  return {};
}

std::string Moves::choose(const Snapshot& snapshot, const v1::VirtualMachine& vm) const {
  std::string best;
  std::size_t fewest = SIZE_MAX;
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    if (name == host_of(vm) || !may_take(snapshot, vm, name)) return;
    const auto count = snapshot.vm_count_of_host(name);
    if (count >= fewest) return;
    fewest = count;
    best = name;
  });
  return best;
}

Result<Planned> Moves::plan(const PlanContext& context, const v1::MoveRequest& request,
                            Write& write) const {
  if (!context.who.administrator())
    return fail(Code::kPermissionDenied, "moving VMs between hosts is for administrators",
                "see your roles: penstock auth whoami");
  const auto key = PENSTOCK_TRY(parse_key("VirtualMachine", request.tenant(), request.name()));
  const auto vm = context.snapshot.find<v1::VirtualMachine>(key.tenant, key.name);
  if (!vm) return not_found(key);
  write.key = key;
  write.object = vm;
  write.change = v1::WriteOutcome::UNCHANGED;
  const auto no = [&](std::string why, std::string hint) {
    return fail(Code::kFailedPrecondition, fmt::format("{} {}", key.describe(), why),
                std::move(hint));
  };
  if (vm->spec().power() == v1::VirtualMachineSpec::STOPPED)
    return no("is stopped: it runs nowhere", "its place is spec.placement.host");
  if (host_of(*vm).empty())
    return no("could not be placed on a host", fmt::format("penstock explain vm {}", key.text()));
  if (vm->spec().driver() == "host")
    return no("is the host itself in its network: it cannot move", "delete it and make another");
  auto to = request.host();
  if (const auto& under_way = target_of(*vm); !under_way.empty()) {
    const bool back = vm->status().move().phase() == v1::VmMove::RETURNING;
    if (!back && (to.empty() || to == under_way)) return Planned{};
    return fail(
        Code::kConflict,
        fmt::format("{} is {} {}", key.describe(),
                    back ? "being taken back from its move to" : "on its way to", under_way),
        "try again when that is over");
  }
  if (to == host_of(*vm)) return Planned{};
  if (vm->spec().nics().empty())
    return no("has no NIC: nothing of it would be kept by a move", "set spec.placement.host");
  if (to.empty()) {
    to = choose(context.snapshot, *vm);
    if (to.empty())
      return no("fits on no other host",
                "name one with --to: the answer says what is wrong with it");
  }
  PENSTOCK_CHECK(may_take(context.snapshot, *vm, to));
  auto moving = std::make_shared<v1::VirtualMachine>(*vm);
  auto& move = *moving->mutable_status()->mutable_move();
  move.set_to(to);
  move.set_phase(v1::VmMove::PREPARING);
  stamp(*move.mutable_since(), context.runtime.wall());
  write.object = moving;
  write.change = v1::WriteOutcome::UPDATED;
  return Planned{{Edit::put(std::move(moving))}, false};
}

// --- a move's beginning and end

void Moves::start() {
  engine_.head().each<v1::VirtualMachine>([&](const v1::VirtualMachine& vm) {
    if (vm.status().has_move()) begin(key_of(vm), vm, true);
  });
}

void Moves::published(const Publication& publication) {
  for (const auto& edit : publication.edits) {
    if (edit.key.kind == &kind_of<v1::Host>() && edit.is_erase())
      for (auto& [key, run] : runs_)
        if (run.to == edit.key.name || run.from == edit.key.name) advance_soon(key);
    if (edit.key.kind != &kind_of<v1::VirtualMachine>()) continue;
    const auto known = runs_.find(edit.key);
    const auto* vm = static_cast<const v1::VirtualMachine*>(edit.object.get());
    if (!vm || !vm->status().has_move()) {
      if (known != runs_.end()) end(edit.key, publication);
    } else if (known == runs_.end()) {
      begin(edit.key, *vm, false);
    } else {
      known->second.phase = vm->status().move().phase();
      advance_soon(edit.key);
    }
  }
}

void Moves::begin(const ObjectKey& key, const v1::VirtualMachine& vm, bool resumed) {
  auto& run = runs_[key];
  run.id = next_++;
  run.vm = key;
  run.from = host_of(vm);
  run.to = target_of(vm);
  run.phase = vm.status().move().phase();
  run.why = vm.status().move().message();
  run.may_be_there = resumed && run.phase == v1::VmMove::SWITCHING;
  const auto& head = engine_.head();
  const auto place = compiler_.items_of(head, key, run.to);
  run.open[run.to] = place;
  for (const auto& nic : vm.spec().nics()) {
    run.ports.push_back(nic.port_id());
    const auto network = head.find<v1::VirtualNetwork>(key.tenant, nic.network());
    if (!network) continue;
    const auto vni = network->spec().vni();
    for (const auto& host : head.hosts_of_network(key.tenant, nic.network()))
      run.open[host].push_back(fmt::format("70/nbr/{}/{}", vni, nic.port_id()));
    auto& items = run.open[run.to];
    items.push_back(fmt::format("20/net/{}", vni));
    for (const auto& step : compiler_.steps_of(head, vm, nic))
      items.push_back(fmt::format("40/policy/{}", step.policy()));
  }
  const auto limit = std::chrono::milliseconds(runtime_.tunables().move_deadline_ms);
  run.deadline = runtime_.now() + limit;
  arm(run, limit);
  journal_.event(v1::Event::NORMAL, "MoveStarted", key,
                 resumed ? "the move to another host goes on" : "it is being moved to another host",
                 "controller", head.revision());
  journal_.event(v1::Event::NORMAL, "MoveStarted", ObjectKey::of<v1::Host>("", run.to),
                 fmt::format("{} comes from {}", key.describe(), run.from), "controller",
                 head.revision());
  advance_soon(key);
}

void Moves::end(const ObjectKey& key, const Publication& publication) {
  auto run = std::move(runs_.extract(key).mapped());
  if (run.timer) runtime_.cancel(*run.timer);
  Outcome outcome;
  const auto now = publication.after.find<v1::VirtualMachine>(key.tenant, key.name);
  outcome.moved = now && host_of(*now) == run.to;
  outcome.flows = run.flows;
  outcome.pause = run.runs_since - run.silent_since;
  outcome.why = !now ? "it was deleted" : host_of(*now).empty() ? "it was stopped" : run.why;
  const auto revision = publication.after.revision();
  if (outcome.moved) {
    const auto text =
        fmt::format("{} went along; it was silent for at most {} ms", how_many(run.flows, "flow"),
                    std::chrono::duration_cast<std::chrono::milliseconds>(outcome.pause).count());
    journal_.event(v1::Event::NORMAL, "Moved", key, "it runs on another host; " + text,
                   "controller", revision);
    journal_.event(v1::Event::NORMAL, "Moved", ObjectKey::of<v1::Host>("", run.to),
                   fmt::format("{} came from {}; {}", key.describe(), run.from, text), "controller",
                   revision);
  } else if (now) {
    journal_.event(v1::Event::WARNING, "MoveTakenBack", key, "it stays on its host", "controller",
                   revision);
    journal_.event(v1::Event::WARNING, "MoveTakenBack", ObjectKey::of<v1::Host>("", run.to),
                   fmt::format("{} stays on {}: {}", key.describe(), run.from, outcome.why),
                   "controller", revision);
  }
  if (last_.size() >= kOutcomesKept) last_.erase(last_.begin());
  last_[key] = outcome;
  auto waiters = std::move(waiters_[key]);
  waiters_.erase(key);
  for (auto& waiter : waiters) {
    runtime_.cancel(waiter.timer);
    runtime_.post([done = std::move(waiter.done), outcome]() mutable { done(outcome); });
  }
}

void Moves::wait(const ObjectKey& vm, Duration deadline,
                 std::move_only_function<void(std::optional<Outcome>)> done) {
  if (!runs_.contains(vm)) {
    const auto found = last_.find(vm);
    const auto outcome = found == last_.end() ? Outcome{.moved = true, .why = ""} : found->second;
    return runtime_.post([done = std::move(done), outcome]() mutable { done(outcome); });
  }
  const auto id = next_++;
  auto& waiter = waiters_[vm].emplace_back();
  waiter.id = id;
  waiter.done = std::move(done);
  waiter.timer = runtime_.after(deadline, [this, vm, id] {
    auto& all = waiters_[vm];
    const auto found = std::ranges::find(all, id, &Waiter::id);
    if (found == all.end()) return;
    auto late = std::move(found->done);
    all.erase(found);
    late(std::nullopt);
  });
}

// --- what hosts say

void Moves::progress(const std::string& host) {
  for (auto& [key, run] : runs_) {
    const bool concerned = host == run.from || host == run.to || run.open.contains(host);
    if (!concerned) continue;
    if (!ready(host)) {
      // What it was asked may be lost, and what was on the way to it.
      if (run.asked_host == host) run.asked = 0;
      if (host == run.to) run.sent_ahead = false;
    }
    advance_soon(key);
  }
}

void Moves::advance_soon(const ObjectKey& key) {
  // Posted: within a publication, hosts have not been told of it yet.
  runtime_.post([this, key] {
    if (const auto found = runs_.find(key); found != runs_.end()) advance(found->second);
  });
}

void Moves::look_at(Run& run, const std::string& host) {
  const auto found = run.open.find(host);
  if (found == run.open.end()) return;
  const bool own = host == run.from || host == run.to;
  if (!own && !ready(host)) {
    const auto* view = sessions_.view(host);
    if (view && view->connected) return;  // it has just come, and will say
    // Not heard of since the server started: after a restart hosts need a moment to come back.
    const auto& tunables = runtime_.tunables();
    const Duration left = run.deadline - runtime_.now() +
                          std::chrono::milliseconds(tunables.session_lost_ms) -
                          std::chrono::milliseconds(tunables.move_deadline_ms);
    if (!view && left > Duration(0)) {
      runtime_.after(left, [this, key = run.vm] { advance_soon(key); });
      return;
    }
    run.away.insert(host);
    run.open.erase(found);
    return;
  }
  std::erase_if(found->second, [&](const std::string& item) {
    return sessions_.state(host, item) == ItemState::kApplied;
  });
  if (found->second.empty()) run.open.erase(found);
}

namespace {

// struct ps_flow_key begins with the port's number (PS_FLOW_LAYOUT 1; the hosts this runs on put
// the low byte first). 0: no key.
std::uint32_t port_of(const v1::MovedFlow& flow) {
  std::uint32_t port = 0;
  if (flow.key().size() < sizeof(port)) return 0;
  std::memcpy(&port, flow.key().data(), sizeof(port));
  return port;
}

}  // namespace

// A host may speak for the ports of the VM that it lets go, and for no others: the target would
// take them for connections that were allowed.
void Moves::flows(const std::string& host, const v1::FlowBatch& batch) {
  for (auto& [key, run] : runs_) {
    if (run.asked == 0 || run.asked != batch.move() || run.asked_host != host) continue;
    auto own = batch;
    auto& flows = *own.mutable_flows();
    const auto foreign = std::remove_if(flows.begin(), flows.end(), [&](const v1::MovedFlow& flow) {
      return std::ranges::find(run.ports, port_of(flow)) == run.ports.end();
    });
    flows.erase(foreign, flows.end());
    if (own.flows_size() < batch.flows_size())
      log_.warning("move of {}: host {} sent flows of other ports; left out", run.vm.text(), host);
    if (!sessions_.order(run.to, own)) run.sent_ahead = false;
    return;
  }
}

void Moves::reported(const std::string& host, const v1::MoveReport& report) {
  const auto found = std::ranges::find_if(runs_, [&](const auto& entry) {
    return report.id() != 0 && entry.second.asked == report.id() && entry.second.asked_host == host;
  });
  if (found == runs_.end()) return;  // of a question that was given up
  auto& run = found->second;
  run.asked = 0;
  const bool good = report.code().empty();
  const auto why = fmt::format("{}: {}", host, report.message());
  if (!good)
    log_.warning("move of {}, {}: {}", run.vm.text(), v1::MoveOrder::Step_Name(run.step), why);
  switch (run.step) {
    case v1::MoveOrder::SEND_FLOWS:
      if (!good) return give_up(run, why);
      run.sent_ahead = true;
      break;
    case v1::MoveOrder::DEPART:
      if (!good) return give_up(run, why);
      run.departed = true;
      run.handle = report.handle();
      break;
    case v1::MoveOrder::ARRIVE:
      if (!good) {
        run.may_be_there = false;
        return give_up(run, why);
      }
      run.flows = report.flows();
      run.runs_since = runtime_.now();
      return commit(run, [to = run.to](v1::VirtualMachine& vm) {
        vm.mutable_status()->set_host(to);
        vm.mutable_status()->clear_move();
        const auto& pin = vm.spec().placement().host();
        if (pin.empty() || pin == to) return;
        vm.mutable_spec()->mutable_placement()->set_host(to);
        vm.mutable_metadata()->set_generation(vm.metadata().generation() + 1);
      });
    case v1::MoveOrder::RETURN:
      if (good)
        return commit(run, [](v1::VirtualMachine& vm) { vm.mutable_status()->clear_move(); });
      return arm(run, std::chrono::milliseconds(runtime_.tunables().reconcile_retry_max_ms));
    default:
      break;
  }
  advance(run);
}

// --- what comes next

void Moves::advance(Run& run) {
  if (run.committing) return;
  const bool late = runtime_.now() >= run.deadline;
  if (run.phase == v1::VmMove::RETURNING) {
    if (run.asked == 0) order(run, run.from, v1::MoveOrder::RETURN);
    return;
  }
  if (run.phase == v1::VmMove::PREPARING) return prepare(run);
  if (!engine_.head().find<v1::Host>(run.to))
    return give_up(run, fmt::format("host {} was deleted", run.to));
  // Before the new host was told to take it, the VM can be taken back whatever became of the order
  // to let it go. Afterwards only the new host knows.
  if (late && !run.may_be_there)
    return give_up(
        run, fmt::format("no answer of {} before the deadline", run.departed ? run.to : run.from));
  if (run.asked == 0) switch_over(run);
}

void Moves::prepare(Run& run) {
  std::vector<std::string> hosts;
  for (const auto& [host, items] : run.open) hosts.push_back(host);
  for (const auto& host : hosts) look_at(run, host);
  if (const auto missing = run.open.find(run.to); missing != run.open.end()) {
    const auto* view = sessions_.view(run.to);
    for (const auto& item : missing->second)
      if (sessions_.state(run.to, item) == ItemState::kFailed)
        if (const auto& trouble = view->not_ready.find(item)->second; trouble.retry_in_ms() == 0)
          return give_up(run, fmt::format("{}: {}: {}", run.to, item, trouble.message()));
  }
  if (runtime_.now() >= run.deadline) {
    std::string laggards;
    for (const auto& [host, items] : run.open)
      laggards += fmt::format("{}{} ({})", laggards.empty() ? "" : ", ", host, items.front());
    return give_up(run, laggards.empty()
                            ? fmt::format("no answer of {} before the deadline", run.from)
                            : "not ready before the deadline: " + laggards);
  }
  if (!run.open.empty() || run.asked != 0) return;
  if (!run.sent_ahead) {
    order(run, run.from, v1::MoveOrder::SEND_FLOWS);
    return;
  }
  if (!run.away.empty())
    journal_.event(v1::Event::WARNING, "HostNotTold", run.vm,
                   how_many(static_cast<std::int64_t>(run.away.size()), "host") +
                       " of its networks is away and does not know its new place until it is back",
                   "controller", engine_.head().revision());
  commit(run, [](v1::VirtualMachine& vm) {
    vm.mutable_status()->mutable_move()->set_phase(v1::VmMove::SWITCHING);
  });
}

void Moves::switch_over(Run& run) {
  if (!run.departed) {
    if (order(run, run.from, v1::MoveOrder::DEPART)) run.silent_since = runtime_.now();
  } else if (!run.sent_ahead) {
    // The new host was away for a moment: what it had been sent may be lost.
    if (ready(run.to)) order(run, run.from, v1::MoveOrder::SEND_FLOWS);
  } else if (order(run, run.to, v1::MoveOrder::ARRIVE)) {
    run.may_be_there = true;
  }
}

bool Moves::order(Run& run, const std::string& host, v1::MoveOrder::Step step) {
  if (!ready(host)) return false;  // progress() comes when it is
  v1::MoveOrder order;
  // From the dice, so that an answer to an earlier server's question is not taken for one to ours.
  order.set_id(runtime_.random() | 1);
  order.set_step(step);
  order.set_tenant(run.vm.tenant);
  order.set_vm(run.vm.name);
  for (const auto port : run.ports) order.add_ports(port);
  order.set_handle(run.handle);
  if (!sessions_.order(host, order)) return false;
  run.asked = order.id();
  run.asked_host = host;
  run.step = step;
  return true;
}

void Moves::give_up(Run& run, std::string why) {
  run.why = why;
  run.asked = 0;
  const bool untouched = run.phase == v1::VmMove::PREPARING;
  commit(run, [untouched, why = std::move(why)](v1::VirtualMachine& vm) {
    if (untouched) return vm.mutable_status()->clear_move();
    auto& move = *vm.mutable_status()->mutable_move();
    move.set_phase(v1::VmMove::RETURNING);
    move.set_message(why);
  });
}

void Moves::commit(Run& run, Change change) {
  run.committing = true;
  Engine::Request request;
  request.items.push_back([key = run.vm, to = run.to, phase = run.phase,
                           change](const Snapshot& snapshot) -> Result<Planned> {
    const auto vm = snapshot.find<v1::VirtualMachine>(key.tenant, key.name);
    // Stopped, deleted or made anew meanwhile: its own edit has ended the move.
    if (!vm || target_of(*vm) != to || vm->status().move().phase() != phase) return Planned{};
    auto changed = std::make_shared<v1::VirtualMachine>(*vm);
    change(*changed);
    return Planned{{Edit::put(std::move(changed))}, false};
  });
  request.done = [this, key = run.vm, id = run.id,
                  change](std::vector<Result<ItemOutcome>> outcomes) {
    const auto found = runs_.find(key);
    if (found == runs_.end() || found->second.id != id) return;
    if (outcomes.at(0)) {
      found->second.committing = false;
      return advance_soon(key);
    }
    log_.warning("move of {}: {}", key.text(), outcomes[0].error().message);
    runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                   [this, key, id, change] {
                     const auto again = runs_.find(key);
                     if (again != runs_.end() && again->second.id == id)
                       commit(again->second, change);
                   });
  };
  engine_.submit(std::move(request));
}

void Moves::arm(Run& run, Duration delay) {
  if (run.timer) runtime_.cancel(*run.timer);
  run.timer = runtime_.after(delay, [this, key = run.vm] {
    const auto found = runs_.find(key);
    if (found == runs_.end()) return;
    found->second.timer.reset();
    advance(found->second);
  });
}

}  // namespace penstock
