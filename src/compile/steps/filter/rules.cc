#include "compile/steps/filter/rules.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "model/labels.h"
#include "model/schema.h"
#include "model/snapshot.h"
#include "net/address.h"

namespace penstock {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpV6 = 58, kSctp = 132;
constexpr std::array<std::string_view, 8> kFlags{"fin", "syn", "rst", "psh",
                                                 "ack", "urg", "ece", "cwr"};

// Which IP families something can match.
struct Families {
  bool v4 = true, v6 = true;
  Families operator&(Families o) const { return {v4 && o.v4, v6 && o.v6}; }
  Families operator|(Families o) const { return {v4 || o.v4, v6 || o.v6}; }
  bool none() const { return !v4 && !v6; }
};

class RuleReader {
 public:
  RuleReader(const v1::FilterRule& rule, Problems& problems, std::string path)
      : rule_(rule), problems_(problems), path_(std::move(path)) {}

  v1::ResolvedRule read(int index) {
    out_.set_index(static_cast<std::uint32_t>(index));
    out_.set_name(rule_.name().empty() ? fmt::format("rule-{}", index + 1) : rule_.name());
    out_.set_direction(rule_.direction() == v1::FilterRule::DIRECTION_UNSPECIFIED
                           ? v1::FilterRule::BOTH
                           : rule_.direction());
    out_.set_action(rule_.action());
    out_.set_log(rule_.log());
    out_.set_family(rule_.family());
    if (rule_.name().size() > 128) problem("name", "is longer than 128 bytes");
    if (rule_.action() == v1::FILTER_ACTION_UNSPECIFIED)
      problem("action", "is required", "ALLOW, DENY or REJECT");
    const auto from = peers(rule_.from(), "from");
    const auto to = peers(rule_.to(), "to");
    protocols();
    spans(rule_.source_ports(), "sourcePorts", *out_.mutable_source_ports());
    spans(rule_.ports(), "ports", *out_.mutable_ports());
    icmp();
    flags();
    check_families(from, to);
    return std::move(out_);
  }

 private:
  const v1::FilterRule& rule_;
  Problems& problems_;
  const std::string path_;
  v1::ResolvedRule out_;
  bool open_protocols_ = false;  // a protocol is still a placeholder

  void problem(std::string_view field, std::string message, std::string hint = {}) {
    problems_.add(field_path(path_, field), std::move(message), std::move(hint));
  }

  Families peers(const google::protobuf::RepeatedPtrField<v1::Peer>& list, std::string_view name) {
    const auto at = field_path(path_, name);
    if (list.size() > kFilterPeersMost)
      problems_.add(at, fmt::format("{} peers: at most {}", list.size(), kFilterPeersMost));
    if (list.empty()) return {};
    Families any{false, false};
    for (int i = 0; i < list.size(); ++i)
      any = any | peer(list[i], field_path(at, static_cast<std::size_t>(i)));
    return any;
  }

  Families peer(const v1::Peer& peer, const std::string& at) {
    const int set = !peer.cidr().empty() + peer.has_vms() + peer.self() + !peer.network().empty();
    if (set != 1) {
      problems_.add(at, set == 0 ? "names nobody" : "names more than one thing",
                    "exactly one of cidr, vms, self, network");
      return {};
    }
    if (peer.has_vms()) {
      Problems own;
      check_selector(peer.vms(), own, field_path(at, "vms"));
      for (const auto& p : own.details())
        if (!has_placeholder(p.message)) problems_.add(p.field, p.message, p.hint);
    }
    if (!peer.network().empty() && !has_placeholder(peer.network()))
      check_name(peer.network(), problems_, field_path(at, "network"));
    if (!peer.cidr().empty() && !has_placeholder(peer.cidr())) {
      const auto prefix = IpPrefix::parse(peer.cidr());
      if (!prefix)
        problems_.add(field_path(at, "cidr"), prefix.error());
      else
        return {prefix->address.family == Family::kV4, prefix->address.family == Family::kV6};
    }
    return {};
  }

