// What is bad about a link is as bad as it says, measured with pings, and can be taken back.
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <thread>

#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

// The ends are plain systems: a host's agent would send frames of its own, which count as well.
constexpr const char* kTwoSystems = R"(
networks: [{name: a, subnet: 192.0.2.0/24}]
hosts: [{name: h0}]
remotes:
  - {name: h1, commands: [echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6]}
  - {name: h2, commands: [echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6]}
tunables: [flow_entries=4096, policy_arena_kib=1024]
)";

struct Pings {
  int sent = 0, received = 0, duplicates = 0;
  std::vector<int> order;  // sequence numbers as they came
  double median_ms = 0;
};

class LinksTest : public LabTest {
 protected:
  void SetUp() override {
    up(kTwoSystems);
    if (HasFatalFailure()) return;
    h2_ = lab().topology().find("h2")->address().text();
    // Neighbours are known for good: no ARP among the frames.
    ASSERT_TRUE(pings("h1", h2_));
    for (const auto* node : {"h1", "h2"})
      run(node, {"sh", "-c",
                 "ip neigh show dev eth0 | while read ip word mac rest; do "
                 "ip neigh replace $ip lladdr $mac dev eth0 nud permanent; done"});
  }

  // h1 pings h2.
  Pings ping(int count, const std::string& interval = "0.005", const std::string& more = "") {
    const auto output = run(
        "h1", {"sh", "-c", fmt::format("ping -i {} -c {} -W 2 {} {}", interval, count, more, h2_)},
        60'000);
    Pings pings;
    static const std::regex kCounts(
        "([0-9]+) packets transmitted, ([0-9]+) received(, \\+([0-9]+) duplicates)?");
    static const std::regex kLine("icmp_seq=([0-9]+) .*time=([0-9.]+) ms");
    std::smatch match;
    EXPECT_TRUE(std::regex_search(output.text, match, kCounts)) << output.text;
    if (match.empty()) return pings;
    pings.sent = std::stoi(match[1]);
    pings.received = std::stoi(match[2]);
    if (match[4].matched) pings.duplicates = std::stoi(match[4]);
    std::vector<double> times;
    for (std::sregex_iterator it(output.text.begin(), output.text.end(), kLine), end; it != end;
         ++it) {
      pings.order.push_back(std::stoi((*it)[1]));
      times.push_back(std::stod((*it)[2]));
    }
    if (!times.empty()) {
      std::ranges::sort(times);
      pings.median_ms = times[times.size() / 2];
    }
    return pings;
  }

  void set(const Impairments& impairments, bool restart_dice = true) {
    const auto done = lab().links().set({{"h2-a", impairments}}, restart_dice);
    ASSERT_TRUE(done) << done.error().text();
  }

  LinkState state() {
    const auto states = lab().links().list();
    EXPECT_TRUE(states) << states.error().text();
    if (!states) return {};
    return *std::ranges::find(*states, "h2-a", &LinkState::link);
  }

  std::string h2_;
};

TEST_F(LinksTest, LossIsAsOftenAsItSaysInTheDirectionItIsSetFor) {
  set({.in = {.loss = Share{200'000}, .seed = 1}});
  const auto pings = ping(500, "0.002");
  EXPECT_EQ(pings.sent, 500);
  // Five deviations of a binomial: 500 * 0.2 +- 5 * 8.9.
  EXPECT_NEAR(pings.sent - pings.received, 100, 45);
  EXPECT_EQ(state().counts[LINK_OUT].lost, 0u);
  EXPECT_NEAR(static_cast<double>(state().counts[LINK_IN].lost), 100, 45);
}

TEST_F(LinksTest, EqualSeedsLoseTheSameFrames) {
  const auto lost = [&](std::uint64_t seed) {
    set({.out = {.loss = Share{300'000}, .seed = seed}});  // h2 sends answers and nothing else
    return ping(60, "0.01").order;
  };
  const auto first = lost(42), again = lost(42), other = lost(43);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST_F(LinksTest, DelayIsAddedInEachDirection) {
  const auto before = ping(50);
  for (const auto delay : {2ms, 20ms}) {
    set({{.delay = delay}, {.delay = delay}});
    const auto pings = ping(100, "0.01");
    EXPECT_EQ(pings.received, 100);
    const double added = pings.median_ms - before.median_ms,
                 wanted = 2.0 * static_cast<double>(delay.count());
    EXPECT_GE(added, wanted - 0.2) << delay.count();
    EXPECT_LE(added, wanted + 2.0) << delay.count();
    RecordProperty(fmt::format("added_ms_{}", delay.count()), fmt::format("{:.3f}", added));
    std::printf("delay %d ms each way: median %.3f ms, before %.3f ms\n",
                static_cast<int>(delay.count()), pings.median_ms, before.median_ms);
  }
}

TEST_F(LinksTest, FramesCanComeTwice) {
  set({.in = {.duplicate = Share{300'000}, .seed = 3}});
  const auto plain = ping(200);
  EXPECT_EQ(plain.received, 200);
  EXPECT_NEAR(plain.duplicates, 60, 35);
  // The same for frames that wait.
  set({.out = {.duplicate = Share{300'000}, .delay = 5ms, .seed = 3}});
  const auto late = ping(200);
  EXPECT_EQ(late.received, 200);
  EXPECT_NEAR(late.duplicates, 60, 35);
}

TEST_F(LinksTest, ReorderingIsSeenAndLosesNothing) {
  set({.out = {.reorder = Share{100'000}, .delay = 1ms, .seed = 5}});
  const auto pings = ping(300);
  EXPECT_EQ(pings.received, 300);
  EXPECT_FALSE(std::ranges::is_sorted(pings.order));
  EXPECT_GT(state().lines[LINK_OUT].reordered, 10u);
  set({.out = {.delay = 1ms, .jitter = 1ms}});
  EXPECT_TRUE(std::ranges::is_sorted(ping(300).order));  // jitter alone keeps the order
}

TEST_F(LinksTest, TheRateIsHeld) {
  set({{.rate_bit_s = 20'000'000}, {.rate_bit_s = 20'000'000}});
  auto server = lab().enter("h2");
  ASSERT_TRUE(server);
  server->words = {"iperf3", "-s", "-1"};
  server->log = lab().folder().path("logs/iperf3");
  ASSERT_TRUE(start_daemon(lab().folder(), "iperf3", *server));
  Output output;
  ASSERT_TRUE(soon([&] {
    output = run("h1", {"iperf3", "-c", h2_, "-t", "3", "-J"}, 20'000);
    return output.text.find("\"error\"") ==
           std::string::npos;  // with -J it ends with 0 in any case
  })) << output.text;
  const auto json = cli::Json::parse(output.text, nullptr, false);
  const auto rate = cli::at(json, "end", "sum_received", "bits_per_second");
  ASSERT_TRUE(rate.is_number()) << output.text;
  std::printf("rate 20mbit: TCP gets %.2f Mbit/s\n", rate.get<double>() / 1e6);
  // Headers of 1514-byte frames leave 94% to TCP.
  EXPECT_GT(rate.get<double>(), 16e6);
  EXPECT_LT(rate.get<double>(), 20e6);
}

TEST_F(LinksTest, AChangeLosesNoFrameUnderWay) {
  set({{.delay = 20ms}, {.delay = 20ms}});
  auto sender = lab().enter("h1");
  ASSERT_TRUE(sender);
  // By number and not by time: then it waits for the last answer.
  sender->words = {"ping", "-q", "-i", "0.002", "-c", "800", "-W", "2", h2_};
  sender->log = lab().folder().path("logs/ping");
  ASSERT_TRUE(start_daemon(lab().folder(), "ping", *sender));
  std::this_thread::sleep_for(500ms);
  for (const auto delay : {5ms, 0ms, 10ms, 0ms}) {
    set({{.delay = delay}, {.delay = delay}}, false);
    std::this_thread::sleep_for(300ms);
  }
  std::string said;
  ASSERT_TRUE(soon([&] {
    said = lab().folder().read("logs/ping").value_or("");
    return said.find("received") != std::string::npos;
  }));
  static const std::regex kCounts("([0-9]+) packets transmitted, ([0-9]+) received");
  std::smatch match;
  ASSERT_TRUE(std::regex_search(said, match, kCounts)) << said;
  EXPECT_EQ(match[1], "800") << said;
  EXPECT_EQ(match[2], "800") << said;
}

TEST_F(LinksTest, ClearTakesEverythingBack) {
  const auto before = ping(50);
  set({{.loss = Share{500'000}, .delay = 5ms}, {.rate_bit_s = 1'000'000}});
  EXPECT_GT(lab().folder().running_pid("relay"), 0);
  set({});
  EXPECT_EQ(lab().folder().running_pid("relay"), 0);
  const auto after = ping(100);
  EXPECT_EQ(after.received, 100);
  EXPECT_LT(after.median_ms, before.median_ms + 1);
  const auto left =
      run("fabric",
          {"sh", "-c", "ip -br link; tc filter show dev p4 ingress; tc filter show dev p4 egress"});
  EXPECT_EQ(left.text.find("bpf"), std::string::npos) << left.text;
  EXPECT_EQ(left.text.find("p4i"), std::string::npos) << left.text;
}

TEST_F(LinksTest, ARelayThatDiesIsSeenAndMended) {
  set({{.delay = 5ms}, {.delay = 5ms}});
  ASSERT_TRUE(pings("h1", h2_));
  kill(lab().folder().running_pid("relay"), SIGKILL);
  EXPECT_FALSE(pings("h1", h2_));  // a dead wire, not a fast one
  EXPECT_TRUE(state().broken);
  set({{.delay = 6ms}, {.delay = 6ms}}, false);
  EXPECT_FALSE(state().broken);
  EXPECT_TRUE(pings("h1", h2_));
}

TEST_F(LinksTest, LargeTcpSegmentsAreSingleFramesOnAnImpairedNetwork) {
  set({.in = {.loss = Share{1}}});
  const auto segments = [&] {
    return run("h1", {"sh", "-c", "ip -d link show eth0 | grep -o 'gso_max_segs [0-9]*'"}).text;
  };
  EXPECT_EQ(segments(), "gso_max_segs 1\n");
  set({});
  EXPECT_EQ(segments(), "gso_max_segs 65535\n");
}

}  // namespace
}  // namespace penstock::lab
