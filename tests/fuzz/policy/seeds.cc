// Writes inputs for classify_fuzz into a folder: images of random rules with packets that meet
// them.
#include <cstdio>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "compile/policy/build.h"
#include "compile/policy/random_rules.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: classify_fuzz_seeds FOLDER\n");
    return 2;
  }
  for (std::uint64_t seed = 1; seed <= 200; seed++) {
    penstock::policy::RandomRules random(seed);
    const auto set = random.rule_set();
    const auto image = penstock::policy::build_policy(set);
    if (!image || image->lines.size() > 4000) continue;
    const ps_packet_view view = random.packet(set);
    std::ofstream out(fmt::format("{}/{}", argv[1], seed), std::ios::binary);
    out.write(reinterpret_cast<const char*>(&view), sizeof view);
    out.put(0);
    out.write(reinterpret_cast<const char*>(image->lines.data()),
              static_cast<std::streamsize>(image->stats.bytes));
    if (!out.flush()) {
      fmt::print(stderr, "classify_fuzz_seeds: cannot write to {}\n", argv[1]);
      return 1;
    }
  }
  return 0;
}
