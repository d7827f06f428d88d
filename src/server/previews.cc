#include "server/previews.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/authorize.h"
#include "server/flow_record.h"

namespace penstock {
namespace {

constexpr std::size_t kPreviewsMost = 64;
constexpr std::size_t kNicsNamed = 5;

bool matters(std::string_view key) {
  return key.starts_with("30/group/") || key.starts_with("40/policy/") ||
         key.starts_with("60/port/");
}

std::int32_t ports_in(const HostChange& change) {
  const auto is_port = [](std::string_view key) { return key.starts_with("60/port/"); };
  return static_cast<std::int32_t>(
      std::ranges::count_if(change.put, [&](const auto& put) { return is_port(put.first); }) +
      std::ranges::count_if(change.remove, is_port));
}

// NICs of running VMs that would get their first service: the switch knows no flows of theirs.
std::vector<std::string> first_services(Compiler& compiler, const Identity& who,
                                        const Snapshot& before, const HostChange& change) {
  std::vector<std::string> out;
  for (const auto& [key, bytes] : change.put) {
    if (!key.starts_with("60/port/")) continue;
    const auto item = parse_item(*bytes);
    if (item.port().steps().empty()) continue;
    const auto ref = before.nic_of_port(item.port().id());
    const auto vm = ref ? before.find<v1::VirtualMachine>(ref->tenant, ref->vm) : nullptr;
    if (!vm || host_of(*vm).empty() || !may_read(before, who, key_of(*vm), vm.get())) continue;
    const auto nic = std::ranges::find(vm->spec().nics(), ref->nic, &v1::Nic::name);
    if (nic != vm->spec().nics().end() && compiler.steps_of(before, *vm, *nic).empty())
      out.push_back(fmt::format("{}/{}/{}", ref->tenant, ref->vm, ref->nic));
  }
  return out;
}

}  // namespace

struct Previews::Run {
  Identity who;
  Snapshot before;
  v1::Effect effect;
  std::map<std::string, v1::HostEffect> hosts;
  std::set<std::string> open;
  std::vector<std::pair<std::string, v1::LoggedFlow>> examples;  // with their host
  TimerId timer{};
  Done done;
};

Previews::Previews(Runtime& runtime, Compiler& compiler, HostSessions& sessions)
    : runtime_(runtime), compiler_(compiler), sessions_(sessions) {}
Previews::~Previews() = default;

void Previews::preview(const Identity& who, Snapshot before, Snapshot after,
                       std::span<const Edit> edits, Done done) {
  auto changes = compiler_.what_if(before, after, edits);
  const auto id = next_++;
  auto& run = *runs_.emplace(id, std::make_unique<Run>()).first->second;
  run.who = who;
  run.before = before;
  run.done = std::move(done);

  std::set<std::string> arriving;  // ports that a host gets: elsewhere they leave
  for (const auto& [host, change] : changes)
    for (const auto& [key, bytes] : change.put)
      if (key.starts_with("60/port/")) arriving.insert(key);
  std::vector<std::string> first, moving;
  const bool busy = runs_.size() > kPreviewsMost;
  if (busy) run.effect.add_incomplete("too many previews at once: live flows were not looked at");
  for (const auto& [host, change] : changes) {
    auto& effect = run.hosts[host];
    effect.set_host(host);
    effect.set_ports(ports_in(change));
    for (auto& nic : first_services(compiler_, who, before, change))
      first.push_back(std::move(nic));
    v1::ServerMessage message;
    auto& order = *message.mutable_preview();
    order.set_id(id);
    order.set_examples(static_cast<int>(runtime_.tunables().preview_examples));
    for (const auto& [key, bytes] : change.put)
      if (matters(key)) *order.add_put() = parse_item(*bytes);
    for (const auto& key : change.remove) {
      if (arriving.contains(key))
        moving.push_back(key);
      else if (matters(key))
        order.add_remove(key);
    }
    if (busy || (order.put().empty() && order.remove().empty())) continue;
    if (sessions_.order(host, std::move(message)))
      run.open.insert(host);
    else
      effect.set_problem("is away");
  }
  if (!first.empty()) {
    const auto named = std::span(first).first(std::min(first.size(), kNicsNamed));
    run.effect.add_incomplete(fmt::format(
        "{}{} {} no service yet, so the switch keeps no flows of {}: what is open now is judged "
        "when its next packet comes",
        fmt::join(named, ", "),
        first.size() > named.size() ? fmt::format(" and {} more", first.size() - named.size()) : "",
        first.size() == 1 ? "has" : "have", first.size() == 1 ? "it" : "them"));
  }
  if (!moving.empty())
    run.effect.add_incomplete(
        fmt::format("{} NIC{} would change hosts: their flows were not looked at", moving.size(),
                    moving.size() == 1 ? "" : "s"));
  if (run.open.empty()) return finish(id);
  run.timer = runtime_.after(
      std::chrono::milliseconds(runtime_.tunables().preview_deadline_ms), [this, id] {
        auto& run = *runs_.at(id);
        for (const auto& host : run.open)
          run.hosts[host].set_problem(
              fmt::format("did not answer within {} ms", runtime_.tunables().preview_deadline_ms));
        run.timer = TimerId{};
        finish(id);
      });
}

void Previews::reported(const std::string& host, const v1::PreviewReport& report) {
  const auto found = runs_.find(report.id());
  if (found == runs_.end() || !found->second->open.contains(host)) return;
  auto& run = *found->second;
  auto& effect = run.hosts[host];
  if (!report.code().empty()) {
    effect.set_problem(report.message());
  } else {
    effect.set_ports(std::max(effect.ports(), report.ports()));
    effect.set_flows(report.flows());
    effect.set_flows_cut(report.cut());
    for (const auto& example : report.examples()) run.examples.emplace_back(host, example);
  }
  run.open.erase(host);
  if (!run.open.empty()) return;
  runtime_.cancel(run.timer);
  finish(report.id());
}

void Previews::finish(std::uint64_t id) {
  auto run = std::move(runs_.at(id));
  runs_.erase(id);
  auto& effect = run->effect;
  const bool all = run->who.administrator();
  int away = 0;
  effect.set_hosts(static_cast<int>(run->hosts.size()));
  for (auto& [name, host] : run->hosts) {
    effect.set_ports(effect.ports() + host.ports());
    effect.set_flows(effect.flows() + host.flows());
    effect.set_flows_cut(effect.flows_cut() + host.flows_cut());
    if (!host.problem().empty()) {
      ++away;
      if (all) effect.add_incomplete(fmt::format("host {} {}", name, host.problem()));
    }
    if (all) *effect.add_by_host() = std::move(host);
  }
  if (!all && away > 0)
    effect.add_incomplete(fmt::format("live flows on {} of {} host{} are not known", away,
                                      effect.hosts(), effect.hosts() == 1 ? "" : "s"));
  std::ranges::stable_sort(run->examples, std::greater{},
                           [](const auto& example) { return example.second.time_ns(); });
  for (const auto& [host, example] : run->examples) {
    if (effect.examples_size() >= runtime_.tunables().preview_examples) break;
    auto record = flow_record(run->before, host, example);
    if (!record) continue;
    const auto vm = run->before.find<v1::VirtualMachine>(record->metadata().tenant(), record->vm());
    if (!vm || !may_read(run->before, run->who, key_of(*vm), vm.get())) continue;
    redact(run->who, *record);
    *effect.add_examples() = std::move(*record);
  }
  run->done(std::move(effect));
}

}  // namespace penstock
