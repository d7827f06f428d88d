// Rejects: what the sender of a refused packet is told.
#include <chrono>

#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

class Rejects : public TwoPorts {
 protected:
  void SetUp() override {
    TwoPorts::SetUp();
    world->enable(kA, PS_OUT, world->policy(rules(Action::kReject)));
  }
  std::string answer_to(const Frame& frame) {
    const auto outcome = world->from_vm(kA, frame);
    EXPECT_EQ(outcome.action + " " + outcome.reason, "redirect policy_reject");
    return describe(outcome.frame);
  }
};

TEST_F(Rejects, TcpSynGetsAReset) {
  EXPECT_EQ(answer_to(Packet(kAToB).ip(kIpAToB).tcp(1000, 80, SYN, 5000).frame()),
            "02:00:00:00:00:0b > 02:00:00:00:00:0a ip4 10.0.0.2 > 10.0.0.1 tcp 80 > 1000 RST,ACK "
            "seq 0 ack 5001");
  EXPECT_EQ(answer_to(Packet(kAToB).ip(kIp6AToB).tcp(1000, 80, SYN, 5000).frame()),
            "02:00:00:00:00:0b > 02:00:00:00:00:0a ip6 fd00::2 > fd00::1 tcp 80 > 1000 RST,ACK seq "
            "0 ack 5001");
}

TEST_F(Rejects, TcpDataGetsAResetInsideItsWindow) {
  EXPECT_EQ(
      answer_to(
          Packet(kAToB).ip(kIpAToB).tcp(40000, 80, ACK | PSH, 5000, 777).payload(100).frame()),
      "02:00:00:00:00:0b > 02:00:00:00:00:0a ip4 10.0.0.2 > 10.0.0.1 tcp 80 > 40000 RST seq 777");
}

TEST_F(Rejects, OthersGetAdministrativelyProhibited) {
  EXPECT_EQ(
      answer_to(Packet(kAToB).ip(kIpAToB).udp(1000, 53).payload(100).frame()),
      "02:00:00:00:00:0b > 02:00:00:00:00:0a ip4 10.0.0.2 > 10.0.0.1 icmp type 3 code 13 about "
      "[ip4 10.0.0.1 > 10.0.0.2 udp 1000 > 53]");
  EXPECT_EQ(
      answer_to(Packet(kAToB).ip(kIp6AToB).udp(1000, 53).payload(100).frame()),
      "02:00:00:00:00:0b > 02:00:00:00:00:0a ip6 fd00::2 > fd00::1 icmpv6 type 1 code 1 about "
      "[ip6 fd00::1 > fd00::2 udp 1000 > 53]");
  EXPECT_EQ(
      answer_to(Packet(kAToB).ip(kIpAToB).options(4).icmp(8, 0).frame()),
      "02:00:00:00:00:0b > 02:00:00:00:00:0a ip4 10.0.0.2 > 10.0.0.1 icmp type 3 code 13 about "
      "[ip4 10.0.0.1 > 10.0.0.2 icmp type 8 code 0]");
}

TEST_F(Rejects, SmallestPacketsAreQuotedWhole) {
  for (std::size_t bytes = 0; bytes < 80; ++bytes) {
    const auto text = answer_to(Packet(kAToB).ip(kIpAToB).udp(1000, 53).payload(bytes).frame());
    EXPECT_EQ(text.find("BAD"), std::string::npos) << bytes << ": " << text;
    const auto six = answer_to(Packet(kAToB).ip(kIp6AToB).udp(1000, 53).payload(bytes).frame());
    EXPECT_EQ(six.find("BAD"), std::string::npos) << bytes << ": " << six;
  }
}

TEST_F(Rejects, NothingIsToldAboutWhatMustNotBeAnswered) {
  EXPECT_EQ(from_a(Packet(kAToB).ip(kIpAToB).tcp(1000, 80, RST).frame()), "drop policy_reject");
  EXPECT_EQ(
      from_a(
          Packet(kAToB).ip(kIpAToB).icmp(3, 1).payload(quoted(tcp_b_to_a(1, 2, SYN), 28)).frame()),
      "drop policy_reject");
  EXPECT_EQ(from_a(Packet("02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff")
                       .ip("10.0.0.1 > 10.0.0.255")
                       .udp(1, 2)
                       .frame()),
            "drop policy_reject");
}

TEST_F(Rejects, ByTheReceiversPolicyTheSenderIsToldToo) {
  world->enable(kA, PS_OUT, 0);
  world->enable(kB, PS_IN, world->policy(rules(Action::kReject)));
  EXPECT_NE(answer_to(tcp_a_to_b(1000, 80, SYN)).find("RST,ACK"), std::string::npos);
}

TEST_F(Rejects, AnswersAreLimited) {
  constexpr int kSent = 3000;
  const auto frame = tcp_a_to_b(1000, 80, SYN);
  const int program = world->the_switch().program_fd(host::Program::kFromPort);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kSent; ++i) (void)world->time_ns(program, world->ifindex(kA), frame, 1);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(world->counter(PS_COUNT_REJECT_SENT), 1000u);
  // The limit is a rate: 1,000 a second above a first 1,000, on each CPU that this test ran on.
  if (took.count() > 0.3) GTEST_SKIP() << "too slow here to go over the limit";
  EXPECT_GT(world->counter(PS_COUNT_REJECT_LIMITED), 0u);
}

}  // namespace
}  // namespace penstock::packets
