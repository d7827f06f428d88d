// Ordered rules as the switch understands them: no names to resolve, no defaults to guess. A rule
// matches a packet when every part of it does; an empty list matches everything. The first rule
// that matches decides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/address.h"

namespace penstock::policy {

// A set of addresses that changes by itself (the VMs with some label). The packet's view carries
// the groups of its two addresses. 0 is no group.
using GroupId = Strong<struct GroupIdTag, std::uint32_t>;

struct AnyAddress {
  auto operator<=>(const AnyAddress&) const = default;
};
// A prefix matches packets of its own family only; 0.0.0.0/0 is "any IPv4 address".
using AddressMatch = std::variant<AnyAddress, IpPrefix, GroupId>;

// Matches protocol 1 in IPv4 packets, 58 in IPv6 packets.
struct IcmpMatch {
  Family family = Family::kV4;
  std::uint8_t type = 0;
  std::optional<std::uint8_t> code;  // none: any
  auto operator<=>(const IcmpMatch&) const = default;
};

// Matches when (flags & mask) == value; bits as in byte 13 of the TCP header (FIN 1, SYN 2, RST 4,
// ... CWR 128).
struct TcpFlags {
  std::uint8_t mask = 0, value = 0;
  auto operator<=>(const TcpFlags&) const = default;
};

enum class Action : std::uint8_t {
  kAllow,
  kDeny,    // drop in silence
  kReject,  // drop and answer with RST or ICMP
};

struct Rule {
  std::string name;  // for messages; may be empty
  Action action = Action::kAllow;
  bool log = false;
  bool stateless = false;  // makes no flow entry
  std::vector<AddressMatch> src, dst;
  std::vector<std::uint8_t> protocols;
  // Any of these makes the rule one about ports: it matches only packets whose ports are known
  // (never a later fragment), also when the range is 0-65535. Protocols must be among tcp, udp,
  // dccp, sctp, udplite, or empty.
  std::vector<PortRange> src_ports, dst_ports;
  std::vector<IcmpMatch> icmp;        // protocols must be empty or icmp, icmpv6
  std::optional<TcpFlags> tcp_flags;  // protocols must be empty or tcp
  std::optional<Family> family;       // none: both
};

struct RuleSet {
  std::vector<Rule> rules;
  Action default_action = Action::kDeny;
  bool log_default = false;
};

}  // namespace penstock::policy
