// Rule sets for measuring, in named families. Every rule allows or denies TCP from a source to a
// destination and port, none but the last matches the benchmark's connection, and all but the last
// resemble it as much as the family allows: its hosts and its port occur in them, never all three
// together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/address.h"

namespace penstock::bench {

// X(name, meaning)
#define PENSTOCK_RULE_FAMILIES(X)                                                                  \
  X("few-hosts", "16 sources x 16 destinations, as many ports as it takes")                        \
  X("1000-destinations", "one source network, 1,000 destinations, as many ports as it takes")      \
  X("distinct-destinations-and-ports", "one source network, every rule its own destination, port") \
  X("all-distinct", "every rule its own source, destination and port")

std::vector<std::string_view> family_names();
std::string_view family_help(std::string_view family);

// The connection that the last rule allows.
struct Connection {
  IpAddress source, destination;
  std::uint16_t port = 5201;
};
Connection standard_connection(Family);

struct BenchRule {
  IpPrefix source, destination;
  std::uint16_t port = 0;
  bool allow = false;
};

// `count` rules, the last for `connection`. Unknown family, no rule, more than 60,000, or a
// connection whose two addresses differ in family: kInvalidArgument.
Result<std::vector<BenchRule>> generate(std::string_view family, std::size_t count,
                                        const Connection&);

// As the FilterConfig of a profile (default deny), as an nft script with one chain, as plain data.
std::string to_penstock_yaml(const std::vector<BenchRule>&);
std::string to_nft(const std::vector<BenchRule>&, std::string_view nft_family);
std::string to_json(const std::vector<BenchRule>&);

}  // namespace penstock::bench
