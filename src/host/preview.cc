#include "host/preview.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "host/flow_judge.h"
#include "host/flow_log.h"
#include "host/switch/switch_abi.h"
#include "lib/flow_state.h"
#include "net/switch_number.h"

namespace penstock::host {
namespace {

constexpr std::size_t kEntriesATurn = 4'096;
constexpr std::size_t kWaitingMost = 16;
constexpr int kExamplesMost = 100;
constexpr std::array kDirections{PS_OUT, PS_IN};

// Who would be in the groups that change.
class GroupChange {
 public:
  void put(std::uint64_t id, const v1::GroupIntent* then) {
    numbers_.insert(switch_number(id));
    if (!then) return;
    for (const auto& member : then->members())
      if (const auto address = IpAddress::parse(member.address()))
        then_[text(network_key(Vni(member.vni()), *address))].push_back(switch_number(id));
  }
  bool empty() const { return numbers_.empty(); }
  // The groups that the switch holds for the address, as they would be.
  Result<ps_group_list> apply(const ps_address_key& key, const ps_group_list& held) const {
    std::vector<std::uint32_t> groups;
    for (const auto group : held.group)
      if (group != 0 && !numbers_.contains(group)) groups.push_back(group);
    if (const auto found = then_.find(text(key)); found != then_.end())
      groups.insert(groups.end(), found->second.begin(), found->second.end());
    return group_list(groups);
  }
  static bool same(const v1::GroupIntent* a, const v1::GroupIntent* b) {
    const auto members = [](const v1::GroupIntent* group) {
      std::vector<std::pair<std::uint32_t, std::string>> out;
      if (group)
        for (const auto& member : group->members())
          out.emplace_back(member.vni(), member.address());
      std::ranges::sort(out);
      return out;
    };
    return members(a) == members(b);
  }

 private:
  static std::string text(const ps_address_key& key) {
    return {reinterpret_cast<const char*>(&key), sizeof(key)};
  }
  std::unordered_set<std::uint32_t> numbers_;
  std::unordered_map<std::string, std::vector<std::uint32_t>> then_;  // by address key
};

}  // namespace

struct Preview::Run {
  enum class Stage { kPrepare, kCompile, kSettle, kWalk };
  v1::PreviewOrder order;
  v1::PreviewReport report;
  Stage stage = Stage::kPrepare;

  std::map<std::uint64_t, const v1::PolicyIntent*> policies_put;
  std::map<std::uint64_t, const v1::GroupIntent*> groups_put;  // nullptr: removed
  std::map<std::uint32_t, const v1::PortIntent*> ports_put;
  std::set<std::uint32_t> ports_gone;
  std::set<std::uint64_t> policies_gone;
  std::vector<std::uint64_t> to_compile;
  std::map<std::uint64_t, std::shared_ptr<const JudgingPolicy>> now, then;  // policies, by id

