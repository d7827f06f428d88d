// Limits of levels, and what is counted of rules and ports.
#include <bpf/bpf.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using host::PortLimits;

class Limits : public TwoPorts {
 protected:
  void allow(std::uint32_t port) {
    const auto line = world->policy(rules(Action::kAllow));
    world->enable(port, PS_OUT, line);
    world->enable(port, PS_IN, line);
  }
  Frame syn(int flow) { return tcp_a_to_b(static_cast<std::uint16_t>(1000 + flow), 80, SYN); }
  std::uint64_t entries(std::uint32_t port) {
    const auto counts = world->the_switch().port_counts(PortId(port), world->slot(port));
    EXPECT_TRUE(counts);
    return counts ? counts->flows : 0;
  }
  std::uint64_t drops(std::uint32_t port, ps_drop_reason reason) {
    const auto counts = world->the_switch().port_counts(PortId(port), world->slot(port));
    EXPECT_TRUE(counts);
    const auto found = counts->drops.find(reason);
    return found == counts->drops.end() ? 0 : found->second;
  }
};

TEST_F(Limits, ConnectionsAreExactAndOlderOnesGoOn) {
  allow(kA);
  world->limit(kA, {.connections = 3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(from_a(syn(i)), "redirect");
  for (int i = 3; i < 6; ++i) EXPECT_EQ(from_a(syn(i)), "drop connection_limit");
  EXPECT_EQ(entries(kA), 3u);
  // Replies, further packets and a SYN sent again belong to what is there.
  EXPECT_EQ(from_b(tcp_b_to_a(80, 1000, SYN | ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, ACK)), "redirect");
  EXPECT_EQ(from_a(syn(1)), "redirect");
  // Older than the limit, or than the switch's memory.
  EXPECT_EQ(from_a(tcp_a_to_b(5000, 80, ACK)), "redirect");
  EXPECT_EQ(entries(kA), 4u) << "it counts from now on";
  // A limit below what is there ends nothing.
  world->limit(kA, {.connections = 1});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(from_a(tcp_a_to_b(1000 + i, 80, ACK)), "redirect");
  EXPECT_EQ(from_a(syn(7)), "drop connection_limit");
  ASSERT_TRUE(world->the_switch().forget_flows(PortId(kA)));
  EXPECT_EQ(from_a(syn(7)), "redirect");
  world->limit(kA, {});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(from_a(syn(i)), "redirect");
  EXPECT_EQ(drops(kA, PS_DROP_CONNECTION_LIMIT), 4u);
}

TEST_F(Limits, WhatTheReceiverMayHoldIsTheReceivers) {
  allow(kB);
  world->limit(kB, {.connections = 2});
  EXPECT_EQ(from_a(syn(0)), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1000, 53).frame()), "redirect");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIp6AToB).udp(1000, 53).frame()), "drop connection_limit");
  EXPECT_EQ(drops(kB, PS_DROP_CONNECTION_LIMIT), 1u);
  EXPECT_EQ(drops(kA, PS_DROP_CONNECTION_LIMIT), 0u)
      << "nothing of A's was refused by A's services";
}

TEST_F(Limits, NewConnectionsASecond) {
  allow(kA);
  world->limit(kA, {.connections_per_second = 20});
  int passed = 0;
  for (int i = 0; i < 25; ++i) passed += from_a(syn(i)) == "redirect";
  EXPECT_GE(passed, 20) << "a second's worth may come at once";
  EXPECT_LT(passed, 25);
  EXPECT_EQ(from_a(syn(0)), "redirect") << "no new connection";
  EXPECT_EQ(world->from_vm(kA, syn(100)).reason, "connection_rate");
  std::this_thread::sleep_for(std::chrono::milliseconds(220));
  int later = 0;
  for (int i = 200; i < 220; ++i) later += from_a(syn(i)) == "redirect";
  EXPECT_GE(later, 4) << "20 a second, 220 ms";
  EXPECT_LE(later, 12) << "on a machine that was away for 400 ms more";
}

