#include "server/counters.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "model/ids.h"
#include "server/authorize.h"
#include "server/handlers/context.h"

namespace penstock {

struct Counters::Question {
  Snapshot snapshot;
  Identity who;
  std::uint64_t id = 0;
  Done done;
  std::optional<TimerId> deadline;

  struct Level {
    std::string profile, level;
  };
  std::map<std::uint64_t, Level> policies;
  std::map<std::string, std::set<std::uint32_t>> ports;  // by host
  std::set<std::string> waiting;                         // hosts
  std::map<std::tuple<std::string, std::string, std::uint32_t>, v1::CountersResponse::Rule> rules;
  std::map<std::uint32_t, v1::CountersResponse::Nic> nics;  // by port; empty: not asked for
  std::vector<std::string> incomplete;

  // To whom hosts are no secret.
  void lacks(const std::string& host, const std::string& what) {
    auto text = who.administrator() ? fmt::format("host {} {}", host, what)
                                    : fmt::format("a host {}", what);
    if (std::ranges::find(incomplete, text) == incomplete.end())
      incomplete.push_back(std::move(text));
  }
};

namespace {

std::string rule_name(const Snapshot& snapshot, const std::string& profile, std::uint32_t number) {
  if (number == 0) return "default";
  const auto found = snapshot.find<v1::ServiceProfile>(profile);
  const auto definition =
      found ? snapshot.find<v1::ServiceDefinition>(found->spec().definition()) : nullptr;
  const auto at = static_cast<int>(number) - 1;
  if (!definition || at >= definition->spec().filter().rules_size()) return {};
  const auto& name = definition->spec().filter().rules(at).name();
  return name.empty() ? fmt::format("rule-{}", number) : name;
}

google::protobuf::Timestamp timestamp(std::int64_t ns) {
  google::protobuf::Timestamp out;
  out.set_seconds(ns / 1'000'000'000);
  out.set_nanos(static_cast<std::int32_t>(ns % 1'000'000'000));
  return out;
}

bool later(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return std::pair(a.seconds(), a.nanos()) > std::pair(b.seconds(), b.nanos());
}

}  // namespace

Counters::Counters(Runtime& runtime, Engine& engine, HostSessions& sessions, Compiler& compiler)
    : runtime_(runtime), engine_(engine), sessions_(sessions), compiler_(compiler) {}
Counters::~Counters() = default;

Result<Counters::QuestionPtr> Counters::plan(const Identity& who,
                                             const v1::CountersRequest& request) const {
  auto question = std::make_shared<Question>();
  question->snapshot = engine_.head();
  question->who = who;
  if (request.kind() == "ServiceProfile")
    PENSTOCK_CHECK(plan_profile(*question, request));
  else if (request.kind() == "VirtualMachine")
    PENSTOCK_CHECK(plan_vm(*question, request));
  else
    return fail_field("kind", fmt::format("\"{}\" has no counters", request.kind()),
                      "ServiceProfile or VirtualMachine");
  return question;
}

Status Counters::plan_profile(Question& q, const v1::CountersRequest& request) const {
  const auto& snapshot = q.snapshot;
  const auto key = ObjectKey::of<v1::ServiceProfile>("", request.name());
  const auto profile = snapshot.find<v1::ServiceProfile>(request.name());
  // Profiles are the administrators' to read. Others know those that are on for something of
  // theirs.
  bool known = profile && may_read(snapshot, q.who, key, profile.get());
  if (!profile) return not_found(key);
  const auto definition = snapshot.find<v1::ServiceDefinition>(profile->spec().definition());
  if (!definition) return fail(Code::kInternal, "the profile's definition is not there");
  for (const auto& enablement : snapshot.enablements_of_profile(request.name())) {
    if (!request.tenant().empty() && enablement.tenant != request.tenant()) continue;
    const auto tenant = snapshot.find<v1::Tenant>(enablement.tenant);
    known = known || may_read(snapshot, q.who, enablement, snapshot.find(enablement).get());
    // A policy is one for all or one a tenant: hosts have the one that there is.
    for (const auto& level : definition->spec().levels())
      for (const auto& uid : {std::string(), tenant ? tenant->metadata().uid() : std::string()})
        q.policies[policy_id(profile->metadata().uid(), level.name(), uid)] = {request.name(),
                                                                               level.name()};
    for (const auto& [host, items] : compiler_.items_of(snapshot, enablement))
      for (const auto& item : items) {
        constexpr std::string_view kPort = "60/port/";
        std::uint32_t port = 0;
        if (!item.starts_with(kPort) ||
            std::from_chars(item.data() + kPort.size(), item.data() + item.size(), port).ec !=
                std::errc{})
          continue;
        const auto nic = snapshot.nic_of_port(port);
        if (!nic) continue;
        const auto vm_key = ObjectKey::of<v1::VirtualMachine>(nic->tenant, nic->vm);
        const auto vm = snapshot.find(vm_key);
        if (!vm || !may_read(snapshot, q.who, vm_key, vm.get())) continue;
        q.ports[host].insert(port);
        known = true;
      }
  }
  if (!known) return not_found(key);
  return {};
}

Status Counters::plan_vm(Question& q, const v1::CountersRequest& request) const {
  const auto& snapshot = q.snapshot;
  const auto key = ObjectKey::of<v1::VirtualMachine>(request.tenant(), request.name());
  const auto vm = snapshot.find<v1::VirtualMachine>(request.tenant(), request.name());
  PENSTOCK_CHECK(authorize(snapshot, q.who, Action::kRead, key, vm.get()));
  if (!vm) return not_found(key);
  const auto& host = host_of(*vm);
  if (host.empty()) q.incomplete.push_back("the VM runs on no host: nothing is counted");
  for (const auto& nic : vm->spec().nics()) {
    auto& shown = q.nics[nic.port_id()];
    shown.set_vm(request.name());
    shown.set_nic(nic.name());
    for (const auto& step : compiler_.steps_of(snapshot, *vm, nic))
      q.policies[step.policy()] = {step.profile(), step.level()};
    if (!host.empty()) q.ports[host].insert(nic.port_id());
  }
  return {};
}

void Counters::ask(const Identity& who, const v1::CountersRequest& request, Done done) {
  auto planned = plan(who, request);
  if (!planned) return done(std::unexpected(planned.error()));
  const auto question = *planned;
  question->id = next_++;
  question->done = std::move(done);
  for (const auto& [host, ports] : question->ports) {
    v1::CountersOrder order;
    order.set_id(question->id);
    for (const auto& [policy, level] : question->policies) order.add_policies(policy);
    for (const auto port : ports) order.add_ports(port);
    if (sessions_.order(host, order))
      question->waiting.insert(host);
    else
      question->lacks(host, "is away");
  }
  if (question->waiting.empty()) return finish(question);
  open_[question->id] = question;
  question->deadline =
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().counters_deadline_ms),
                     [this, id = question->id] {
                       const auto found = open_.find(id);
                       if (found == open_.end()) return;
                       const auto question = found->second;
                       question->deadline.reset();
                       for (const auto& host : question->waiting)
                         question->lacks(host, "did not answer in time");
                       finish(question);
                     });
}

void Counters::reported(const std::string& host, const v1::CountersReport& report) {
  const auto found = open_.find(report.id());
  if (found == open_.end() || found->second->waiting.erase(host) == 0) return;
  const auto question = found->second;
  if (!report.code().empty())
    question->lacks(host, question->who.administrator() ? "cannot say all: " + report.message()
                                                        : "cannot say all");
  take(*question, report);
  if (question->waiting.empty()) finish(question);
}

void Counters::take(Question& q, const v1::CountersReport& report) const {
  for (const auto& count : report.rules()) {
    const auto policy = q.policies.find(count.policy());
    if (policy == q.policies.end()) continue;
    const auto& [profile, level] = policy->second;
    auto& rule = q.rules[{profile, level, count.rule_number()}];
    rule.set_profile(profile);
    rule.set_level(level);
    rule.set_rule_number(static_cast<std::int32_t>(count.rule_number()));
    rule.set_flows(rule.flows() + count.flows());
    rule.set_packets(rule.packets() + count.packets());
    rule.set_bytes(rule.bytes() + count.bytes());
    rule.set_would_deny(rule.would_deny() + count.would_deny());
    const auto last = timestamp(count.last_ns());
    if (count.last_ns() != 0 && (!rule.has_last_hit() || later(last, rule.last_hit())))
      *rule.mutable_last_hit() = last;
  }
  for (const auto& count : report.ports()) {
    const auto found = q.nics.find(count.port_id());
    if (found == q.nics.end()) continue;
    auto& nic = found->second;
    nic.set_packets_out(count.packets_out());
    nic.set_packets_in(count.packets_in());
    nic.set_bytes_out(count.bytes_out());
    nic.set_bytes_in(count.bytes_in());
    nic.set_flows(count.flows());
    *nic.mutable_drops() = count.drops();
  }
}

void Counters::finish(const QuestionPtr& question) {
  if (question->deadline) runtime_.cancel(*question->deadline);
  open_.erase(question->id);
  v1::CountersResponse response;
  for (auto& [key, rule] : question->rules) {
    rule.set_rule(rule_name(question->snapshot, rule.profile(), std::get<2>(key)));
    *response.add_rules() = std::move(rule);
  }
  for (auto& [port, nic] : question->nics) *response.add_nics() = std::move(nic);
  for (auto& text : question->incomplete) response.add_incomplete(std::move(text));
  question->done(std::move(response));
}

}  // namespace penstock
