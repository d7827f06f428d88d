// What most packet tests start from: two ports of one network on one host, dual-stack, and short
// names for rules.
#pragma once

#include <gtest/gtest.h>

#include "tests/packets/world.h"

namespace penstock::packets {

inline constexpr auto kMacA = "02:00:00:00:00:0a";
inline constexpr auto kMacB = "02:00:00:00:00:0b";
inline constexpr auto kAToB = "02:00:00:00:00:0a > 02:00:00:00:00:0b";
inline constexpr auto kBToA = "02:00:00:00:00:0b > 02:00:00:00:00:0a";
inline constexpr auto kIpAToB = "10.0.0.1 > 10.0.0.2";
inline constexpr auto kIpBToA = "10.0.0.2 > 10.0.0.1";
inline constexpr auto kIp6AToB = "fd00::1 > fd00::2";
inline constexpr auto kIp6BToA = "fd00::2 > fd00::1";
inline constexpr std::uint32_t kA = 1, kB = 2;

class TwoPorts : public testing::Test {
 protected:
  void SetUp() override { start(World::small()); }
  void start(const Tunables& tunables) {
    auto made = World::make(tunables);
    ASSERT_TRUE(made) << made.error().text();
    world = std::move(*made);
    world->add_port(
        {.id = kA, .mac = kMacA, .addresses = {"10.0.0.1", "10.0.0.11", "fd00::1", "fd00::11"}});
    world->add_port({.id = kB, .mac = kMacB, .addresses = {"10.0.0.2", "fd00::2"}});
    world->add_gateway(100, "02:00:00:00:00:fe", "10.0.0.254");
    world->add_remote(100, "02:00:00:00:00:0c", "10.0.0.3", "192.0.2.3");
    world->fill_flood(100);
  }
  std::string from_a(const Frame& frame) { return world->from_vm(kA, frame).text(); }
  std::string from_b(const Frame& frame) { return world->from_vm(kB, frame).text(); }

  std::unique_ptr<World> world;
};

inline policy::RuleSet rules(policy::Action otherwise, std::vector<policy::Rule> list = {}) {
  return {std::move(list), otherwise, false};
}
inline policy::Rule tcp_port(policy::Action action, std::uint16_t port) {
  policy::Rule rule;
  rule.action = action;
  rule.protocols = {6};
  rule.dst_ports = {{port, port}};
  return rule;
}
inline policy::Rule udp_port(policy::Action action, std::uint16_t port) {
  auto rule = tcp_port(action, port);
  rule.protocols = {17};
  return rule;
}
inline policy::Rule echo(policy::Action action, Family family = Family::kV4) {
  policy::Rule rule;
  rule.action = action;
  rule.icmp = {{family, static_cast<std::uint8_t>(family == Family::kV4 ? 8 : 128), {}}};
  return rule;
}

inline Frame tcp_a_to_b(std::uint16_t source, std::uint16_t destination, std::uint8_t flags) {
  return Packet(kAToB).ip(kIpAToB).tcp(source, destination, flags).frame();
}
inline Frame tcp_b_to_a(std::uint16_t source, std::uint16_t destination, std::uint8_t flags) {
  return Packet(kBToA).ip(kIpBToA).tcp(source, destination, flags).frame();
}

using policy::Action;

}  // namespace penstock::packets