  void protocols() {
    for (int i = 0; i < rule_.protocols_size(); ++i) {
      const auto& text = rule_.protocols(i);
      if (has_placeholder(text)) {
        open_protocols_ = true;
        continue;
      }
      const auto number = parse_ip_protocol(text);
      if (!number)
        problems_.add(field_path(field_path(path_, "protocols"), static_cast<std::size_t>(i)),
                      number.error());
      else if (std::ranges::find(out_.protocols(), *number) == out_.protocols().end())
        out_.add_protocols(*number);
      open_protocols_ |= !number;  // said already; what depends on it is not judged
    }
  }

  bool only(std::initializer_list<std::uint8_t> wanted) const {
    return !out_.protocols().empty() && std::ranges::all_of(out_.protocols(), [&](std::uint32_t p) {
      return std::ranges::find(wanted, p) != wanted.end();
    });
  }

  void spans(const google::protobuf::RepeatedPtrField<std::string>& list, std::string_view name,
             google::protobuf::RepeatedPtrField<v1::PortSpan>& out) {
    if (list.empty()) return;
    if (!open_protocols_ && !only({kTcp, kUdp, kSctp}))
      problem(name, "needs protocols that have ports: tcp, udp or sctp and nothing else",
              rule_.protocols().empty() ? "protocols: [tcp]" : "");
    for (int i = 0; i < list.size(); ++i) {
      if (has_placeholder(list[i])) continue;
      const auto range = PortRange::parse(list[i]);
      if (!range) {
        problems_.add(field_path(field_path(path_, name), static_cast<std::size_t>(i)),
                      range.error());
        continue;
      }
      auto& span = *out.Add();
      span.set_low(range->low);
      span.set_high(range->high);
    }
  }

  void icmp() {
    if (rule_.icmp().empty()) return;
    std::set<std::uint8_t> wanted;
    for (int i = 0; i < rule_.icmp_size(); ++i) {
      const auto& match = rule_.icmp(i);
      const auto at = field_path(field_path(path_, "icmp"), static_cast<std::size_t>(i));
      wanted.insert(match.v6() ? kIcmpV6 : kIcmp);
      if (match.type() < 0 || match.type() > 255)
        problems_.add(field_path(at, "type"), fmt::format("{} is not an ICMP type", match.type()),
                      "0 to 255");
      for (int c = 0; c < match.codes_size(); ++c)
        if (match.codes(c) < 0 || match.codes(c) > 255)
          problems_.add(field_path(field_path(at, "codes"), static_cast<std::size_t>(c)),
                        fmt::format("{} is not an ICMP code", match.codes(c)), "0 to 255");
      *out_.add_icmp() = match;
    }
    if (open_protocols_) return;
    if (out_.protocols().empty()) {
      for (auto protocol : wanted) out_.add_protocols(protocol);
      return;
    }
    if (!only({kIcmp, kIcmpV6})) {
      problem("icmp", "needs the protocol icmp or icmpv6 and nothing else");
      return;
    }
    for (auto protocol : wanted)
      if (std::ranges::find(out_.protocols(), protocol) == out_.protocols().end())
        problem(
            "icmp",
            fmt::format("matches {}, which is not among the protocols", ip_protocol_text(protocol)),
            protocol == kIcmpV6 ? "add icmpv6 to protocols" : "for IPv6 write v6: true");
  }

  std::uint32_t flag_bits(const google::protobuf::RepeatedPtrField<std::string>& list,
                          std::string_view name) {
    std::uint32_t bits = 0;
    for (int i = 0; i < list.size(); ++i) {
      if (has_placeholder(list[i])) continue;
      std::string word = list[i];
      std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
      const auto it = std::ranges::find(kFlags, word);
      if (it == kFlags.end())
        problems_.add(field_path(field_path(path_, name), static_cast<std::size_t>(i)),
                      fmt::format("\"{}\" is not a TCP flag", list[i]),
                      fmt::format("{}", fmt::join(kFlags, ", ")));
      else
        bits |= 1u << (it - kFlags.begin());
    }
    return bits;
  }

