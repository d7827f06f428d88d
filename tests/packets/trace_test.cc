// The tracing build by itself. That it says what real packets meet is tested with every other
// packet test (PENSTOCK_TRACE_EVERY_PACKET); here: what notes it leaves, replies of flows that do
// not exist, frames of other hosts, and that nothing happens.
#include <algorithm>

#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

// "port parsed sender endpoint flow:out:new step:allow made:... drop:policy_deny"
std::string notes(const ps_trace& said) {
  static constexpr std::array kNames{
#define PS_NOTE_WORD(NAME, component, help) #NAME,
      PS_NOTES(PS_NOTE_WORD)
#undef PS_NOTE_WORD
  };
  std::string out;
  for (std::uint32_t i = 0; i < said.notes_count && i < PS_TRACE_NOTES; ++i) {
    const auto& note = said.notes[i];
    out += std::string(out.empty() ? "" : " ") + kNames[note.kind];
    if (note.kind == PS_NOTE_DROP) out += ":" + std::string(host::drop_reasons()[note.a].name);
    if (note.kind == PS_NOTE_FLOW || note.kind == PS_NOTE_STEP)
      out += ":" + std::to_string(note.a & 0xff);
  }
  return out;
}

class Trace : public TwoPorts {
 protected:
  // Traces, and nothing may have happened.
  host::TraceRecord traced(std::uint32_t port, const Frame& frame,
                           std::vector<std::byte> flows = {}) {
    const auto before = world->effects();
    auto record =
        world->trace(host::Program::kFromPort, world->ifindex(port), frame, std::move(flows));
    EXPECT_TRUE(record) << record.error().text();
    EXPECT_EQ(world->effects(), before);
    return record ? *record : host::TraceRecord{};
  }
  std::string notes_of(std::uint32_t port, const Frame& frame) {
    return notes(traced(port, frame).said);
  }
};

TEST_F(Trace, LeavesANoteForEachStep) {
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 80, SYN)),
            "PORT PARSED SENDER ENDPOINT FLOW:0 FLOW:0 LOCAL");
  world->enable(kA, PS_OUT,
                world->policy(rules(Action::kDeny, {tcp_port(Action::kAllow, 80)}), 0, 77));
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 80, SYN)),
            "PORT PARSED SENDER ENDPOINT FLOW:3 STEP:0 MADE FLOW:0 LOCAL");
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 81, SYN)),
            "PORT PARSED SENDER ENDPOINT FLOW:3 STEP:1 DROP:policy_deny");
  EXPECT_EQ(
      notes_of(kA, Packet("02:00:00:00:00:0d > 02:00:00:00:00:0b").ip(kIpAToB).udp(1, 2).frame()),
      "PORT PARSED DROP:spoofed_mac");
  EXPECT_EQ(notes_of(kA, Packet("02:00:00:00:00:0a > 02:00:00:00:00:fe")
                             .ip("10.0.0.1 > 8.8.8.8")
                             .udp(1, 2)
                             .frame()),
            "PORT PARSED SENDER ENDPOINT DROP:no_router");
  EXPECT_EQ(
      notes_of(kA, arp_request("02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff", "10.0.0.1", "10.0.0.2")),
      "PORT PARSED BACK");
  EXPECT_EQ(notes_of(kA, Packet("02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff")
                             .ip("10.0.0.1 > 255.255.255.255")
                             .udp(1, 2)
                             .frame()),
            "PORT PARSED SENDER FLOW:3 STEP:1 DROP:policy_deny");
}

TEST_F(Trace, StepsSayRuleAndProfile) {
  world->enable(kA, PS_OUT,
                world->policy(rules(Action::kAllow,
                                    {tcp_port(Action::kAllow, 80), tcp_port(Action::kReject, 81)}),
                              0, 4711));
  const auto record = traced(kA, tcp_a_to_b(1000, 81, SYN));
  const auto step = std::ranges::find(record.said.notes, PS_NOTE_STEP, &ps_note::kind);
  ASSERT_NE(step, std::end(record.said.notes));
  EXPECT_EQ(step->a & 0xff, PS_ACTION_REJECT);
  EXPECT_EQ(step->b, 1u);
  EXPECT_EQ(step->c, 4711u);
  EXPECT_EQ(notes(record.said),
            "PORT PARSED SENDER ENDPOINT FLOW:3 STEP:2 DROP:policy_reject BACK");
  const Frame answer(
      reinterpret_cast<const std::uint8_t*>(record.frame.data()),
      reinterpret_cast<const std::uint8_t*>(record.frame.data()) + record.frame.size());
  EXPECT_NE(describe(answer).find("RST"), std::string::npos) << describe(answer);
}

TEST_F(Trace, ReplyOfAFlowThatDoesNotExist) {
  // B lets nobody in and nothing out that A has not asked for.
  world->enable(kA, PS_IN, world->policy(rules(Action::kDeny)));
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  const auto alone = traced(kB, Packet(kBToA).ip(kIpBToA).udp(53, 1000).frame());
  EXPECT_NE(notes(alone.said).find("DROP:policy_deny"), std::string::npos);
  const auto asked = traced(kA, Packet(kAToB).ip(kIpAToB).udp(1000, 53).frame());
  EXPECT_FALSE(asked.flows.empty());
  EXPECT_EQ(world->flows(), 0u);
  const auto answered = traced(kB, Packet(kBToA).ip(kIpBToA).udp(53, 1000).frame(), asked.flows);
  EXPECT_EQ(notes(answered.said), "PORT PARSED SENDER ENDPOINT FLOW:0 FLOW:1 LOCAL");
  // And the next trace knows nothing of it.
  const auto again = traced(kB, Packet(kBToA).ip(kIpBToA).udp(53, 1000).frame());
  EXPECT_NE(notes(again.said).find("DROP:policy_deny"), std::string::npos);
}