TEST_F(Limits, ARefusedConnectionTakesNoPlaceOfTheQuota) {
  allow(kA);
  world->limit(kA, {.connections = 30, .connections_per_second = 1});
  int passed = 0;
  for (int i = 0; i < 10; ++i) passed += from_a(syn(i)) == "redirect";
  EXPECT_EQ(entries(kA), static_cast<std::uint64_t>(passed));
  EXPECT_LT(passed, 5);
}

TEST_F(Limits, BitsASecondInEachDirection) {
  allow(kA);
  // 1 Mbit/s: the burst of 250 ms is 31,250 bytes of IP packets.
  world->limit(kA, {.bits_per_second = 1'000'000});
  const auto out = Packet(kAToB).ip(kIpAToB).udp(1000, 53).payload(972).frame();
  const auto in = Packet(kBToA).ip(kIpBToA).udp(53, 1000).payload(972).frame();
  ASSERT_EQ(out.size(), 1014u);
  const auto until_refused = [&](std::uint32_t port, const Frame& frame) {
    for (int i = 0; i < 200; ++i)
      if (world->from_vm(port, frame).text() == "drop rate_limit") return i;
    return 200;
  };
  const int sent = until_refused(kA, out);
  EXPECT_GE(sent, 32);
  EXPECT_LE(sent, 60) << "and what 250 ms of a slow machine earn";
  EXPECT_GE(until_refused(kB, in), 32) << "the other direction has a bucket of its own";
  EXPECT_EQ(drops(kA, PS_DROP_RATE_LIMIT), 2u);
  EXPECT_EQ(drops(kB, PS_DROP_RATE_LIMIT), 0u);
  // What the services refuse takes nothing.
  world->limit(kA, {.bits_per_second = 1'000'001});
  const auto line = world->policy(rules(Action::kAllow, {udp_port(Action::kDeny, 99)}));
  world->enable(kA, PS_OUT, line);
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1, 99).payload(972).frame()),
              "drop policy_deny");
  EXPECT_GE(until_refused(kA, out), 32);
}

TEST_F(Limits, AFrameOfManySegmentsCountsAsOnTheWire) {
  allow(kA);
  world->limit(kA, {.bits_per_second = 100'000'000});
  const auto frame = Packet(kAToB).ip(kIpAToB).tcp(1000, 80, ACK).payload(3000).frame();
  ASSERT_EQ(from_a(frame), "redirect");
  const auto cost_of = [&](std::uint32_t segments) {
    world->gso_segments = segments;
    world->entry(kA).limits.paid_until_ns[PS_OUT] = 0;
    EXPECT_EQ(from_a(frame), "redirect");
    const auto first = world->entry(kA).limits.paid_until_ns[PS_OUT];
    // Paid far ahead, so that the clock adds nothing.
    world->entry(kA).limits.paid_until_ns[PS_OUT] = first + 200'000'000;
    EXPECT_EQ(from_a(frame), "redirect");
    return world->entry(kA).limits.paid_until_ns[PS_OUT] - first - 200'000'000;
  };
  EXPECT_NEAR(static_cast<double>(cost_of(0)), 3040 * 80, 100);
  EXPECT_NEAR(static_cast<double>(cost_of(3)), (3040 + 2 * 40) * 80, 100);
}

