#include "server/explain.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/approval.h"
#include "server/handlers/approval.h"

namespace penstock {
namespace {

using Line = v1::ExplainResponse::Line;

Line& add(v1::ExplainResponse& response, std::string text) {
  auto& line = *response.add_lines();
  line.set_text(std::move(text));
  return line;
}
Line& add(Line& parent, std::string text) {
  auto& line = *parent.add_children();
  line.set_text(std::move(text));
  return line;
}

std::string plural(std::size_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

}  // namespace

std::string Explainer::host_text(const std::string& host) const {
  return context_.who.administrator() ? host : "its host";
}

v1::ExplainResponse Explainer::explain(const ObjectKey& key, const Message& object) {
  v1::ExplainResponse response;
  response.set_revision(context_.snapshot.revision());
  if (const auto* it = dynamic_cast<const v1::VirtualMachine*>(&object))
    vm(key, *it, response);
  else if (const auto* it = dynamic_cast<const v1::Enablement*>(&object))
    enablement(key, *it, response);
  else if (const auto* it = dynamic_cast<const v1::ServiceProfile*>(&object))
    profile(key, *it, response);
  else if (const auto* it = dynamic_cast<const v1::Host*>(&object))
    host(key, *it, response);
  else
    other(key, response);
  return response;
}

// --- a VM: its NICs, the services on each in order, and what happens to traffic now

void Explainer::vm(const ObjectKey& key, const v1::VirtualMachine& vm,
                   v1::ExplainResponse& response) {
  int applied = 0, steps = 0;
  for (const auto& one : vm.spec().nics()) nic(vm, one, response, applied, steps);
  approvals(vm, response);
  const auto& on = host_of(vm);
  const auto services = plural(static_cast<std::size_t>(steps), "service");
  if (vm.spec().power() == v1::VirtualMachineSpec::STOPPED)
    response.set_headline(
        fmt::format("{} is stopped; {} will be on its traffic", key.text(), services));
  else if (on.empty())
    response.set_headline(fmt::format("{} could not be placed on a host", key.text()));
  else if (steps == 0)
    response.set_headline(
        fmt::format("{} on {}: no service is on its traffic", key.text(), host_text(on)));
  else
    response.set_headline(
        fmt::format("{} on {}: {} of {} applied", key.text(), host_text(on), applied, services));
  if (const auto& move = vm.status().move(); vm.status().has_move()) {
    const auto phase = move.phase() == v1::VmMove::PREPARING   ? "the new host makes ready"
                       : move.phase() == v1::VmMove::SWITCHING ? "it changes over"
                                                               : "it is taken back";
    const bool tell = context_.who.administrator();
    add(response, fmt::format("moving to {}: {}{}", tell ? move.to() : "another host", phase,
                              tell && !move.message().empty() ? ": " + move.message() : ""));
  }
  auto rollout = context_.status.rollout(context_.snapshot, key);
  if (context_.who.administrator()) *response.add_rollouts() = std::move(rollout);
  response.add_hints(steps == 0
                         ? fmt::format("penstock catalog --tenant {} --vm {}", key.tenant, key.name)
                         : fmt::format("penstock describe vm {}", key.text()));
}

// What was asked for, was refused, or is on where the profile is not available any more.
void Explainer::approvals(const v1::VirtualMachine& vm, v1::ExplainResponse& response) {
  for (const auto& e : enablements_covering(context_.snapshot, vm)) {
    const auto what =
        fmt::format("{} {} {}", e->spec().profile(), e->spec().level(), Compiler::covers_by(*e));
    if (!in_force(*e)) {
      add(response, fmt::format("{}: not on, {}   <-- you are not protected by it", what,
                                approval_text(e->spec().approval(), context_.now)))
          .set_decisive(true);
      continue;
    }
    const auto profile = context_.snapshot.find<v1::ServiceProfile>(e->spec().profile());
    if (!profile) continue;
    Subject subject;
    subject.tenant = vm.metadata().tenant();
    subject.vm = context_.snapshot.find<v1::VirtualMachine>(subject.tenant, vm.metadata().name());
    if (e->spec().has_network()) subject.network = e->spec().network();
    if (e->spec().has_nic())
      for (const auto& nic : vm.spec().nics())
        if (nic.name() == e->spec().nic().nic()) subject.network = nic.network();
    if (const auto why = why_not_available(context_.snapshot, *profile, subject); !why.empty())
      add(response, fmt::format("{}: {}; it stays on until it is disabled", what,
                                why.for_reader(context_.who.administrator())));
  }
}

void Explainer::nic(const v1::VirtualMachine& vm, const v1::Nic& nic, v1::ExplainResponse& response,
                    int& applied, int& steps) {
  const auto& on = host_of(vm);
  std::vector<std::string> addresses(nic.addresses().begin(), nic.addresses().end());
  auto& line = add(response, fmt::format("NIC {}{}, {}, {}", nic.name(),
                                         on.empty() ? "" : " on " + host_text(on), nic.network(),
                                         fmt::join(addresses, ", ")));
  const auto port = fmt::format("60/port/{}", nic.port_id());
  std::vector<std::string> missing, observing;
  int number = 0;
  for (const auto& step : compiler_.steps_of(context_.snapshot, vm, nic)) {
    ++steps;
    auto text = fmt::format("{} {} {} {}", ++number, step.kind(), step.profile(), step.level());
    if (const auto e = enablement_of(context_.snapshot, step); e && e->spec().mandatory())
      text += "   mandatory";
    if (on.empty()) {
      add(line, text + "   waiting for the VM to run");
      continue;
    }
    const auto where =
        rollout_on(sessions_, on, {port, fmt::format("40/policy/{}", step.policy())});
    if (where.state() == v1::HostRollout::APPLIED) {
      ++applied;
      add(line, fmt::format("{}   applied r{}{}", text, where.applied_revision(),
                            step.observe() ? "   observing: drops nothing" : ""));
      if (step.observe()) observing.push_back(step.profile());
      continue;
    }
    missing.push_back(step.profile());
    const bool tell = context_.who.administrator();
    add(line, fmt::format("{}   waiting for {}{}{}", text, host_text(on), tell ? ": " : "",
                          tell ? where.message() : ""))
        .set_decisive(true);
  }
  if (number == 0) add(line, "no service");
  if (!observing.empty())
    add(response, fmt::format("{} only observe{}: what would be dropped passes and is logged   <-- "
                              "you are not protected by {}",
                              fmt::join(observing, ", "), observing.size() == 1 ? "s" : "",
                              fmt::join(observing, ", ")))
        .set_decisive(true);
  if (missing.empty()) return;
  // A host that is away goes on with what it has: nobody here knows what that is.
  const auto* view = sessions_.view(on);
  const bool away = !view || !view->connected;
  add(response,
      fmt::format("Traffic of {} now: {}   <-- you are {} by {}", nic.name(),
                  away ? "what the host had applied when it was last heard of"
                       : "as it was before the change",
                  away ? "perhaps not protected" : "not protected", fmt::join(missing, ", ")))
      .set_decisive(true);
}

// --- things that many hosts apply

v1::Rollout Explainer::hosts(const ObjectKey& key, v1::ExplainResponse& response) {
  std::vector<v1::HostRollout> every;
  auto rollout = rollout_of(sessions_, context_.status.targets(context_.snapshot, key),
                            context_.snapshot.mod_revision(key), &every);
  if (!context_.who.administrator()) return rollout;
  std::size_t shown = 0;
  // Those that are not there yet first: they are the answer to "why".
  std::ranges::stable_sort(
      every, {}, [](const auto& host) { return host.state() == v1::HostRollout::APPLIED; });
  for (const auto& host : every) {
    if (++shown > 20) {
      add(response, fmt::format("and {} more", plural(every.size() - 20, "host")));
      break;
    }
    if (host.state() == v1::HostRollout::APPLIED)
      add(response, fmt::format("{} applied r{}", host.host(), host.applied_revision()));
    else
      add(response, fmt::format("{} not applied: {}", host.host(), host.message()))
          .set_decisive(true);
  }
  *response.add_rollouts() = rollout;
  return rollout;
}

void Explainer::enablement(const ObjectKey& key, const v1::Enablement& enablement,
                           v1::ExplainResponse& response) {
  auto shown_object = enablement;
  context_.status.fill(context_.snapshot, key, shown_object);
  const auto& status = shown_object.status();
  if (!in_force(enablement)) {
    const auto profile = context_.snapshot.find<v1::ServiceProfile>(enablement.spec().profile());
    response.set_headline(fmt::format("{} ({}) {}: not on, {}", enablement.spec().profile(),
                                      enablement.spec().level(), Compiler::covers_by(enablement),
                                      approval_text(enablement.spec().approval(), context_.now)));
    for (const auto& condition : status.conditions()) add(response, condition.message());
    response.add_hints(
        profile && (context_.who.administrator() || may_decide(*profile, context_.who.groups))
            ? fmt::format("penstock approve enablement/{}", key.text())
            : fmt::format("penstock describe enablement {}", key.text()));
    return;
  }
  const auto rollout = hosts(key, response);
  response.set_headline(fmt::format(
      "{} ({}) {}: {} on {}, applied on {}", enablement.spec().profile(), enablement.spec().level(),
      Compiler::covers_by(enablement), plural(static_cast<std::size_t>(status.vms()), "VM"),
      plural(static_cast<std::size_t>(rollout.hosts()), "host"), rollout.applied()));
  std::size_t running = 0;
  std::string unprotected;
  for (const auto& name : covered_vms(context_.snapshot, enablement)) {
    const auto vm = context_.snapshot.find<v1::VirtualMachine>(key.tenant, name);
    if (!vm || host_of(*vm).empty()) continue;
    ++running;
    const auto one = context_.status.rollout(context_.snapshot, key_of(*vm));
    if (unprotected.empty() && one.applied() < one.hosts()) unprotected = name;
  }
  const bool observing = std::ranges::any_of(
      status.conditions(), [](const auto& one) { return one.type() == "Observing"; });
  auto& line =
      add(response, fmt::format("{} of {} running VMs protected", status.protected_(), running));
  if (!observing && static_cast<std::size_t>(status.protected_()) < running) {
    line.set_text(line.text() + fmt::format("   <-- the others are not protected by {}",
                                            enablement.spec().profile()));
    line.set_decisive(true);
  }
  if (enablement.spec().mandatory())
    add(response, "mandatory: only an administrator of the deployment can take it off");
  redact(context_.who, shown_object);
  for (const auto& condition : status.conditions())
    if (condition.type() == "Available")
      add(response, condition.message().empty() ? "a VM of it is outside the profile's availability"
                                                : condition.message());
  for (const auto& condition : status.conditions())
    if (condition.type() == "Observing")
      add(response, "observing: " + condition.message()).set_decisive(true);
    else if (condition.type() == "Overridden")
      add(response, condition.message() + "   <-- this enablement does nothing there")
          .set_decisive(true);
  if (!unprotected.empty())
    response.add_hints(fmt::format("penstock explain vm {}/{}", key.tenant, unprotected));
  else
    response.add_hints(fmt::format("penstock describe enablement {}", key.text()));
}

void Explainer::profile(const ObjectKey& key, const v1::ServiceProfile& profile,
                        v1::ExplainResponse& response) {
  const auto rollout = hosts(key, response);
  if (!profile.spec().published())
    response.set_headline(
        fmt::format("profile {} is not published: no host is configured for it", key.name));
  else
    response.set_headline(fmt::format("profile {} is published: ready on {} of {}", key.name,
                                      rollout.applied(),
                                      plural(static_cast<std::size_t>(rollout.hosts()), "host")));
  auto shown_object = profile;
  context_.status.fill(context_.snapshot, key, shown_object);
  for (const auto& level : shown_object.status().levels()) {
    auto& line = add(response, "level " + level);
    const auto rules = compiler_.explain_level(context_.snapshot, key.name, level);
    if (!rules) {
      add(line, rules.error().message).set_decisive(true);
      continue;
    }
    std::size_t count = 0;
    for (const auto& rule : *rules) {
      if (++count > 50) {
        add(line, fmt::format("and {} more rules", rules->size() - 50));
        break;
      }
      add(line, rule);
    }
  }
  response.add_hints(profile.spec().published()
                         ? fmt::format("penstock get enablements -A")
                         : fmt::format("penstock describe profile {}", key.name));
}

void Explainer::host(const ObjectKey& key, const v1::Host&, v1::ExplainResponse& response) {
  const auto* view = sessions_.view(key.name);
  if (!view || !view->connected) {
    response.set_headline(fmt::format(
        "host {} is away: {}", key.name,
        view ? "it goes on with what it has" : "not heard of since the server started"));
    add(response, "is penstock-hostd running there, and can it reach this server?")
        .set_decisive(true);
  } else if (view->not_ready.empty()) {
    response.set_headline(fmt::format("host {} has applied r{}, nothing is waiting", key.name,
                                      view->applied_revision));
  } else {
    response.set_headline(
        fmt::format("host {}: {} not applied", key.name, plural(view->not_ready.size(), "item")));
    for (const auto& [item, why] : view->not_ready)
      add(response, fmt::format("{}: {}{}", item, why.message(),
                                why.retry_in_ms() > 0
                                    ? fmt::format(" (tried again in {} ms)", why.retry_in_ms())
                                    : " (not tried again until it changes)"))
          .set_decisive(true);
  }
  response.add_hints(fmt::format("penstock describe host {}", key.name));
}

void Explainer::other(const ObjectKey& key, v1::ExplainResponse& response) {
  const auto rollout = hosts(key, response);
  response.set_headline(
      rollout.hosts() == 0
          ? fmt::format("{} is stored; no host needs to know it", key.describe())
          : fmt::format("{}: applied on {} of {}", key.describe(), rollout.applied(),
                        plural(static_cast<std::size_t>(rollout.hosts()), "host")));
  response.add_hints(fmt::format("penstock describe {} {}", key.kind->plural, key.text()));
}

}  // namespace penstock
