// Orders in, reports out, with a kernel whose programs say what the test wants; and frames, both
// ways.
#include "host/tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/sim/host_world.h"
#include "host/sim/items.h"
#include "host/switch/switch_abi.h"

namespace penstock::host {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

v1::TracedPacket tcp(const std::string& from, const std::string& to, std::uint32_t port) {
  v1::TracedPacket out;
  out.set_source(from);
  out.set_destination(to);
  out.set_protocol("tcp");
  out.set_destination_port(port);
  return out;
}

struct Notes {
  ps_trace said{};
  Notes& add(ps_note_kind kind, std::uint32_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0,
             std::uint16_t index = 0) {
    said.notes[said.notes_count++] = {.ns = 0,
                                      .kind = static_cast<__u16>(kind),
                                      .index = index,
                                      .a = a,
                                      .b = b,
                                      .c = c,
                                      .zero = 0};
    return *this;
  }
};

struct TracerTest : testing::Test {
  HostWorld world;
  std::vector<TraceRun> runs;
  std::vector<ps_trace> says;  // what the kernel's programs say, one after the other

  void SetUp() override {
    ASSERT_TRUE(world.start());
    world.run(1ms);
    world.server.say(items::full(
        {"A", 4, 1}, {items::overlay("default", "up0", "192.0.2.1"), items::network(7),
                      items::firewall(1, 80), items::vm("web", {5}), items::port(5, "web", 7, {1}),
                      items::vm("near", {6}), items::port(6, "near", 7)}));
    world.run(50ms);
    world.kernel.traced = [this](const TraceRun& run) -> Result<TraceRecord> {
      runs.push_back(run);
      if (says.empty()) return fail(Code::kInternal, "nothing is said");
      TraceRecord record;
      record.said = says.front();
      says.erase(says.begin());
      record.frame = run.frame;
      // The question for a MAC is answered by turning it round.
      if (packet_is_arp(run.frame)) record.frame = arp_answer(run.frame);
      record.flows = run.flows;
      record.flows.push_back(std::byte{1});
      return record;
    };
  }
  static bool packet_is_arp(FrameView frame) {
    return frame[12] == std::byte{8} && frame[13] == std::byte{6};
  }
  static Frame arp_answer(Frame frame) {
    frame[21] = std::byte{2};
    frame[27] = std::byte{0x99};  // last byte of the sender's MAC
    return frame;
  }
  v1::TraceReport order(const v1::TraceOrder& order) {
    world.server.heard.clear();
    v1::ServerMessage message;
    *message.mutable_trace() = order;
    world.server.say(message);
    world.run(10ms);
    for (const auto& heard : world.server.heard)
      if (heard.has_trace()) return heard.trace();
    return {};
  }
  static v1::TraceOrder start(const v1::TracedPacket& packet, std::uint32_t port = 5) {
    v1::TraceOrder out;
    out.set_id(77);
    out.mutable_start()->set_port_id(port);
    *out.mutable_start()->mutable_packet() = packet;
    out.mutable_start()->set_next_hop(packet.destination());
    return out;
  }
};

TEST_F(TracerTest, AsksForTheMacThenSendsAndNamesTheRule) {
  says.push_back(Notes().add(PS_NOTE_PORT, 0, 5).add(PS_NOTE_PARSED).add(PS_NOTE_BACK, 0).said);
  says.push_back(
      Notes()
          .add(PS_NOTE_PORT, 0, 6)
          .add(PS_NOTE_PARSED)
          .add(PS_NOTE_SENDER)
          .add(PS_NOTE_ENDPOINT, PS_ENDPOINT_LOCAL, 5)
          .add(PS_NOTE_FLOW, PS_TRACED_UNTRACKED, PS_NO_RULE, 0, PS_OUT)
          .add(PS_NOTE_FLOW, PS_TRACED_NEW | PS_IN << 16, PS_NO_RULE, 0, PS_IN)
          .add(PS_NOTE_STEP, PS_ACTION_DENY | PS_STEP_FILTER << 8, PS_NO_RULE, 1, PS_IN << 8)
          .add(PS_NOTE_DROP, PS_DROP_POLICY_DENY)
          .said);
  const auto report = order(start(tcp("10.7.0.6", "10.7.0.5", 22), 6));
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_TRUE(packet_is_arp(runs[0].frame));
  const auto sent = packet_of(runs[1].frame);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination_mac.bytes[5], 0x99);
  EXPECT_EQ(sent->destination_port, 22);
  EXPECT_EQ(runs[1].flows.size(), 1u) << "what the question made is there for the packet";
  EXPECT_EQ(report.id(), 77u);
  EXPECT_EQ(report.applied_revision(), 4);
  EXPECT_EQ(report.end(), v1::TraceReport::DROPPED);
  EXPECT_EQ(report.code(), "policy_deny");
  EXPECT_EQ(report.decided_by().name(), "firewall-1");
  EXPECT_EQ(report.decided_by().rule(), "default");
  EXPECT_EQ(report.decided_by().text(), "deny");
  const auto& last = report.steps(report.steps_size() - 1);
  EXPECT_TRUE(last.decisive());
  EXPECT_EQ(last.port(), "web/eth0");
  EXPECT_EQ(last.dir(), "in");
  EXPECT_EQ(last.component(), "filter");
  EXPECT_EQ(report.packet().source_port(), 49152u);
}