TEST_F(Trace, SeesTheRealFlowsAndTouchesNone) {
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  ASSERT_EQ(from_a(tcp_a_to_b(1000, 80, SYN)), "redirect");
  ASSERT_EQ(from_b(tcp_b_to_a(80, 1000, SYN | ACK)), "redirect");
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 80, ACK)),
            "PORT PARSED SENDER ENDPOINT FLOW:1 FLOW:0 LOCAL");
  world->enable(kA, PS_OUT, world->policy(rules(Action::kDeny)));
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 80, ACK)),
            "PORT PARSED SENDER ENDPOINT FLOW:1 STEP:1 FLOW:2 DROP:flow_denied");
  EXPECT_EQ(from_a(tcp_a_to_b(1000, 80, ACK)), "drop flow_denied");
}

TEST_F(Trace, QuotaIsThePortsAndNothingIsTakenFromIt) {
  auto tunables = World::small();
  tunables.flow_port_quota = 16;
  world.reset();
  start(tunables);
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow)));
  for (std::uint16_t i = 0; i < 15; ++i) from_a(tcp_a_to_b(1000 + i, 80, SYN));
  for (int i = 0; i < 5; ++i)
    EXPECT_NE(notes_of(kA, tcp_a_to_b(2000, 80, SYN)).find("MADE"), std::string::npos);
  from_a(tcp_a_to_b(1015, 80, SYN));
  EXPECT_NE(notes_of(kA, tcp_a_to_b(2000, 80, SYN)).find("NO_ROOM"), std::string::npos);
}

TEST_F(Trace, WritesNoEventAndNoPunt) {
  int events = 0, punts = 0;
  auto log = world->the_switch().open_events([&](const ps_event&) { ++events; });
  auto punt = world->the_switch().open_punts([&](const ps_punted&) { ++punts; });
  auto logged = tcp_port(Action::kDeny, 81);
  logged.log = true;
  world->enable(kA, PS_OUT, world->policy(rules(Action::kAllow, {logged})));
  world->entry(kA).flags |= PS_PORT_PUNT_DHCP;
  const auto dhcp = Packet("02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff")
                        .ip("0.0.0.0 > 255.255.255.255")
                        .udp(68, 67)
                        .payload(240)
                        .frame();
  EXPECT_NE(notes_of(kA, tcp_a_to_b(1, 81, SYN)).find("DROP:policy_deny"), std::string::npos);
  // More than its own ring holds, one after the other.
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(notes_of(kA, dhcp), "PORT PARSED SENDER PUNT DROP:punted") << i;
  ASSERT_TRUE((*log)->consume());
  ASSERT_TRUE((*punt)->consume());
  EXPECT_EQ(events, 0);
  EXPECT_EQ(punts, 0);
  EXPECT_EQ(from_a(tcp_a_to_b(1, 81, SYN)), "drop policy_deny");
  ASSERT_TRUE((*log)->consume());
  EXPECT_EQ(events, 1);
}

TEST_F(Trace, FramesOfOtherHosts) {
  const auto from_c = Packet("02:00:00:00:00:0c > 02:00:00:00:00:0b")
                          .ip("10.0.0.3 > 10.0.0.2")
                          .tcp(1000, 80, SYN)
                          .frame();
  const host::TraceRun::Tunnel tunnel{Vni(100), *IpAddress::parse("192.0.2.3")};
  const auto arrives = [&](const Frame& frame, host::TraceRun::Tunnel from) {
    auto record = world->trace(host::Program::kFromOverlay, world->ifindex(kA), frame, {}, from);
    EXPECT_TRUE(record) << record.error().text();
    return record ? notes(record->said) : "";
  };
  EXPECT_EQ(arrives(from_c, tunnel), "PARSED SENDER ENDPOINT FLOW:0 LOCAL");
  EXPECT_EQ(arrives(from_c, {Vni(101), tunnel.sender}), "PARSED DROP:forged_tunnel");
  world->enable(kB, PS_IN, world->policy(rules(Action::kReject)));
  EXPECT_EQ(arrives(from_c, tunnel),
            "PARSED SENDER ENDPOINT FLOW:3 STEP:2 DROP:policy_reject BACK DROP:no_tunnel");
}

TEST_F(Trace, RefusesWhatItCannotRun) {
  EXPECT_FALSE(world->trace(host::Program::kFromPort, world->ifindex(kA), Frame(5)));
  EXPECT_FALSE(world->trace(host::Program::kFromPort, 0x7fffffff, tcp_a_to_b(1, 2, SYN)));
  const auto bad = world->trace(host::Program::kFromPort, world->ifindex(kA), tcp_a_to_b(1, 2, SYN),
                                std::vector<std::byte>(7));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalidArgument);
  // And works afterwards.
  EXPECT_EQ(notes_of(kA, tcp_a_to_b(1000, 80, SYN)),
            "PORT PARSED SENDER ENDPOINT FLOW:0 FLOW:0 LOCAL");
}

TEST_F(Trace, TheBuildForTrafficHasNothingOfIt) {
  for (const auto* name : {"ps_trace_now", "ps_trace_ring", "ps_trace_orders", "ps_real_flows"})
    EXPECT_LT(world->the_switch().map_fd_by_name(name), 0) << name;
}

}  // namespace
}  // namespace penstock::packets
