#include "bench/rulesets/rulesets.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace penstock::bench {
namespace {

struct Named {
  std::string_view name, help;
};
constexpr Named kFamilies[] = {
#define PENSTOCK_RULE_FAMILY(name, help) {name, help},
    PENSTOCK_RULE_FAMILIES(PENSTOCK_RULE_FAMILY)
#undef PENSTOCK_RULE_FAMILY
};

constexpr std::size_t kMost = 60'000;  // ports of 16 bits must stay distinct

IpPrefix host(const IpAddress& address) {
  return {address, static_cast<std::uint8_t>(address.width())};
}

// Host n of a made-up network of the given kind: 172.16+kind.0.0/16, or fd77:kind::/64. n = 0 is
// the connection's own.
IpPrefix host(const IpAddress& own, int kind, std::size_t n) {
  if (n == 0) return host(own);
  IpAddress address;
  address.family = own.family;
  if (own.family == Family::kV4) {
    address = IpAddress::v4(172u << 24 | static_cast<std::uint32_t>(16 + kind) << 16);
  } else {
    address.bytes = {0xfd, 0x77, 0, static_cast<std::uint8_t>(kind)};
  }
  return host(address.plus(n));
}

// The network around the connection's source: /16, or /64.
IpPrefix network(const IpAddress& own) {
  IpPrefix out{own, static_cast<std::uint8_t>(own.family == Family::kV4 ? 16 : 64)};
  std::fill(out.address.bytes.begin() + out.length / 8, out.address.bytes.end(), 0);
  return out;
}

// Port n of the rules that are not to match: never the connection's.
std::uint16_t other_port(const Connection& connection, std::size_t n) {
  const std::size_t port = 1024 + n;
  return static_cast<std::uint16_t>(port >= connection.port && connection.port >= 1024 ? port + 1
                                                                                       : port);
}

BenchRule rule(std::string_view family, std::size_t i, const Connection& connection) {
  const IpAddress &from = connection.source, &to = connection.destination;
  if (family == "few-hosts")
    return {host(from, 0, i % 16), host(to, 1, i / 16 % 16), other_port(connection, i / 256)};
  if (family == "1000-destinations")
    return {network(from), host(to, 1, i % 1000), other_port(connection, i / 1000)};
  if (family == "distinct-destinations-and-ports")
    return {network(from), host(to, 1, i + 1), other_port(connection, i)};
  return {host(from, 0, i + 1), host(to, 1, i + 1), other_port(connection, i)};
}

}  // namespace

std::vector<std::string_view> family_names() {
  std::vector<std::string_view> out;
  for (const Named& family : kFamilies) out.push_back(family.name);
  return out;
}

std::string_view family_help(std::string_view name) {
  const auto found = std::ranges::find(kFamilies, name, &Named::name);
  return found == std::end(kFamilies) ? std::string_view{} : found->help;
}

Connection standard_connection(Family family) {
  if (family == Family::kV4) return {IpAddress::v4(0x0a000002), IpAddress::v4(0x0a000003), 5201};
  Connection out;
  out.source.family = Family::kV6;
  out.source.bytes = {0xfd, 0};
  out.destination = out.source.plus(3);
  out.source = out.source.plus(2);
  return out;
}

Result<std::vector<BenchRule>> generate(std::string_view family, std::size_t count,
                                        const Connection& connection) {
  if (family_help(family).empty())
    return fail_field("family", fmt::format("no family \"{}\"", family),
                      fmt::format("one of {}", fmt::join(family_names(), ", ")));
  if (count < 1 || count > kMost)
    return fail_field("count", fmt::format("{} is not between 1 and {}", count, kMost));
  if (connection.source.family != connection.destination.family)
    return fail_field("destination", "not of the source's address family");
  std::vector<BenchRule> out;
  for (std::size_t i = 0; i + 1 < count; i++) out.push_back(rule(family, i, connection));
  // In the shape of the others, so that it is found the way they would be.
  const bool wide = family == "1000-destinations" || family == "distinct-destinations-and-ports";
  out.push_back({wide ? network(connection.source) : host(connection.source),
                 host(connection.destination), connection.port, true});
  return out;
}

std::string to_penstock_yaml(const std::vector<BenchRule>& rules) {
  std::string out = "defaultOut: DENY\ndefaultIn: DENY\nrules:\n";
  for (std::size_t i = 0; i < rules.size(); i++)
    fmt::format_to(
        std::back_inserter(out),
        "- {{name: bench-{}, action: {}, from: [{{cidr: \"{}\"}}], to: [{{cidr: \"{}\"}}], "
        "protocols: [tcp], ports: [\"{}\"]}}\n",
        i + 1, rules[i].allow ? "ALLOW" : "DENY", rules[i].source.text(),
        rules[i].destination.text(), rules[i].port);
  return out;
}

std::string to_nft(const std::vector<BenchRule>& rules, std::string_view nft_family) {
  std::string out = fmt::format(
      "table {} penstock_bench {{\n  chain forward {{\n    type filter hook forward priority 0; "
      "policy drop;\n"
      "    ct state established,related accept\n",
      nft_family);
  for (const BenchRule& rule : rules) {
    const char* ip = rule.source.address.family == Family::kV4 ? "ip" : "ip6";
    fmt::format_to(std::back_inserter(out), "    {0} saddr {1} {0} daddr {2} tcp dport {3} {4}\n",
                   ip, rule.source.text(), rule.destination.text(), rule.port,
                   rule.allow ? "accept" : "drop");
  }
  return out + "  }\n}\n";
}

std::string to_json(const std::vector<BenchRule>& rules) {
  std::string out = "[\n";
  for (std::size_t i = 0; i < rules.size(); i++)
    fmt::format_to(
        std::back_inserter(out),
        "  {{\"source\": \"{}\", \"destination\": \"{}\", \"protocol\": \"tcp\", \"port\": {}, "
        "\"action\": \"{}\"}}{}\n",
        rules[i].source.text(), rules[i].destination.text(), rules[i].port,
        rules[i].allow ? "allow" : "deny", i + 1 < rules.size() ? "," : "");
  return out + "]\n";
}

}  // namespace penstock::bench
