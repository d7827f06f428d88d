#include "server/status.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "model/approval.h"
#include "model/availability.h"
#include "model/quota.h"

namespace penstock {
namespace {

constexpr int kMostWaiting = 20;

void condition(google::protobuf::RepeatedPtrField<v1::Condition>* conditions,
               v1::Condition::State state, std::string_view reason, std::string message) {
  auto& ready = *conditions->Add();
  ready.set_type("Ready");
  ready.set_status(state);
  ready.set_reason(std::string(reason));
  ready.set_message(std::move(message));
}

// Ready, as the rollout says it.
void ready_by(google::protobuf::RepeatedPtrField<v1::Condition>* conditions,
              const v1::Rollout& rollout) {
  if (rollout.applied() == rollout.hosts())
    return condition(
        conditions, v1::Condition::TRUE, "Applied",
        fmt::format("applied on {} host{}", rollout.hosts(), rollout.hosts() == 1 ? "" : "s"));
  // The worst state speaks: a failure before silence before patience.
  const v1::HostRollout* worst = nullptr;
  auto rank = [](const v1::HostRollout& host) {
    return host.state() == v1::HostRollout::FAILED        ? 2
           : host.state() == v1::HostRollout::UNREACHABLE ? 1
                                                          : 0;
  };
  for (const auto& host : rollout.waiting())
    if (!worst || rank(host) > rank(*worst)) worst = &host;
  auto text = fmt::format("applied on {} of {} hosts; {}: {}", rollout.applied(), rollout.hosts(),
                          worst ? worst->host() : "", worst ? worst->message() : "");
  if (rollout.gave_up() > 0 && rollout.applied() + rollout.gave_up() == rollout.hosts())
    return condition(conditions, v1::Condition::FALSE, "Failed",
                     text + "; it is not tried again until something changes");
  switch (worst ? rank(*worst) : 0) {
    case 2:
      return condition(conditions, v1::Condition::FALSE, "NotApplied", std::move(text));
    case 1:
      return condition(conditions, v1::Condition::UNKNOWN, "HostAway", std::move(text));
    default:
      return condition(conditions, v1::Condition::FALSE, "Applying", std::move(text));
  }
}

void set_time(google::protobuf::Timestamp& stamp, WallTime time) {
  stamp.set_seconds(std::chrono::duration_cast<std::chrono::seconds>(time.since_epoch).count());
  stamp.set_nanos(static_cast<int>(time.since_epoch.count() % 1'000'000'000));
}

// Whether the enablement is about this NIC of a VM that it covers.
bool concerns(const v1::EnablementSpec& spec, const v1::Nic& nic) {
  if (spec.has_nic()) return spec.nic().nic() == nic.name();
  return !spec.has_network() || spec.network() == nic.network();
}

std::string port_item(std::uint32_t id) {
  return fmt::format("60/port/{}", id);
}

}  // namespace

v1::HostRollout rollout_on(const HostSessions& sessions, const std::string& host,
                           const std::vector<std::string>& items) {
  v1::HostRollout rollout;
  rollout.set_host(host);
  const auto* view = sessions.view(host);
  rollout.set_applied_revision(view ? view->applied_revision : 0);
  rollout.set_state(v1::HostRollout::APPLIED);
  if (!view || !view->connected) {
    rollout.set_state(v1::HostRollout::UNREACHABLE);
    rollout.set_message(!view ? "no session with the host since the server started"
                        : view->ahead.empty()
                            ? "no session with the host; it goes on with what it has"
                            : view->ahead);
    return rollout;
  }
  for (const auto& item : items) {
    const auto state = sessions.state(host, item);
    if (state == ItemState::kFailed) {
      const auto& why = view->not_ready.find(item)->second;
      rollout.set_state(v1::HostRollout::FAILED);
      rollout.set_message(why.message().empty() ? why.reason() : why.message());
      return rollout;
    }
    if (state == ItemState::kPending) {
      rollout.set_state(v1::HostRollout::PENDING);
      rollout.set_message("sent, not acknowledged yet");
    }
  }
  if (items.empty() && !view->in_step) {
    rollout.set_state(v1::HostRollout::PENDING);
    rollout.set_message("sent, not acknowledged yet");
  }
  return rollout;
}

v1::Rollout rollout_of(const HostSessions& sessions, const Targets& targets, std::int64_t revision,
                       std::vector<v1::HostRollout>* every) {
  v1::Rollout rollout;
  rollout.set_hosts(static_cast<int>(targets.size()));
  rollout.set_revision(revision);
  for (const auto& [host, items] : targets) {
    auto one = rollout_on(sessions, host, items);
    if (one.state() == v1::HostRollout::FAILED && terminal_on(sessions, host, items)) {
      one.set_gave_up(true);
      rollout.set_gave_up(rollout.gave_up() + 1);
    }
    if (one.state() == v1::HostRollout::APPLIED)
      rollout.set_applied(rollout.applied() + 1);
    else if (rollout.waiting_size() < kMostWaiting)
      *rollout.add_waiting() = one;
    if (every) every->push_back(std::move(one));
  }
  return rollout;
}

bool terminal_on(const HostSessions& sessions, const std::string& host,
                 const std::vector<std::string>& items) {
  const auto* view = sessions.view(host);
  if (!view || !view->connected || !view->in_step) return false;
  bool failed = false;
  for (const auto& item : items) {
    const auto state = sessions.state(host, item);
    if (state == ItemState::kPending) return false;
    if (state != ItemState::kFailed) continue;
    if (view->not_ready.find(item)->second.retry_in_ms() != 0) return false;
    failed = true;
  }
  return failed;
}

std::shared_ptr<const v1::Enablement> enablement_of(const Snapshot& snapshot,
                                                    const v1::StepIntent& step) {
  const auto slash = step.enablement().find('/');
  return snapshot.find<v1::Enablement>(step.enablement().substr(0, slash),
                                       step.enablement().substr(slash + 1));
}

v1::Rollout StatusBook::rollout(const Snapshot& snapshot, const ObjectKey& key) const {
  return rollout_of(sessions_, targets(snapshot, key), snapshot.mod_revision(key));
}

void StatusBook::fill(const Snapshot& snapshot, const ObjectKey& key, Message& object) const {
  if (const auto revision = snapshot.mod_revision(key); revision > 0)
    mutable_metadata_of(object).set_resource_version(std::to_string(revision));
  const auto& name = key.name;
  if (auto* host = dynamic_cast<v1::Host*>(&object)) return fill_host(snapshot, *host);
  if (auto* network = dynamic_cast<v1::VirtualNetwork*>(&object))
    return fill_network(snapshot, key, *network);
  if (auto* vm = dynamic_cast<v1::VirtualMachine*>(&object)) return fill_vm(snapshot, key, *vm);
  if (auto* profile = dynamic_cast<v1::ServiceProfile*>(&object))
    return fill_profile(snapshot, key, *profile);
  if (auto* enablement = dynamic_cast<v1::Enablement*>(&object))
    return fill_enablement(snapshot, key, *enablement);
  if (auto* tenant = dynamic_cast<v1::Tenant*>(&object)) {
    auto& status = *tenant->mutable_status();
    *status.mutable_usage() = usage_of(snapshot, name);
    status.set_vms(static_cast<int>(status.usage().vms()));
    status.set_networks(static_cast<int>(status.usage().networks()));
  } else if (auto* cluster = dynamic_cast<v1::Cluster*>(&object)) {
    cluster->mutable_status()->set_hosts(static_cast<int>(snapshot.hosts_of_cluster(name).size()));
  } else if (auto* pool = dynamic_cast<v1::VmPool*>(&object)) {
    pool->mutable_status()->set_vms(
        static_cast<int>(snapshot.vms_of_pool(key.tenant, name).size()));
  } else if (auto* definition = dynamic_cast<v1::ServiceDefinition*>(&object)) {
    auto& status = *definition->mutable_status();
    status.set_mode(mode_of(definition->spec()));
    status.set_state(definition->spec().draft() ? "draft" : "submitted");
    status.set_profiles(static_cast<int>(snapshot.profiles_of_definition(name).size()));
  }
}

void StatusBook::fill_host(const Snapshot& snapshot, v1::Host& host) const {
  auto& status = *host.mutable_status();
  const auto& name = host.metadata().name();
  status.set_vms(static_cast<int>(snapshot.vm_count_of_host(name)));
  const auto* view = sessions_.view(name);
  if (!view || !view->connected) {
    if (view && !view->ahead.empty())
      condition(status.mutable_conditions(), v1::Condition::FALSE, "AheadOfStore", view->ahead);
    else
      condition(status.mutable_conditions(), v1::Condition::UNKNOWN, "NoSession",
                view ? "the host is away; it goes on with what it has"
                     : "not heard of since the server started");
    if (view) {
      set_time(*status.mutable_conditions(0)->mutable_since(), view->since);
      status.set_applied_revision(view->applied_revision);
      status.set_digest(view->digest);
    }
    return;
  }
  status.set_applied_revision(view->applied_revision);
  status.set_digest(view->digest);
  status.set_kernel(view->hello.kernel());
  status.set_version(view->hello.version());
  set_time(*status.mutable_connected_since(), view->since);
  for (const auto& [reason, count] : view->drops) (*status.mutable_drops())[reason] = count;
  // What the hello said of uplinks is history after the first ack: an uplink that does not work is
  // an item that is not ready.
  if (!view->in_step) {
    condition(status.mutable_conditions(), v1::Condition::FALSE, "Starting",
              "nothing was acknowledged yet");
  } else if (!view->not_ready.empty()) {
    const auto& [key, first] = *view->not_ready.begin();
    const bool gave_up = std::ranges::all_of(
        view->not_ready, [](const auto& item) { return item.second.retry_in_ms() == 0; });
    condition(status.mutable_conditions(), v1::Condition::FALSE, gave_up ? "Failed" : "NotApplied",
              fmt::format("{} item{} not applied; {}: {}: {}", view->not_ready.size(),
                          view->not_ready.size() == 1 ? " is" : "s are", key, first.reason(),
                          first.message()));
  } else {
    condition(status.mutable_conditions(), v1::Condition::TRUE, "Connected",
              "everything sent is applied");
  }
}

void StatusBook::fill_network(const Snapshot& snapshot, const ObjectKey& key,
                              v1::VirtualNetwork& network) const {
  auto& status = *network.mutable_status();
  *status.mutable_rollout() = rollout(snapshot, key);
  status.set_ports(static_cast<int>(snapshot.nics_of_network(key.tenant, key.name).size()));
  if (status.mtu() == 0) status.set_mtu(network.spec().mtu());
  status.clear_conditions();
  if (status.rollout().hosts() == 0)
    condition(status.mutable_conditions(), v1::Condition::TRUE, "NotInUse",
              "no running VM has a NIC in it");
  else
    ready_by(status.mutable_conditions(), status.rollout());
}

void StatusBook::fill_vm(const Snapshot& snapshot, const ObjectKey& key,
                         v1::VirtualMachine& vm) const {
  auto& status = *vm.mutable_status();
  const auto& host = status.host();
  *status.mutable_rollout() = rollout(snapshot, key);
  status.clear_conditions();
  status.clear_addresses();
  for (const auto& nic : vm.spec().nics())
    for (const auto& address : nic.addresses()) status.add_addresses(address);
  if (vm.spec().power() == v1::VirtualMachineSpec::STOPPED) {
    status.set_state("stopped");
    condition(status.mutable_conditions(), v1::Condition::TRUE, "Stopped",
              "registered; on no host");
  } else if (host.empty()) {
    status.set_state("unschedulable");
    condition(status.mutable_conditions(), v1::Condition::FALSE, "Unschedulable",
              "no host can take it");
  } else {
    const auto& rollout = status.rollout();
    const auto state =
        rollout.waiting_size() ? rollout.waiting(0).state() : v1::HostRollout::APPLIED;
    status.set_state(status.has_move()                       ? "moving"
                     : state == v1::HostRollout::APPLIED     ? "running"
                     : state == v1::HostRollout::UNREACHABLE ? "unknown"
                                                             : "starting");
    ready_by(status.mutable_conditions(), rollout);
  }
  status.clear_steps();
  for (const auto& nic : vm.spec().nics()) {
    for (const auto& step : compiler_.steps_of(snapshot, vm, nic)) {
      auto& shown = *status.add_steps();
      shown.set_nic(nic.name());
      shown.set_enablement(step.enablement());
      shown.set_profile(step.profile());
      shown.set_level(step.level());
      shown.set_kind(step.kind());
      const auto enablement = enablement_of(snapshot, step);
      shown.set_mandatory(enablement && enablement->spec().mandatory());
      shown.set_observe(step.observe());
      if (host.empty()) {
        shown.set_message("the VM is on no host");
        continue;
      }
      const auto where = rollout_on(
          sessions_, host, {port_item(nic.port_id()), fmt::format("40/policy/{}", step.policy())});
      shown.set_applied(where.state() == v1::HostRollout::APPLIED);
      shown.set_message(where.message());
    }
  }
}

void StatusBook::fill_profile(const Snapshot& snapshot, const ObjectKey& key,
                              v1::ServiceProfile& profile) const {
  auto& status = *profile.mutable_status();
  status.clear_conditions();
  status.clear_levels();
  if (const auto definition = snapshot.find<v1::ServiceDefinition>(profile.spec().definition())) {
    status.set_definition_version(definition->spec().version());
    for (const auto& level : allowed_levels(*definition, profile)) status.add_levels(level.name());
  }
  std::vector<v1::HostRollout> every;
  *status.mutable_rollout() =
      rollout_of(sessions_, targets(snapshot, key), snapshot.mod_revision(key), &every);
  status.clear_hosts();
  for (auto& host : every) *status.add_hosts() = std::move(host);
  int enablements = 0;
  std::set<std::pair<std::string, std::string>> vms;
  for (const auto& enablement : snapshot.enablements_of_profile(key.name)) {
    ++enablements;
    const auto object = std::static_pointer_cast<const v1::Enablement>(snapshot.find(enablement));
    for (auto& vm : covered_vms(snapshot, *object)) vms.emplace(enablement.tenant, std::move(vm));
  }
  if (profile.spec().observe()) {
    auto& condition = *status.add_conditions();
    condition.set_type("Observing");
    condition.set_status(v1::Condition::TRUE);
    condition.set_reason("AsAsked");
    condition.set_message("all its enablements only observe: it protects nobody");
  }
  status.set_enablements(enablements);
  status.set_vms(static_cast<int>(vms.size()));
  if (!profile.spec().published())
    condition(status.mutable_conditions(), v1::Condition::FALSE, "NotPublished",
              "spec.published is not set");
  else
    ready_by(status.mutable_conditions(), status.rollout());
}

std::optional<v1::StepIntent> StatusBook::step_instead(const Snapshot& snapshot,
                                                       const ObjectKey& key,
                                                       const v1::Enablement& enablement,
                                                       const v1::VirtualMachine& vm,
                                                       const v1::Nic& nic) const {
  for (auto& step : compiler_.steps_of(snapshot, vm, nic))
    if (step.profile() == enablement.spec().profile() && step.enablement() != key.text())
      return std::move(step);
  return std::nullopt;
}

// It was asked for, and nothing is on.
void StatusBook::not_in_force(const Snapshot& snapshot, v1::Enablement& enablement) {
  const auto& approval = enablement.spec().approval();
  const auto profile = snapshot.find<v1::ServiceProfile>(enablement.spec().profile());
  const auto because = approval.reason().empty() ? "" : ": " + approval.reason();
  auto* conditions = enablement.mutable_status()->mutable_conditions();
  if (approval.state() == v1::ApprovalDecision::REFUSED)
    return condition(conditions, v1::Condition::FALSE, kRefused,
                     fmt::format("refused by {}{}", approval.decided_by(), because));
  std::string who = "an administrator";
  if (profile)
    for (const auto& group : profile->spec().approval().groups()) who = group + " or " + who;
  condition(conditions, v1::Condition::FALSE, kAwaitingApproval,
            fmt::format("asked by {}; waits for {}", approval.asked_by(), who));
}

// What is on stays on when a VM leaves what the profile is available to (it moves, loses a label,
// joins a pool), or the availability is narrowed: protection must not go unnoticed. So it is said.
void StatusBook::say_available(const Snapshot& snapshot, v1::Enablement& enablement) {
  const auto profile = snapshot.find<v1::ServiceProfile>(enablement.spec().profile());
  if (!profile) return;
  const auto obstacle = why_not_on_target(snapshot, *profile, enablement, std::nullopt);
  if (obstacle.empty()) return;
  auto& condition = *enablement.mutable_status()->add_conditions();
  condition.set_type("Available");
  condition.set_status(v1::Condition::FALSE);
  condition.set_reason("OutsideAvailability");
  condition.set_message(fmt::format(
      "{}{}{}; it stays on until it is disabled", obstacle.vm.empty() ? "" : obstacle.vm + ": ",
      obstacle.why.text, obstacle.more ? fmt::format(", and {} more", obstacle.more) : ""));
}

void StatusBook::fill_enablement(const Snapshot& snapshot, const ObjectKey& key,
                                 v1::Enablement& enablement) const {
  auto& status = *enablement.mutable_status();
  status.clear_conditions();
  *status.mutable_rollout() = rollout(snapshot, key);
  *status.mutable_enabled_at() = enablement.metadata().created_at();
  const auto vms = covered_vms(snapshot, enablement);
  status.set_vms(static_cast<int>(vms.size()));
  if (!in_force(enablement)) return not_in_force(snapshot, enablement);
  int is_protected = 0, running = 0, overridden = 0;
  std::string instead;  // where something else goes first
  std::string_view order = "NIC goes before VM before pool before network";
  const auto profile = snapshot.find<v1::ServiceProfile>(enablement.spec().profile());
  const bool by_profile = profile && profile->spec().observe();
  const bool observes = enablement.spec().observe() || by_profile;
  for (const auto& name : vms) {
    const auto vm = snapshot.find<v1::VirtualMachine>(key.tenant, name);
    if (!vm) continue;
    bool all = true, own = true;
    for (const auto& nic : vm->spec().nics()) {
      if (!concerns(enablement.spec(), nic)) continue;
      if (const auto step = step_instead(snapshot, key, enablement, *vm, nic)) {
        own = false;
        if (const auto first = enablement_of(snapshot, *step);
            instead.empty() && first && first->spec().mandatory() && !enablement.spec().mandatory())
          order = "what is mandatory goes before what is not";
        if (instead.empty())
          instead = fmt::format("on {} {} is on through {} at level {}", name, step->profile(),
                                step->enablement(), step->level());
      }
      all = all && sessions_.state(host_of(*vm), port_item(nic.port_id())) == ItemState::kApplied;
    }
    overridden += !own;
    if (host_of(*vm).empty()) continue;
    ++running;
    is_protected += all && own && !observes;
  }
  status.set_protected_(is_protected);
  status.set_overridden(overridden);
  if (overridden > 0) {
    instead += overridden > 1 ? fmt::format(", and {} more", overridden - 1) : "";
    auto& condition = *status.add_conditions();
    condition.set_type("Overridden");
    condition.set_status(v1::Condition::TRUE);
    condition.set_reason("GoesFirst");
    condition.set_message(fmt::format("{}: {}", instead, order));
  }
  say_available(snapshot, enablement);
  if (observes) {
    auto& condition = *status.add_conditions();
    condition.set_type("Observing");
    condition.set_status(v1::Condition::TRUE);
    condition.set_reason(by_profile ? "ProfileObserves" : "AsAsked");
    condition.set_message(
        fmt::format("not protected by {}: it drops nothing, and logs what it would drop{}",
                    enablement.spec().profile(), by_profile ? " (so says the profile)" : ""));
  }
  if (overridden > 0 && overridden == static_cast<int>(vms.size()))
    condition(status.mutable_conditions(), v1::Condition::FALSE, "Overridden", instead);
  else if (running == 0)
    condition(status.mutable_conditions(), v1::Condition::TRUE, "NoneRunning",
              vms.empty() ? "it covers no VM now" : "none of its VMs is running");
  else
    ready_by(status.mutable_conditions(), status.rollout());
}

}  // namespace penstock