TEST_F(TracerTest, ALimitIsThatOfALevel) {
  auto port = items::port(5, "web", 7, {1});
  auto& limits = *port.mutable_port()->mutable_steps(0)->mutable_limits();
  limits.set_rate_bits_per_second(50'000'000);
  limits.set_connections(10);
  world.server.say(items::delta(4, {"A", 5, 1}, {port}));
  world.run(10ms);
  const auto limited = [&](ps_drop_reason reason, ps_limit kind) {
    says.push_back(Notes().add(PS_NOTE_PORT, 0, 5).add(PS_NOTE_BACK, 0).said);
    says.push_back(Notes()
                       .add(PS_NOTE_PORT, 0, 5)
                       .add(PS_NOTE_FLOW, PS_TRACED_NEW, PS_NO_RULE, 0, PS_OUT)
                       .add(PS_NOTE_STEP, PS_ACTION_ALLOW | PS_STEP_FILTER << 8, PS_NO_RULE, 1)
                       .add(PS_NOTE_LIMIT, reason, kind, 1, PS_OUT)
                       .add(PS_NOTE_DROP, reason)
                       .said);
    return order(start(tcp("10.7.0.5", "10.7.0.6", 22)));
  };
  const auto rate = limited(PS_DROP_RATE_LIMIT, PS_LIMIT_RATE);
  EXPECT_EQ(rate.end(), v1::TraceReport::DROPPED);
  EXPECT_EQ(rate.code(), "rate_limit");
  EXPECT_EQ(rate.decided_by().kind(), "limit");
  EXPECT_EQ(rate.decided_by().name(), "firewall-1");
  EXPECT_EQ(rate.decided_by().level(), "standard");
  EXPECT_EQ(rate.decided_by().text(), "the level allows 50 Mbit/s each way");
  const auto& last = rate.steps(rate.steps_size() - 1);
  EXPECT_TRUE(last.decisive());
  EXPECT_EQ(last.component(), "limits");
  EXPECT_EQ(last.port(), "web/eth0");
  EXPECT_EQ(limited(PS_DROP_CONNECTION_LIMIT, PS_LIMIT_CONNECTIONS).decided_by().text(),
            "the level allows 10 connections at a time");
}

TEST_F(TracerTest, NobodyAnswersTheQuestion) {
  says.push_back(Notes().add(PS_NOTE_PORT, 0, 5).add(PS_NOTE_DROP, PS_DROP_ARP_UNKNOWN).said);
  const auto report = order(start(tcp("10.7.0.5", "10.7.0.99", 22)));
  EXPECT_EQ(runs.size(), 1u);
  EXPECT_EQ(report.end(), v1::TraceReport::DROPPED);
  EXPECT_EQ(report.code(), "arp_unknown");
}