  void flags() {
    if (!rule_.has_tcp_flags()) return;
    const auto mask = flag_bits(rule_.tcp_flags().mask(), "tcpFlags.mask");
    const auto set = flag_bits(rule_.tcp_flags().set(), "tcpFlags.set");
    if (!open_protocols_ && !only({kTcp}))
      problem("tcpFlags", "needs the protocol tcp and nothing else");
    if (rule_.tcp_flags().mask().empty())
      problem("tcpFlags.mask", "must name the flags that are looked at");
    if (set & ~mask)
      problem("tcpFlags.set", "names a flag that is not in the mask", "add it to mask");
    out_.set_tcp_mask(mask);
    out_.set_tcp_set(set);
  }

  void check_families(Families from, Families to) {
    Families own;
    if (rule_.family() != v1::FilterRule::IP_FAMILY_UNSPECIFIED)
      own = {rule_.family() == v1::FilterRule::IPV4, rule_.family() == v1::FilterRule::IPV6};
    if ((own & from & to).none())
      problem("", "can never match: source, destination and family are not of one IP version");
    else if (!open_protocols_ && only({kIcmpV6}) && !(own & from & to).v6)
      problem("protocols", "icmpv6 can never match: the rule is for IPv4");
    else if (!open_protocols_ && only({kIcmp}) && !(own & from & to).v4)
      problem("protocols", "icmp can never match: the rule is for IPv6", "icmpv6");
  }
};

std::string peers_text(const google::protobuf::RepeatedPtrField<v1::Peer>& peers) {
  if (peers.empty()) return "any";
  std::vector<std::string> out;
  for (const auto& peer : peers)
    out.push_back(peer.self()               ? "self"
                  : peer.has_vms()          ? fmt::format("vms({})", selector_text(peer.vms()))
                  : !peer.network().empty() ? "network " + peer.network()
                                            : peer.cidr());
  return fmt::format("{}", fmt::join(out, ","));
}

}  // namespace

v1::ResolvedRule read_rule(const v1::FilterRule& rule, int index, Problems& problems,
                           const std::string& path) {
  return RuleReader(rule, problems, path).read(index);
}

void check_rules(const v1::FilterConfig& config, Problems& problems, const std::string& path) {
  if (config.rules_size() > kFilterRulesMost)
    problems.add(field_path(path, "rules"),
                 fmt::format("{} rules: at most {}", config.rules_size(), kFilterRulesMost));
  std::map<std::string, int> names;
  for (int i = 0; i < config.rules_size(); ++i) {
    const auto& name = config.rules(i).name();
    if (name.empty() || has_placeholder(name)) continue;
    const auto [it, fresh] = names.emplace(name, i);
    if (!fresh)
      problems.add(
          field_path(field_path(field_path(path, "rules"), static_cast<std::size_t>(i)), "name"),
          fmt::format("\"{}\" is the name of rules[{}] too", name, it->second));
  }
}

std::string describe_rule(const v1::FilterRule& rule) {
  std::string action = v1::FilterAction_Name(rule.action());
  std::ranges::transform(action, action.begin(), [](unsigned char c) { return std::tolower(c); });
  auto out = fmt::format(
      "{} {} from {}", action,
      rule.protocols().empty() ? "any" : fmt::format("{}", fmt::join(rule.protocols(), ",")),
      peers_text(rule.from()));
  if (!rule.source_ports().empty())
    out += fmt::format(" ports {}", fmt::join(rule.source_ports(), ","));
  out += fmt::format(" to {}", peers_text(rule.to()));
  if (!rule.ports().empty()) out += fmt::format(" ports {}", fmt::join(rule.ports(), ","));
  for (const auto& icmp : rule.icmp()) {
    out += fmt::format(" type {}", icmp.type());
    if (!icmp.codes().empty()) out += fmt::format(" code {}", fmt::join(icmp.codes(), ","));
  }
  if (rule.has_tcp_flags())
    out += fmt::format(" flags {}/{}", fmt::join(rule.tcp_flags().set(), ","),
                       fmt::join(rule.tcp_flags().mask(), ","));
  if (rule.family() == v1::FilterRule::IPV4) out += " ipv4";
  if (rule.family() == v1::FilterRule::IPV6) out += " ipv6";
  out += rule.direction() == v1::FilterRule::OUT  ? ", out"
         : rule.direction() == v1::FilterRule::IN ? ", in"
                                                  : "";
  return out + (rule.log() ? ", log" : "");
}

}  // namespace penstock
