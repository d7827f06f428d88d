// penstock-rulegen FAMILY COUNT: writes a rule set to standard output.
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bench/rulesets/rulesets.h"

namespace {

using namespace penstock;

int fail_with(const Error& error) {
  fmt::print(stderr, "penstock-rulegen: {}\n", error.text());
  return exit_code(error.code);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Writes a rule set for measuring; only its last rule allows the benchmark's connection");
  std::string family, format = "penstock-yaml", nft_family = "inet", source, destination;
  std::size_t count = 0;
  std::uint16_t port = 5201;
  bool v6 = false;
  std::string help = "one of:";
  for (auto name : bench::family_names())
    help += fmt::format("\n  {}: {}", name, bench::family_help(name));
  app.add_option("FAMILY", family, help)->required();
  app.add_option("COUNT", count, "number of rules")->required();
  app.add_option("--format", format, "penstock-yaml (a FilterConfig), nft or json")
      ->check(CLI::IsMember({"penstock-yaml", "nft", "json"}))
      ->capture_default_str();
  app.add_option("--nft-family", nft_family, "table family of the nft script")
      ->check(CLI::IsMember({"inet", "ip", "ip6", "bridge"}))
      ->capture_default_str();
  app.add_flag("--v6", v6, "IPv6 instead of IPv4");
  app.add_option("--source", source, "the connection's source address");
  app.add_option("--destination", destination, "the connection's destination address");
  app.add_option("--port", port, "the connection's destination port")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  auto connection = bench::standard_connection(v6 ? Family::kV6 : Family::kV4);
  connection.port = port;
  for (auto [text, address] :
       {std::pair{&source, &connection.source}, {&destination, &connection.destination}}) {
    if (text->empty()) continue;
    auto parsed = IpAddress::parse(*text);
    if (!parsed) return fail_with(parsed.error());
    *address = *parsed;
  }
  auto rules = bench::generate(family, count, connection);
  if (!rules) return fail_with(rules.error());
  const std::string out = format == "nft"    ? bench::to_nft(*rules, nft_family)
                          : format == "json" ? bench::to_json(*rules)
                                             : bench::to_penstock_yaml(*rules);
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0
             ? 0
             : 1;
}