TEST_F(Limits, OneLargerThanTheBurstPassesOnCredit) {
  allow(kA);
  world->limit(kA, {.bits_per_second = 8'000});  // 1,000 bytes a second
  const auto frame = Packet(kAToB).ip(kIpAToB).udp(1000, 53).payload(1400).frame();
  EXPECT_EQ(from_a(frame), "redirect");
  EXPECT_EQ(from_a(frame), "drop rate_limit");
  // A new limit begins anew: the debt was one of the old one.
  world->limit(kA, {.bits_per_second = 80'000'000});
  EXPECT_EQ(from_a(frame), "redirect");
}

TEST_F(Limits, ManyCpusGetNoMore) {
  allow(kA);
  world->limit(kA, {.connections = 150});
  // A thread a CPU, each staying on its own: unlike packets, test runs can be interrupted by each
  // other, and what programs keep by CPU is not made for that.
  const auto cpus = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  std::vector<std::thread> senders;
  for (unsigned t = 0; t < cpus; ++t)
    senders.emplace_back([&, t] {
      cpu_set_t own;
      CPU_ZERO(&own);
      CPU_SET(t, &own);
      EXPECT_EQ(sched_setaffinity(0, sizeof(own), &own), 0);
      for (unsigned i = t; i < 400; i += cpus) {
        auto frame = tcp_a_to_b(static_cast<std::uint16_t>(2000 + i), 80, SYN);
        __sk_buff context{};
        context.ifindex = context.ingress_ifindex = static_cast<__u32>(world->ifindex(kA));
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.data_in = frame.data();
        options.data_size_in = static_cast<__u32>(frame.size());
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
        EXPECT_EQ(bpf_prog_test_run_opts(world->the_switch().program_fd(host::Program::kFromPort),
                                         &options),
                  0);
      }
    });
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(entries(kA), 150u);
  EXPECT_EQ(drops(kA, PS_DROP_CONNECTION_LIMIT), 250u);
}

TEST(PortLimits, TheStrictestOfEachKindAndWhoseItIs) {
  PortLimits limits;
  limits.add({.bits_per_second = 100, .connections = 0, .connections_per_second = 7}, 1);
  limits.add({.bits_per_second = 50, .connections = 9, .connections_per_second = 8}, 2);
  limits.add({}, 3);
  EXPECT_EQ(limits.most, (std::array<std::uint64_t, 3>{50, 9, 7}));
  EXPECT_EQ(limits.profile, (std::array<std::uint32_t, 3>{2, 2, 1}));
  ps_port port{};
  host::store_limits(port, limits);
  EXPECT_EQ(port.limited, 7);
  EXPECT_EQ(port.limits.byte_cost, 160'000'000ull << PS_RATE_SHIFT);
  // The largest frame at the slowest rate does not overflow.
  EXPECT_LT(static_cast<long double>(PS_BYTE_COST_MOST) * 70'000, 18.4e18L);
  host::store_limits(port, {});
  EXPECT_EQ(port.limited, 0);
}

TEST_F(Limits, ATraceSaysWhoseLimitItIsAndTakesNothing) {
  allow(kA);
  world->limit(kA, {.bits_per_second = 1'000'000, .connections = 1, .profile = 99});
  const auto limit_note = [&](const Frame& frame) -> std::optional<ps_note> {
    const auto traced = world->trace(host::Program::kFromPort, world->ifindex(kA), frame);
    EXPECT_TRUE(traced);
    for (std::uint32_t i = 0; traced && i < traced->said.notes_count; ++i)
      if (traced->said.notes[i].kind == PS_NOTE_LIMIT) return traced->said.notes[i];
    return {};
  };
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(limit_note(syn(0)));
  EXPECT_EQ(world->entry(kA).limits.paid_until_ns[PS_OUT], 0u);
  EXPECT_EQ(from_a(syn(0)), "redirect");
  const auto note = limit_note(syn(1));
  ASSERT_TRUE(note);
  EXPECT_EQ(note->a, static_cast<std::uint32_t>(PS_DROP_CONNECTION_LIMIT));
  EXPECT_EQ(note->b, static_cast<std::uint32_t>(PS_LIMIT_CONNECTIONS));
  EXPECT_EQ(note->c, 99u);
}

// --- counts

class RuleCounts : public Limits {
 protected:
  static constexpr std::uint32_t kFirst = 32, kSecond = 48;
  // Allows TCP 80, denies the rest; its rules are counted from `counts` on.
  ps_step step(std::uint32_t counts, std::uint8_t flags = 0,
               const policy::RuleSet& set = rules(Action::kDeny, {tcp_port(Action::kDeny, 9),
                                                                  tcp_port(Action::kAllow, 80)})) {
    ps_step one{};
    one.line = world->image(set);
    one.profile = 77;
    one.kind = PS_STEP_FILTER;
    one.flags = flags;
    one.counts = counts;
    return one;
  }
  ps_rule_count at(std::uint32_t index) {
    EXPECT_TRUE(world->the_switch().sweep());
    const auto counts = world->the_switch().rule_counts(index, 1);
    EXPECT_TRUE(counts);
    return counts ? counts->front() : ps_rule_count{};
  }
};

TEST_F(RuleCounts, FlowsPacketsAndBytesByTheRuleThatDecided) {
  world->enable(kA, PS_OUT, world->steps({step(kFirst)}, 1));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(from_b(tcp_b_to_a(80, 1000, SYN | ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, ACK)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1001, 80, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 9, SYN)), "drop policy_deny");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1, 53).frame()), "drop policy_deny");
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).udp(1, 53).frame()), "drop policy_deny");
  const auto allowed = at(kFirst + 2);
  EXPECT_EQ(allowed.flows, 2u);
  EXPECT_EQ(allowed.packets, 4u);
  EXPECT_EQ(allowed.bytes, 4u * 54);
  EXPECT_GT(allowed.last_ns, 0u);
  EXPECT_EQ(at(kFirst + 1).flows, 1u);
  EXPECT_EQ(at(kFirst + 1).packets, 0u) << "a refused packet makes no flow";
  EXPECT_EQ(at(kFirst).flows, 2u) << "the default action, each packet it refused";
  EXPECT_EQ(at(kFirst + 3).flows, 0u);
  // What has ended has not gone, and is not counted twice.
  EXPECT_EQ(at(kFirst + 2).packets, 4u);
  ASSERT_TRUE(world->the_switch().forget_flows(PortId(kA)));
  EXPECT_EQ(at(kFirst + 2).packets, 4u);
  ASSERT_TRUE(world->restart());
  EXPECT_EQ(at(kFirst + 2).packets, 4u) << "counts outlive the agent";
}

