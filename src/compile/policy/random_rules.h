// Random rule sets and packets that are likely to meet: values come from small pools, and packets
// are drawn at and just beyond the edges of what rules name. Everything follows from the seed.
#pragma once

#include <cstdint>
#include <random>

#include "abi/policy.h"
#include "compile/policy/rules.h"

namespace penstock::policy {

class RandomRules {
 public:
  explicit RandomRules(std::uint64_t seed);

  RuleSet rule_set();
  // Prefixes of any length on both sides and any port ranges, so that everything overlaps.
  RuleSet overlapping(std::size_t rules, Family);
  // A TCP packet of any addresses and ports.
  ps_packet_view any_packet(Family);
  // Half of them are made from one of the rules.
  ps_packet_view packet(const RuleSet&);

 private:
  // The flavours that exercise the different ways in which rows are found.
  enum class Shape { kMixed, kHosts, kFewHosts, kRanges, kNested, kGroups };
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : random_() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  IpAddress address(Family);
  IpPrefix prefix(Family);
  AddressMatch address_match(Family);
  std::vector<AddressMatch> side();
  PortRange range();
  std::uint16_t port();
  Rule rule();
  void take_side(const std::vector<AddressMatch>&, Family, ps_address&, std::uint32_t* groups);

  std::mt19937_64 random_;
  Shape shape_ = Shape::kMixed;
  std::uint32_t spread_ = 4;  // how many different values a pool has
};

}  // namespace penstock::policy