  struct Port {
    std::array<std::uint64_t, 2> words{};  // as the switch has them
    std::uint32_t vni = 0;
    bool gone = false;
    std::array<bool, 2> changed{};
    JudgingSteps steps_now, steps_then;
  };
  std::unordered_map<std::uint32_t, Port> ports;
  GroupChange groups;
  std::unordered_map<std::string, ps_group_list> held;  // groups of addresses, as the switch says
  Bytes after;
  // Those seen last are shown: by time, newest last.
  std::multimap<std::uint64_t, v1::LoggedFlow> examples;
};

Preview::Preview(Runtime& runtime, Kernel& kernel, const Intent& intent,
                 const Reconciler& reconciler, Send send)
    : runtime_(runtime),
      kernel_(kernel),
      intent_(intent),
      reconciler_(reconciler),
      send_(std::move(send)) {}

Preview::~Preview() {
  *here_ = false;
}

void Preview::take(const v1::PreviewOrder& order) {
  if (waiting_.size() >= kWaitingMost) {
    v1::PreviewReport report;
    report.set_id(order.id());
    report.set_code(std::string(name(Code::kResourceExhausted)));
    report.set_message("too many previews at once");
    return send_(report);
  }
  waiting_.push_back(order);
  next();
}

void Preview::next() {
  if (run_ || waiting_.empty()) return;
  run_ = std::make_shared<Run>();
  run_->order = std::move(waiting_.front());
  waiting_.pop_front();
  run_->report.set_id(run_->order.id());
  runtime_.post([this, here = here_] {
    if (*here) turn();
  });
}

void Preview::turn() {
  auto& run = *run_;
  Status status;
  switch (run.stage) {
    case Run::Stage::kPrepare:
      status = prepare(run);
      break;
    case Run::Stage::kCompile:
      status = compile_one(run);
      break;
    case Run::Stage::kSettle:
      status = settle(run);
      break;
    case Run::Stage::kWalk:
      status = walk(run);
      if (status && run.after.empty()) return answer(run, status);
      break;
  }
  if (!status) return answer(run, status);
  runtime_.post([this, here = here_] {
    if (*here) turn();
  });
}

void Preview::answer(Run& run, const Status& status) {
  if (!status) {
    run.report.set_code(std::string(name(status.error().code)));
    run.report.set_message(status.error().text());
  }
  for (auto it = run.examples.rbegin(); it != run.examples.rend(); ++it)
    *run.report.add_examples() = std::move(it->second);
  send_(run.report);
  run_.reset();
  next();
}

// Which ports are concerned: those of the order, and those whose steps lean on what it changes.
Status Preview::prepare(Run& run) {
  for (const auto& item : run.order.put()) {
    if (item.has_policy()) run.policies_put[item.policy().id()] = &item.policy();
    if (item.has_group()) run.groups_put[item.group().id()] = &item.group();
    if (item.has_port()) run.ports_put[item.port().id()] = &item.port();
  }
  for (const auto& key : run.order.remove()) {
    const auto held = intent_.items().find(key);
    if (held == intent_.items().end()) continue;
    const auto& item = *held->second;
    if (item.has_policy()) run.policies_gone.insert(item.policy().id());
    if (item.has_group()) run.groups_put[item.group().id()] = nullptr;
    if (item.has_port()) run.ports_gone.insert(item.port().id());
  }
  std::erase_if(run.groups_put, [&](const auto& entry) {
    return GroupChange::same(intent_.group(entry.first), entry.second);
  });
  for (const auto& [id, group] : run.groups_put) run.groups.put(id, group);

  const auto concerned = [&](const v1::PortIntent& port) {
    return std::ranges::any_of(port.steps(), [&](const v1::StepIntent& step) {
      if (run.policies_put.contains(step.policy()) || run.policies_gone.contains(step.policy()))
        return true;
      const auto* policy = reconciler_.policies().find(step.policy());
      return policy && std::ranges::any_of(policy->groups, [&](std::uint64_t group) {
               return run.groups_put.contains(group);
             });
    });
  };
  const bool others =
      !run.policies_put.empty() || !run.policies_gone.empty() || !run.groups_put.empty();
  const auto& table = reconciler_.ports().table();
  const auto add = [&](std::uint32_t id, const v1::PortIntent& intent) {
    auto& port = run.ports[id];
    port.vni = intent.vni();
    port.gone = run.ports_gone.contains(id);
    if (const auto slot = table.slot_of(PortId(id)))
      for (const auto direction : kDirections)
        port.words[direction] = load_policy(table.port(*slot), direction);
  };
  for (const auto& [id, port] : run.ports_put) add(id, *port);
  for (const auto& [key, item] : intent_.items())
    if (item->has_port())
      if (run.ports_gone.contains(item->port().id()) || (others && concerned(item->port())))
        add(item->port().id(), item->port());
  run.report.set_ports(static_cast<int>(run.ports.size()));

  std::set<std::uint64_t> needed;
  for (const auto& [id, port] : run.ports) {
    if (port.gone) continue;
    if (const auto* now = intent_.port(id))
      for (const auto& step : now->steps()) needed.insert(step.policy());
    if (const auto put = run.ports_put.find(id); put != run.ports_put.end())
      for (const auto& step : put->second->steps()) needed.insert(step.policy());
  }
  for (const auto id : needed) {
    const auto* held = reconciler_.policies().find(id);
    const auto* intent = intent_.policy(id);
    if (held && intent) run.now[id] = PENSTOCK_TRY(JudgingPolicy::copy(*held, *intent, kernel_));
    const auto put = run.policies_put.find(id);
    if (put == run.policies_put.end()) {
      if (run.now.contains(id)) run.then[id] = run.now[id];
    } else if (run.now.contains(id) && put->second->filter().SerializeAsString() == held->content) {
      run.then[id] = run.now[id];
    } else {
      run.to_compile.push_back(id);
    }
  }
  run.stage = Run::Stage::kCompile;
  return {};
}

Status Preview::compile_one(Run& run) {
  if (run.to_compile.empty()) {
    run.stage = Run::Stage::kSettle;
    return {};
  }
  const auto id = run.to_compile.back();
  run.to_compile.pop_back();
  const auto& intent = *run.policies_put.at(id);
  auto made = JudgingPolicy::compile(intent, runtime_.tunables());
  if (!made)
    return std::unexpected(std::move(made).error().in(
        fmt::format("profile {}, level {}", intent.profile(), intent.level())));
  run.then[id] = std::move(*made);
  return {};
}

Status Preview::settle(Run& run) {
  const auto steps_of = [](const v1::PortIntent* port, const auto& policies,
                           JudgingSteps& out) -> Status {
    if (!port) return {};
    for (const auto& step : port->steps()) {
      const auto policy = policies.find(step.policy());
      if (policy == policies.end())
        return fail(Code::kUnavailable,
                    fmt::format("{}: policy {} ({}, level {}) is not in place", step.enablement(),
                                step.policy(), step.profile(), step.level()));
      out.push_back({policy->second, step});
    }
    return {};
  };
  for (auto& [id, port] : run.ports) {
    if (port.gone) continue;
    const auto* now = intent_.port(id);
    const auto put = run.ports_put.find(id);
    const auto* then = put == run.ports_put.end() ? now : put->second;
    // What the port has now is asked only about entries that were not judged by it yet.
    if (!steps_of(now, run.now, port.steps_now)) port.steps_now.clear();
    PENSTOCK_CHECK(steps_of(then, run.then, port.steps_then));
    const bool regrouped = std::ranges::any_of(port.steps_then, [&](const JudgingStep& step) {
      return std::ranges::any_of(
          step.policy->groups, [&](std::uint64_t group) { return run.groups_put.contains(group); });
    });
    for (const auto direction : kDirections)
      // Without services nothing is judged.
      port.changed[direction] =
          !port.steps_then.empty() &&
          (regrouped || !same_decisions(port.steps_now, port.steps_then, direction));
  }
  std::erase_if(run.ports, [](const auto& entry) {
    return !entry.second.gone && !entry.second.changed[PS_OUT] && !entry.second.changed[PS_IN];
  });
  run.stage = Run::Stage::kWalk;
  return {};
}

Status Preview::walk(Run& run) {
  if (run.ports.empty()) return {};
  auto part = PENSTOCK_TRY(kernel_.map_part(Map::kFlows, run.after, kEntriesATurn));
  for (const auto& [key, value] : part.entries) PENSTOCK_CHECK(look_at(run, key, value));
  run.after = std::move(part.end);
  return {};
}

Status Preview::look_at(Run& run, const Bytes& key_bytes, const Bytes& value_bytes) {
  const auto key = PENSTOCK_TRY(value_of<ps_flow_key>(key_bytes));
  const auto found = run.ports.find(key.port_id);
  if (found == run.ports.end()) return {};
  const auto flow = PENSTOCK_TRY(value_of<ps_flow>(value_bytes));
  const auto& port = found->second;
  if (flow.flags & (PS_FLOW_DENIED | PS_FLOW_DYING) || !(flow.flags & PS_FLOW_INSPECTED)) return {};
  if (key.protocol == PS_PROTO_TCP && flow.state == PS_FLOW_CLOSED) return {};
  const auto config = switch_config(runtime_.tunables());
  // The switch has only CLOCK_MONOTONIC, which is the real runtime's.
  const auto now_ns = static_cast<std::uint64_t>(runtime_.now().since_start.count());
  if (ps_flow_expired(&config, key.protocol, &flow, now_ns)) return {};
  const auto direction = flow.initiator & 1;
  if (!port.gone && !port.changed[direction]) return {};

  // Said by the switch once an address; kept for the order.
  const auto groups_of = [&](bool then) {
    return [&, then](const ps_address& address, std::uint8_t family) -> Result<ps_group_list> {
      ps_address_key at{};
      at.scope = port.vni;
      at.family = family;
      std::memcpy(at.address, &address, sizeof(at.address));
      const std::string text(reinterpret_cast<const char*>(&at), sizeof(at));
      auto known = run.held.find(text);
      if (known == run.held.end()) {
        ps_group_list list{};
        if (const auto held = PENSTOCK_TRY(kernel_.map_get(Map::kGroups, bytes_of(at))))
          list = PENSTOCK_TRY(value_of<ps_group_list>(*held));
        known = run.held.emplace(text, list).first;
      }
      return then && !run.groups.empty() ? run.groups.apply(at, known->second) : known->second;
    };
  };
  if (flow.policy != port.words[direction] && !port.steps_now.empty())
    if (PENSTOCK_TRY(judge(port.steps_now, key, flow, groups_of(false))).by) return {};
  run.report.set_flows(run.report.flows() + 1);
  FlowVerdict verdict;
  if (!port.gone) {
    verdict = PENSTOCK_TRY(judge(port.steps_then, key, flow, groups_of(true)));
    if (!verdict.by) return {};
  }
  run.report.set_cut(run.report.cut() + 1);

  const auto most = static_cast<std::size_t>(std::clamp(run.order.examples(), 0, kExamplesMost));
  if (most == 0) return {};
  if (run.examples.size() >= most) {
    if (run.examples.begin()->first >= flow.seen_ns) return {};
    run.examples.erase(run.examples.begin());
  }
  v1::LoggedFlow example;
  const auto age =
      Duration(now_ns > flow.seen_ns ? static_cast<std::int64_t>(now_ns - flow.seen_ns) : 0);
  example.set_time_ns((runtime_.wall().since_epoch - age).count());
  example.set_port_id(key.port_id);
  example.set_out(direction == PS_OUT);
  example.set_outcome(verdict.reject ? v1::LoggedFlow::REJECT : v1::LoggedFlow::DENY);
  if (verdict.by)
    name_rule(verdict.by->intent, verdict.by->policy->index[direction],
              verdict.by->policy->intent.filter(), verdict.rule, example);
  ps_packet_view view;
  ps_flow_view(&key, direction, flow.tcp_flags, flow.icmp_type, flow.icmp_code, &view);
  const auto bytes = key.family == 6 ? 16u : 4u;
  example.set_source(&view.src, bytes);
  example.set_destination(&view.dst, bytes);
  example.set_protocol(key.protocol);
  if (key.protocol == (key.family == 6 ? 58 : 1)) {
    example.set_icmp_type(flow.icmp_type);
    example.set_icmp_code(flow.icmp_code);
  } else {
    example.set_source_port(view.sport);
    example.set_destination_port(view.dport);
  }
  run.examples.emplace(std::uint64_t{flow.seen_ns}, std::move(example));
  return {};
}

}  // namespace penstock::host