TEST_F(RuleCounts, EachStepOfAPortCounts) {
  world->enable(kA, PS_OUT, world->steps({step(kFirst), step(kSecond)}, 3));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_a(tcp_a_to_b(1000, 9, SYN));
  EXPECT_EQ(at(kFirst + 2).packets, 1u);
  EXPECT_EQ(at(kSecond + 2).packets, 1u);
  EXPECT_EQ(at(kSecond + 1).flows, 0u) << "the first step had denied it";
}

TEST_F(RuleCounts, WhatAnObservingStepWouldDeny) {
  world->enable(kA, PS_OUT, world->steps({step(kFirst, PS_STEP_OBSERVE)}, 1));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 9, SYN)), "redirect");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(at(kFirst + 1).flows, 1u);
  EXPECT_EQ(at(kFirst + 1).would_deny, 1u);
  EXPECT_EQ(at(kFirst + 1).packets, 1u);
  EXPECT_EQ(at(kFirst + 2).would_deny, 0u);
}

TEST_F(RuleCounts, AFlowThatIsJudgedAgainGoesOnUnderItsNewRule) {
  world->enable(kA, PS_OUT, world->steps({step(kFirst)}, 1));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_b(tcp_b_to_a(80, 1000, SYN | ACK));
  world->enable(
      kA, PS_OUT,
      world->steps({step(kSecond, 0, rules(Action::kDeny, {tcp_port(Action::kAllow, 80)}))}, 1));
  from_a(tcp_a_to_b(1000, 80, ACK));
  EXPECT_EQ(at(kFirst + 2).packets, 2u);
  EXPECT_EQ(at(kSecond + 1).packets, 1u);
  EXPECT_EQ(at(kSecond + 1).flows, 0u) << "it is no new flow";
}

