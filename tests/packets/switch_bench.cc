// What the switch costs a packet, by BPF_PROG_TEST_RUN: JSON lines {name, value, unit}, medians of
// five. The costs are sums over both sides of a local delivery, a firewall on both, above those of
// an empty program.
//   switch-bench [runs]
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "tests/packets/world.h"

using namespace penstock;
using namespace penstock::packets;

namespace {

constexpr int kFlows = 64;
constexpr auto kMacs = "02:00:00:00:00:0a > 02:00:00:00:00:0b";

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void row(const char* name, double value, const char* unit = "ns") {
  fmt::print("{{\"name\":\"{}\",\"value\":{:.1f},\"unit\":\"{}\"}}\n", name, value, unit);
}

policy::RuleSet rule_set(int count) {
  policy::RuleSet rules;
  for (int i = 0; i < count; ++i) {
    policy::Rule rule;
    rule.protocols = {6};
    const auto port = static_cast<std::uint16_t>(i + 1 == count ? 80 : 1000 + i);
    rule.dst_ports = {{port, port}};
    rules.rules.push_back(rule);
  }
  rules.default_action = policy::Action::kDeny;
  return rules;
}

Frame packet(int flow, std::uint8_t flags, bool six = false) {
  return Packet(kMacs)
      .ip(six ? "fd00::1 > fd00::2" : "10.0.0.1 > 10.0.0.2")
      .tcp(static_cast<std::uint16_t>(30000 + flow), 80, flags)
      .payload(64)
      .frame();
}

// Mean over the flows of one pass; of each flow the quietest of a few runs, because other programs
// share the machine.
double pass(World& world, int program, int ifindex, const std::vector<Frame>& frames, int rounds) {
  double sum = 0;
  for (const auto& frame : frames) {
    double quietest = 1e9;
    for (int r = 0; r < rounds; ++r)
      quietest = std::min(quietest, world.time_ns(program, ifindex, frame, 1000));
    sum += quietest;
  }
  return sum / static_cast<double>(frames.size());
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  auto tunables = World::small();
  tunables.flow_entries = 65536;
  auto made = World::make(tunables);
  if (!made) {
    fmt::print(stderr, "switch-bench: {}\n", made.error().text());
    return 1;
  }
  auto& world = **made;
  world.add_port({.id = 1,
                  .mac = "02:00:00:00:00:0a",
                  .addresses = {"10.0.0.1", "fd00::1"},
                  .flags = PS_PORT_PEER});
  world.add_port({.id = 2,
                  .mac = "02:00:00:00:00:0b",
                  .addresses = {"10.0.0.2", "fd00::2"},
                  .flags = PS_PORT_PEER});
  const int program = world.the_switch().program_fd(host::Program::kFromPort);
  const int empty = world.the_switch().empty_program_fd();
  const int ifindex = world.ifindex(1);
  // A row about packets that went another way than it says would be worse than none.
  const auto measure = [&](const char* name, const std::vector<Frame>& frames,
                           const char* outcome = "redirect") {
    for (const auto& frame : frames) {
      const auto met = world.from_vm(1, frame).text();
      if (met == outcome) continue;
      fmt::print(stderr, "switch-bench: {}: a packet met \"{}\", not \"{}\"\n", name, met, outcome);
      std::exit(1);
    }
    std::vector<double> cost;
    for (int i = 0; i < runs; ++i)
      cost.push_back(pass(world, program, ifindex, frames, 5) -
                     pass(world, empty, ifindex, frames, 5));
    row(name, median(cost));
    if (std::getenv("SWITCH_BENCH_RAW"))
      fmt::print(stderr, "raw {} lowest {:.1f} highest {:.1f} empty {:.1f}\n", name,
                 std::ranges::min(cost), std::ranges::max(cost),
                 pass(world, empty, ifindex, frames, 5));
  };
  const auto frames_of = [](bool six) {
    std::vector<Frame> frames;
    for (int i = 0; i < kFlows; ++i) frames.push_back(packet(i, ACK, six));
    return frames;
  };
  measure("switch.no_service_ns", frames_of(false));
  for (const int count : {1, 4096}) {
    ps_step step{};  // as the agent makes it: its rules are counted
    step.line = world.image(rule_set(count));
    step.profile = 77;
    step.kind = PS_STEP_FILTER;
    step.counts = PS_RULES_PER_BLOCK;
    const auto line = world.steps({step}, 1);
    world.enable(1, PS_OUT, line);
    world.enable(1, PS_IN, line);
    world.enable(2, PS_OUT, line);
    world.enable(2, PS_IN, line);
    for (int i = 0; i < kFlows; ++i) {
      world.from_vm(1, packet(i, ACK));
      world.from_vm(1, packet(i, ACK, true));
    }
    if (count == 1) {
      measure("switch.established_ns", frames_of(false));
      measure("switch.established_ip6_ns", frames_of(true));
      // Limits that no packet exceeds, on both sides.
      for (const auto port : {1u, 2u}) world.limit(port, {.bits_per_second = 100'000'000'000'000});
      measure("switch.established_limited_ns", frames_of(false));
      for (const auto port : {1u, 2u}) world.limit(port, {});
    } else {
      measure("switch.established_4096_rules_ns", frames_of(false));
    }
    // First packets: each run meets flows it has never seen, one packet each.
    std::vector<double> first;
    for (int i = 0; i < runs; ++i) {
      double sum = 0;
      for (int flow = 0; flow < 200; ++flow) {
        (void)world.the_switch().forget_flows(PortId(1));
        (void)world.the_switch().forget_flows(PortId(2));
        const auto frame = packet(1000 + flow, SYN);
        // The first of the repetitions makes the entries; a run of one has the cost of starting the
        // measurement in it, which the empty program shows.
        sum += world.time_ns(program, ifindex, frame, 1) - world.time_ns(empty, ifindex, frame, 1);
        if (flow == 20) sum = 0;
      }
      first.push_back(sum / 179);
    }
    row(count == 1 ? "switch.first_packet_ns" : "switch.first_packet_4096_rules_ns", median(first));
  }
  // From another host, over the receiver's firewall, above the empty program in the same tunnel.
  world.add_remote(100, "02:00:00:00:00:0f", "10.0.0.9", "192.0.2.9");
  std::vector<Frame> far;
  for (int i = 0; i < kFlows; ++i)
    far.push_back(Packet("02:00:00:00:00:0f > 02:00:00:00:00:0a")
                      .ip("10.0.0.9 > 10.0.0.1")
                      .tcp(static_cast<std::uint16_t>(30000 + i), 80, ACK)
                      .payload(64)
                      .frame());
  for (const auto& frame : far)
    if (const auto met = world.from_overlay(100, "192.0.2.9", frame).text(); met != "redirect") {
      fmt::print(stderr, "switch-bench: from another host: \"{}\"\n", met);
      return 1;
    }
  std::vector<double> arrived;
  for (int i = 0; i < runs; ++i) {
    const auto through = [&](int next) {
      return pass(world, world.overlay_program(100, "192.0.2.9", next),
                  static_cast<int>(World::index_of("lo")), far, 5);
    };
    arrived.push_back(through(world.the_switch().program_fd(host::Program::kFromOverlay)) -
                      through(empty));
  }
  row("switch.from_overlay_ns", median(arrived));
  // A denied packet: classified every time.
  std::vector<Frame> denied;
  for (int i = 0; i < kFlows; ++i)
    denied.push_back(Packet(kMacs)
                         .ip("10.0.0.1 > 10.0.0.2")
                         .tcp(static_cast<std::uint16_t>(30000 + i), 9, SYN)
                         .frame());
  measure("switch.denied_4096_rules_ns", denied, "drop policy_deny");
  const auto instructions = world.the_switch().verified_instructions();
  if (instructions)
    for (const auto& [name, count] : *instructions)
      row(("switch.verified." + name).c_str(), count, "instructions");
  return 0;
}
