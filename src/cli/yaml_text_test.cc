#include "cli/yaml_text.h"

#include <gtest/gtest.h>

#include <random>

#include "model/yaml_tree.h"

namespace penstock::cli {
namespace {

Json random_value(std::mt19937& random, int depth) {
  constexpr std::string_view kPieces[] = {"a",    "true", "12", ": ", " #",   "-",   "\n", "\"",
                                          "'",    "0x1",  "é",  "~",  "null", "1e3", "{",  "[",
                                          "*x",   "&y",   "!",  "\t", "::1",  " ",   "No", ".",
                                          "10.0", "/8",   "%",  "|",  ">",    "=",   "\\", "\x01"};
  switch (random() % (depth > 3 ? 5 : 7)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<std::int64_t>(random()) - (1LL << 31);
    case 3:
      return static_cast<double>(random()) / 1024.0;
    case 4: {
      std::string text;
      for (auto n = random() % 4; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
      return text;
    }
    case 5: {
      Json list = Json::array();
      for (auto n = random() % 4; n > 0; --n) list.push_back(random_value(random, depth + 1));
      return list;
    }
    default: {
      Json map = Json::object();
      for (auto n = random() % 4; n > 0; --n) {
        map[std::string(kPieces[random() % std::size(kPieces)])] = random_value(random, depth + 1);
      }
      return map;
    }
  }
}

TEST(YamlText, ReadsBackAsTheSameValue) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    const Json value = random_value(random, 0);
    const std::string text = yaml_text(value);
    const auto parsed = parse_yaml(text);
    ASSERT_TRUE(parsed.problems.empty()) << parsed.problems[0].message << "\n"
                                         << text << "\n"
                                         << value.dump();
    const Json back = parsed.roots.empty() ? Json() : to_json(*parsed.roots[0]);
    ASSERT_EQ(back, value) << text;
  }
}

TEST(YamlText, LooksLikeYaml) {
  EXPECT_EQ(
      yaml_text(Json::parse(
          R"({"kind":"Vm","spec":{"nics":[{"name":"eth0","on":true}],"cidr":"10.0.0.0/8","v":"1.10","none":[]}})")),
      "kind: Vm\n"
      "spec:\n"
      "  nics:\n"
      "  - name: eth0\n"
      "    \"on\": true\n"
      "  cidr: 10.0.0.0/8\n"
      "  v: \"1.10\"\n"
      "  none: []\n");
}

}  // namespace
}  // namespace penstock::cli