TEST_F(RuleCounts, AConnectionThatTakesTheEntryOfAnother) {
  world->enable(kA, PS_OUT, world->steps({step(kFirst)}, 1));
  from_a(tcp_a_to_b(1000, 80, SYN));
  from_a(tcp_a_to_b(1000, 80, RST));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  EXPECT_EQ(at(kFirst + 2).flows, 2u);
  EXPECT_EQ(at(kFirst + 2).packets, 3u);
}

TEST_F(RuleCounts, SweepsAtOnceCountNothingTwice) {
  if (std::getenv("PENSTOCK_TRACE_EVERY_PACKET"))
    GTEST_SKIP() << "flows change while a trace is held against them";
  world->enable(kA, PS_OUT, world->steps({step(kFirst)}, 1));
  std::atomic<bool> over = false;
  std::vector<std::thread> sweepers;
  for (int i = 0; i < 3; ++i)
    sweepers.emplace_back([&] {
      while (!over) EXPECT_TRUE(world->the_switch().sweep());
    });
  from_a(tcp_a_to_b(1000, 80, SYN));
  for (int i = 0; i < 400; ++i) from_a(tcp_a_to_b(1000, 80, ACK));
  over = true;
  for (auto& sweeper : sweepers) sweeper.join();
  EXPECT_EQ(at(kFirst + 2).packets, 401u);
  EXPECT_EQ(at(kFirst + 2).bytes, 401u * 54);
}

TEST_F(RuleCounts, OutOfRangeIsNotCounted) {
  world->enable(kA, PS_OUT, world->steps({step(0x7fffff0)}, 1));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
}

TEST_F(RuleCounts, DropsAreOfThePortWhoseServicesRefused) {
  world->enable(kB, PS_IN, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "drop policy_deny");
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0d > 02:00:00:00:00:0b").ip(kIpAToB).udp(1, 2).frame()),
            "drop spoofed_mac");
  EXPECT_EQ(drops(kB, PS_DROP_POLICY_DENY), 1u);
  EXPECT_EQ(drops(kA, PS_DROP_POLICY_DENY), 0u);
  EXPECT_EQ(drops(kA, PS_DROP_SPOOFED_MAC), 1u);
  ASSERT_TRUE(world->the_switch().forget_port(PortId(kA), world->slot(kA)));
  EXPECT_EQ(drops(kA, PS_DROP_SPOOFED_MAC), 0u);
  EXPECT_EQ(drops(kB, PS_DROP_POLICY_DENY), 1u);
}

// A log that a port writes without end must not silence another port.
TEST(LogBudget, EachPortHasAShareOfItsOwn) {
  auto tunables = World::small();
  tunables.flow_log_per_s = 32;
  auto made = World::make(tunables);
  ASSERT_TRUE(made) << made.error().text();
  auto& world = **made;
  world.add_port({.id = kA, .mac = kMacA, .addresses = {"10.0.0.1"}});
  world.add_port({.id = kB, .mac = kMacB, .addresses = {"10.0.0.2"}});
  std::map<std::uint32_t, int> seen;
  auto ring = world.the_switch().open_events([&](const ps_event& e) { ++seen[e.port_id]; });
  ASSERT_TRUE(ring);
  auto set = rules(Action::kDeny);
  set.log_default = true;
  const auto line = world.policy(set);
  world.enable(kA, PS_OUT, line);
  world.enable(kB, PS_OUT, line);
  // On one CPU: budgets are by CPU.
  cpu_set_t before, one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  for (int i = 0; i < 500; ++i) world.from_vm(kA, tcp_a_to_b(1000, 80, SYN));
  for (int i = 0; i < 2; ++i) world.from_vm(kB, tcp_b_to_a(1000, 80, SYN));
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  ASSERT_TRUE((*ring)->consume());
  EXPECT_GE(seen[kA], 32);
  EXPECT_LT(seen[kA], 300);
  EXPECT_EQ(seen[kB], 2) << "a sixteenth of 32 is its own";
}

}  // namespace
}  // namespace penstock::packets
