// The helper-free parts of the switch, natively: parsing and the flow table's decisions.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

extern "C" {
#include "lib/flow_state.h"
#include "lib/parse.h"
}
#include "tests/packets/packet.h"

namespace penstock::packets {
namespace {

constexpr auto kMacs = "02:00:00:00:00:0a > 02:00:00:00:00:0b";

struct Parsed {
  int reason = 0;
  ps_packet packet{};
};

// Every frame lies in memory of exactly its own size, so that a sanitizer sees a read past its end.
Parsed parse(const Frame& frame) {
  const std::vector<std::uint8_t> exact(frame);
  ps_native_frame native{exact.data(), static_cast<std::uint32_t>(exact.size())};
  Parsed parsed;
  parsed.reason = ps_parse(&native, &parsed.packet);
  return parsed;
}

std::vector<Frame> samples() {
  std::vector<Frame> frames;
  for (const auto* ips : {"10.0.0.1 > 10.0.0.2", "fd00::1 > fd00::2"}) {
    frames.push_back(Packet(kMacs).ip(ips).tcp(1000, 80, SYN).payload(3).frame());
    frames.push_back(Packet(kMacs).ip(ips).udp(68, 67).payload(9).frame());
    frames.push_back(Packet(kMacs).ip(ips).udp(5, 6).frame());
    frames.push_back(Packet(kMacs).ip(ips).sctp(5, 6).frame());
    frames.push_back(Packet(kMacs).ip(ips).icmp(3, 1).payload(40).frame());
    frames.push_back(Packet(kMacs).ip(ips).fragment(7, 0, true).tcp(1, 2, ACK).payload(8).frame());
    frames.push_back(Packet(kMacs).ip(ips).fragment(7, 64, false).udp(1, 2).payload(8).frame());
    frames.push_back(Packet(kMacs).ip(ips).protocol(47).payload(20).frame());
  }
  frames.push_back(Packet(kMacs).ip("10.0.0.1 > 10.0.0.2").options(7).udp(1, 2).frame());
  frames.push_back(Packet(kMacs)
                       .ip("fd00::1 > fd00::2")
                       .extension(0)
                       .extension(60, 2)
                       .extension(43)
                       .tcp(1, 2, RST)
                       .frame());
  frames.push_back(Packet(kMacs).ip("fd00::1 > fd00::2").extension(51, 1).udp(1, 2).frame());
  frames.push_back(arp_request(kMacs, "10.0.0.1", "10.0.0.2"));
  return frames;
}

TEST(Parse, FastAndFullAgreeOnEverythingTheFastOneAccepts) {
  std::mt19937 dice(7);
  std::size_t accepted = 0;
  const auto base = samples();
  for (int i = 0; i < 300'000; ++i) {
    auto frame = base[dice() % base.size()];
    for (unsigned changes = dice() % 4; changes > 0; --changes)
      frame[12 + dice() % (frame.size() - 12)] = static_cast<std::uint8_t>(dice());
    if (dice() % 4 == 0) frame.resize(dice() % frame.size());
    ps_packet fast{};
    if (!ps_parse_fast(frame.data(), frame.data() + frame.size(), &fast)) continue;
    ++accepted;
    auto full = parse(frame);
    ASSERT_EQ(full.reason, 0) << describe(frame);
    full.packet.fragment_id = 0;  // of unfragmented packets: nobody looks
    ASSERT_EQ(std::memcmp(&fast, &full.packet, sizeof(fast)), 0) << describe(frame);
  }
  EXPECT_GT(accepted, 50'000u);
}

TEST(Parse, NoFrameHoweverCutOrChangedIsReadPastItsEnd) {
  std::mt19937 dice(8);
  for (const auto& frame : samples())
    for (std::size_t length = 0; length <= frame.size(); ++length) {
      auto cut = frame;
      cut.resize(length);
      for (int i = 0; i < 20; ++i) {
        if (i && length) cut[dice() % length] = static_cast<std::uint8_t>(dice());
        const auto parsed = parse(cut);
        if (parsed.reason || !(parsed.packet.flags & PS_PACKET_ICMP_ERROR)) continue;
        ps_native_frame native{cut.data(), static_cast<std::uint32_t>(cut.size())};
        ps_packet quoted{};
        (void)ps_parse_quoted(&native, &parsed.packet, &quoted);
      }
    }
}

TEST(Parse, FragmentsAndExtensions) {
  const auto later = parse(Packet(kMacs)
                               .ip("fd00::1 > fd00::2")
                               .extension(60)
                               .fragment(0x12345678, 64, true)
                               .udp(1, 2)
                               .payload(8)
                               .frame());
  EXPECT_EQ(later.reason, 0);
  EXPECT_TRUE(later.packet.flags & PS_PACKET_LATER_FRAGMENT);
  EXPECT_EQ(later.packet.fragment_id, 0x12345678u);
  EXPECT_EQ(later.packet.proto, 17);
  const auto deep = parse(Packet(kMacs)
                              .ip("fd00::1 > fd00::2")
                              .extension(0, 3)
                              .extension(43, 1)
                              .tcp(7, 8, SYN)
                              .frame());
  EXPECT_EQ(deep.packet.sport, 7);
  EXPECT_EQ(deep.packet.tcp_flags, SYN);
  EXPECT_EQ(deep.packet.l4, 14 + 40 + 32 + 16);
}

TEST(Parse, PaddingIsNoPartOfThePacket) {
  const auto said = [](Frame frame, int payload) {  // the IP header's length, without a checksum
    const bool four = frame[12] == 0x08;
    const int length = payload + (four ? 20 : 0);
    frame[four ? 16 : 18] = static_cast<std::uint8_t>(length >> 8);
    frame[four ? 17 : 19] = static_cast<std::uint8_t>(length);
    ps_packet fast{};
    const int quick = ps_parse_fast(frame.data(), frame.data() + frame.size(), &fast);
    const auto full = parse(frame);
    EXPECT_FALSE(quick && full.reason) << describe(frame);
    return full.reason;
  };
  for (const auto* ips : {"10.0.0.1 > 10.0.0.2", "fd00::1 > fd00::2"}) {
    const auto udp = Packet(kMacs).ip(ips).udp(5, 6).payload(40).frame();
    const auto tcp = Packet(kMacs).ip(ips).tcp(5, 6, SYN).payload(40).frame();
    const auto echo = Packet(kMacs).ip(ips).icmp(ips[0] == '1' ? 8 : 128, 0).payload(40).frame();
    const auto first =
        Packet(kMacs).ip(ips).fragment(9, 0, true).tcp(5, 6, SYN).payload(44).frame();
    const int fragment = ips[0] == '1' ? 0 : 8;
    for (const auto& frame : {udp, echo}) {
      EXPECT_EQ(said(frame, 0), PS_DROP_MALFORMED);
      EXPECT_EQ(said(frame, 7), PS_DROP_MALFORMED);
      EXPECT_EQ(said(frame, 8), 0);
    }
    EXPECT_EQ(said(tcp, 0), PS_DROP_MALFORMED);
    EXPECT_EQ(said(tcp, 19), PS_DROP_MALFORMED);
    EXPECT_EQ(said(tcp, 20), 0);
    EXPECT_EQ(said(first, fragment + 19), PS_DROP_FRAGMENT_OVERLAP);
    EXPECT_EQ(said(first, fragment + 20), 0);
  }
  const auto extended =
      Packet(kMacs).ip("fd00::1 > fd00::2").extension(0).extension(60, 1).udp(5, 6).frame();
  for (const int payload : {0, 7, 8, 15, 16, 24, 31})
    EXPECT_EQ(said(extended, payload), PS_DROP_MALFORMED) << payload;
  EXPECT_EQ(said(extended, 32), 0);
  const auto jumbo = Packet(kMacs).ip("fd00::1 > fd00::2").extension(0).tcp(5, 6, ACK).frame();
  EXPECT_EQ(said(jumbo, 0), PS_DROP_MALFORMED);
}

TEST(FlowState, BothDirectionsShareOneKeyAndCheck) {
  const auto there =
      parse(Packet(kMacs).ip("10.0.0.1 > 10.0.0.2").tcp(1000, 80, SYN).frame()).packet;
  const auto back =
      parse(Packet(kMacs).ip("10.0.0.2 > 10.0.0.1").tcp(80, 1000, ACK).frame()).packet;
  ps_flow_key a{}, b{};
  ps_flow_key_of(&there, 5, 0, PS_OUT, &a);
  ps_flow_key_of(&back, 5, 0, PS_IN, &b);
  EXPECT_EQ(std::memcmp(&a, &b, sizeof(a)), 0);
  EXPECT_EQ(ps_flow_check(&there, 5), ps_flow_check(&back, 5));
  EXPECT_NE(ps_flow_check(&there, 5), ps_flow_check(&there, 6));
}

TEST(FlowState, TcpWalksItsStates) {
  const auto packet = [](std::uint8_t flags) {
    ps_packet p{};
    p.proto = PS_PROTO_TCP;
    p.tcp_flags = flags;
    return p;
  };
  ps_flow flow{};
  const auto step = [&](int direction, std::uint8_t flags) {
    const auto p = packet(flags);
    ps_flow_advance(&flow, &p, direction);
    return static_cast<int>(flow.state);
  };
  EXPECT_EQ(step(PS_OUT, SYN), PS_FLOW_NEW) << "a repeated SYN";
  EXPECT_EQ(step(PS_IN, SYN | ACK), PS_FLOW_ANSWERED);
  EXPECT_EQ(step(PS_IN, SYN | ACK), PS_FLOW_ANSWERED);
  EXPECT_EQ(step(PS_OUT, ACK), PS_FLOW_ESTABLISHED);
  EXPECT_EQ(step(PS_IN, FIN | ACK), PS_FLOW_CLOSING);
  EXPECT_EQ(step(PS_IN, FIN | ACK), PS_FLOW_CLOSING) << "a repeated FIN of one side closes nothing";
  EXPECT_EQ(step(PS_OUT, FIN | ACK), PS_FLOW_CLOSED);
  const auto syn = packet(SYN), syn_ack = packet(SYN | ACK);
  for (const auto direction : {PS_OUT, PS_IN}) {
    EXPECT_TRUE(ps_flow_restarts(&flow, &syn, direction));
    EXPECT_FALSE(ps_flow_restarts(&flow, &syn_ack, direction));
  }
}

TEST(FlowState, OnlyTheInitiatorsSynBelongsToALivingFlow) {
  ps_packet syn{};
  syn.proto = PS_PROTO_TCP;
  syn.tcp_flags = SYN;
  for (const auto state : {PS_FLOW_NEW, PS_FLOW_ANSWERED, PS_FLOW_ESTABLISHED}) {
    ps_flow flow{};
    flow.state = state;
    flow.initiator = PS_OUT;
    EXPECT_FALSE(ps_flow_restarts(&flow, &syn, PS_OUT)) << "sent again";
    EXPECT_TRUE(ps_flow_restarts(&flow, &syn, PS_IN));
    flow.flags = PS_FLOW_PICKED_UP;
    EXPECT_TRUE(ps_flow_restarts(&flow, &syn, PS_OUT)) << "the initiator is a guess";
    EXPECT_TRUE(ps_flow_restarts(&flow, &syn, PS_IN));
    flow.flags |= PS_FLOW_DENIED;
    EXPECT_FALSE(ps_flow_restarts(&flow, &syn, PS_OUT));
    EXPECT_FALSE(ps_flow_restarts(&flow, &syn, PS_IN));
  }
}

TEST(FlowState, AgesByProtocolAndState) {
  ps_config config{};
  config.tcp_timeout_ns[PS_FLOW_NEW] = 10;
  config.tcp_timeout_ns[PS_FLOW_ESTABLISHED] = 1000;
  config.udp_timeout_ns[PS_FLOW_NEW] = 20;
  config.denied_timeout_ns = 5;
  ps_flow flow{};
  flow.seen_ns = 100;
  EXPECT_FALSE(ps_flow_expired(&config, PS_PROTO_TCP, &flow, 110));
  EXPECT_TRUE(ps_flow_expired(&config, PS_PROTO_TCP, &flow, 111));
  EXPECT_FALSE(ps_flow_expired(&config, PS_PROTO_UDP, &flow, 111));
  flow.state = PS_FLOW_ESTABLISHED;
  EXPECT_FALSE(ps_flow_expired(&config, PS_PROTO_TCP, &flow, 1100));
  flow.flags = PS_FLOW_DENIED;
  EXPECT_TRUE(ps_flow_expired(&config, PS_PROTO_TCP, &flow, 106));
  EXPECT_FALSE(ps_flow_expired(&config, PS_PROTO_TCP, &flow, 50))
      << "a clock read before the packet's";
}

}  // namespace
}  // namespace penstock::packets