TEST_F(TracerTest, ARejectThatCannotBeSentIsADrop) {
  Notes notes;
  notes.add(PS_NOTE_PARSED)
      .add(PS_NOTE_ENDPOINT, PS_ENDPOINT_LOCAL, 5)
      .add(PS_NOTE_FLOW, PS_TRACED_NEW | PS_IN << 16, PS_NO_RULE, 0, PS_IN)
      .add(PS_NOTE_STEP, PS_ACTION_REJECT | PS_STEP_FILTER << 8, PS_NO_RULE, 1, PS_IN << 8)
      .add(PS_NOTE_DROP, PS_DROP_POLICY_REJECT)
      .add(PS_NOTE_BACK, ~0U);
  notes.said.program = PS_TRACED_FROM_OVERLAY;
  says.push_back(notes.said);
  says.push_back(notes.add(PS_NOTE_DROP, PS_DROP_NO_TUNNEL).said);
  v1::TraceOrder arrive;
  arrive.set_id(1);
  arrive.mutable_arrive()->set_vni(7);
  arrive.mutable_arrive()->set_sender("192.0.2.9");
  arrive.mutable_arrive()->set_frame(std::string(60, '\0'));
  auto report = order(arrive);
  EXPECT_EQ(runs[0].tunnel->sender.text(), "192.0.2.9");
  EXPECT_EQ(report.end(), v1::TraceReport::REJECTED);
  EXPECT_TRUE(report.answer_goes_over_overlay());
  report = order(arrive);
  EXPECT_EQ(report.end(), v1::TraceReport::DROPPED);
  EXPECT_EQ(report.code(), "policy_reject");
  EXPECT_FALSE(report.answered());
}

TEST_F(TracerTest, WhatCannotBeDoneSaysWhy) {
  EXPECT_THAT(order(start(tcp("10.7.0.5", "10.7.0.6", 22), 99)).failure(), HasSubstr("NIC"));
  auto packet = tcp("10.7.0.5", "10.7.0.6", 22);
  packet.add_tcp_flags("sin");
  auto report = order(start(packet));
  EXPECT_EQ(report.failure_code(), "invalid_argument");
  EXPECT_EQ(report.failure_field(), "packet.tcpFlags");
  EXPECT_EQ(order(start(tcp("10.7.0.5", "fd00::1", 22))).failure_field(), "packet.source");
  world.kernel.traced = nullptr;
  EXPECT_THAT(order(start(tcp("10.7.0.5", "10.7.0.6", 22))).failure(), HasSubstr("no programs"));
}

TEST_F(TracerTest, AWatchEndsWhenItsTimeIsOverOrTheServerSaysSo) {
  v1::TraceOrder watch;
  watch.set_id(9);
  watch.mutable_watch()->add_port_ids(5);
  watch.mutable_watch()->set_vni(7);
  *watch.mutable_watch()->mutable_packet() = tcp("10.7.0.5", "10.7.0.6", 22);
  watch.mutable_watch()->mutable_deadline()->set_seconds(3);
  order(watch);
  ASSERT_TRUE(world.kernel.watching);
  EXPECT_EQ(world.kernel.watching->at.size(), 3u) << "both programs of the port, and the overlay's";
  world.server.heard.clear();
  world.kernel.watching->begun({});
  world.run(10ms);
  ASSERT_EQ(world.server.heard.size(), 1u);
  EXPECT_TRUE(world.server.heard[0].trace().watching());
  auto second = watch;
  second.set_id(10);
  EXPECT_THAT(order(second).failure(), HasSubstr("another"));
  ASSERT_TRUE(world.kernel.watching);
  world.run(5s);
  EXPECT_FALSE(world.kernel.watching);
  order(second);
  ASSERT_TRUE(world.kernel.watching);
  v1::TraceOrder end;
  end.set_id(9);
  end.set_end(true);
  order(end);
  EXPECT_TRUE(world.kernel.watching) << "another's end";
  end.set_id(10);
  order(end);
  EXPECT_FALSE(world.kernel.watching);
}

TEST(TraceFrame, WhatIsBuiltReadsBack) {
  for (const auto& [from, to] :
       {std::pair{"10.0.0.1", "10.0.0.2"}, std::pair{"fd00::1", "fd00::2"}})
    for (const auto* protocol : {"tcp", "udp", "icmp", "sctp", "47"}) {
      auto packet = tcp(from, to, 22);
      packet.set_protocol(protocol);
      packet.set_source_mac("02:00:00:00:00:01");
      packet.set_destination_mac("02:00:00:00:00:02");
      packet.set_length(200);
      const bool ports = std::string_view(protocol) != "icmp" && std::string_view(protocol) != "47";
      if (!ports) packet.set_destination_port(0);
      const auto spec = parse_packet(packet);
      ASSERT_TRUE(spec) << spec.error().text();
      const auto frame = frame_of(*spec);
      ASSERT_TRUE(frame);
      EXPECT_EQ(frame->size(), 214u);
      auto read = packet_of(*frame);
      ASSERT_TRUE(read);
      read->length = 200;
      EXPECT_EQ(described(*read).DebugString(), described(*spec).DebugString());
    }
}

}  // namespace
}  // namespace penstock::host
