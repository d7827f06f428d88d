#include "model/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace penstock {
namespace {

Json value_of(std::string_view text) {
  const auto parsed = parse_yaml(text);
  EXPECT_TRUE(parsed.problems.empty()) << text << ": " << parsed.problems[0].message;
  return parsed.roots.empty() ? Json() : to_json(*parsed.roots[0]);
}

struct Said {
  YamlMark mark;
  std::string message;
};
Said problem_of(std::string_view text) {
  const auto parsed = parse_yaml(text);
  if (parsed.problems.empty()) {
    ADD_FAILURE() << "accepted: " << text;
    return {};
  }
  return {parsed.problems[0].mark, parsed.problems[0].message + "; " + parsed.problems[0].hint};
}

TEST(YamlTree, PlainScalarsFollowTheCoreSchema) {
  EXPECT_EQ(value_of("[true, False, NULL, ~, 12, -7, +3, 0x1F, 0o17, 1.5, -1e3, .5, 007]"),
            Json::parse("[true, false, null, null, 12, -7, 3, 31, 15, 1.5, -1000.0, 0.5, 7]"));
  EXPECT_EQ(value_of("[yes, on, 1.2.3, 10.0.0.0/8, 1_000, .inf, 0x, 12h, 1e, '']"),
            Json::parse(R"(["yes","on","1.2.3","10.0.0.0/8","1_000",".inf","0x","12h","1e",""])"));
  EXPECT_EQ(value_of("18446744073709551615"), Json(18446744073709551615ULL));
  EXPECT_EQ(value_of("-9223372036854775808"), Json(INT64_MIN));
}

TEST(YamlTree, QuotedAndBlockScalarsAreStrings) {
  EXPECT_EQ(value_of("a: \"true\"\nb: '12'\nc: |\n  12\nd: >\n  null\ne: !!str 5\n"),
            Json::parse(R"({"a":"true","b":"12","c":"12\n","d":"null\n","e":"5"})"));
}

TEST(YamlTree, ManyDocumentsAndEmptyOnes) {
  const auto parsed = parse_yaml("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n");
  ASSERT_TRUE(parsed.problems.empty());
  ASSERT_EQ(parsed.roots.size(), 2U);
  EXPECT_EQ(parsed.roots[1]->entries[0].mark, (YamlMark{6, 1}));
}

TEST(YamlTree, LeftOversAreNoDocuments) {
  EXPECT_EQ(problem_of("{a: 1}\n]\n").mark.line, 2);
  EXPECT_EQ(problem_of("{a: 1}\n{b: 2}\n").mark.line, 2);
  EXPECT_EQ(parse_yaml("{a: 1}\n...\n# more\n{b: 2}\n").roots.size(), 2U);
  EXPECT_EQ(parse_yaml("{a: 1}\n--- {b: 2}\n---\nc: 3\n").roots.size(), 3U);
}

TEST(YamlTree, JsonIsYaml) {
  EXPECT_EQ(value_of("{\n\t\"a\": [1, 2.5, \"x\\u0041\\/\"],\n\t\"b\": {\"c\": null}\n}"),
            Json::parse(R"({"a":[1,2.5,"xA/"],"b":{"c":null}})"));
}

TEST(YamlTree, JsonEscapesBeyondTheBasicPlane) {
  EXPECT_EQ(value_of(R"({"a": "\ud83d\ude00", "b": "\\ud83d\\ude00"})"),
            Json::parse(R"({"a":"😀","b":"\\ud83d\\ude00"})"));
  EXPECT_FALSE(parse_yaml(R"({"a": "\ud83d"})").problems.empty()) << "half a character";
}

TEST(YamlTree, LocatesFields) {
  const std::string text =
      "kind: ServiceProfile\n"
      "metadata: {name: fw, labels: {a.b/c: x}}\n"
      "spec:\n"
      "  levels:\n"
      "    - name: basic\n"
      "      limits:\n"
      "        conections: 5\n"
      "  virtual_switch: vs\n"
      "  rules: [{dport: \"22-8\"}, {ports: [1, 2]}]\n";
  const auto parsed = parse_yaml(text);
  ASSERT_EQ(parsed.roots.size(), 1U);
  const YamlNode& root = *parsed.roots[0];
  const auto key = [&](std::string_view path) { return locate(root, path).key; };
  const auto value = [&](std::string_view path) { return locate(root, path).value; };
  EXPECT_EQ(key("spec.levels[0].limits.conections"), (YamlMark{7, 9}));
  EXPECT_EQ(value("spec.levels[0].limits.conections"), (YamlMark{7, 21}));
  EXPECT_EQ(value("spec.rules[0].dport"), (YamlMark{9, 19}));
  EXPECT_EQ(value("spec.rules[1].ports[1]"), (YamlMark{9, 40}));
  EXPECT_EQ(key("spec.virtualSwitch"), (YamlMark{8, 3}))
      << "snake_case in the file, camelCase in the error";
  EXPECT_EQ(value("metadata.labels.a.b/c"), (YamlMark{2, 38})) << "a key with dots";
  EXPECT_TRUE(locate(root, "spec.rules[0].dport").exact);
  const auto missing = locate(root, "spec.levels[0].limits.rateBitsPerSecond");
  EXPECT_FALSE(missing.exact);
  EXPECT_EQ(missing.key, (YamlMark{6, 7})) << "the parent stands for what is missing";
  EXPECT_EQ(key("spec.levels[7]"), (YamlMark{4, 3}));
  EXPECT_EQ(key("nothing.here"), (YamlMark{1, 1}));
  EXPECT_EQ(key("spec.levels[x]"), (YamlMark{4, 3}));
  EXPECT_EQ(key("spec.levels[0"), (YamlMark{4, 3}));
}

TEST(YamlTree, RefusesWithPosition) {
  using testing::HasSubstr;
  auto said = problem_of("a: 1\nb: 2\na: 3\n");
  EXPECT_EQ(said.mark, (YamlMark{3, 1}));
  EXPECT_THAT(said.message, HasSubstr("already there, in line 1"));
  said = problem_of("a:\n  b: 1\n\tc: 2\n");
  EXPECT_EQ(said.mark, (YamlMark{3, 1}));
  EXPECT_THAT(said.message, HasSubstr("tab"));
  said = problem_of("a: [1, 2\nb: 3\n");
  EXPECT_GE(said.mark.line, 1);
  EXPECT_THAT(problem_of("<<: {a: 1}\n").message, HasSubstr("merge keys"));
  EXPECT_THAT(problem_of("[1, 2]: x\n").message, HasSubstr("key"));
  EXPECT_THAT(problem_of("? {a: 1}\n: x\n").message, HasSubstr("key"));
  EXPECT_THAT(problem_of("a: !!binary aGk=\n").message, HasSubstr("tag"));
  EXPECT_THAT(problem_of("a: *nowhere\n").message, HasSubstr("anchor"));
  EXPECT_THAT(problem_of("a: &x [*x]\n").message, HasSubstr("alias"));
  EXPECT_EQ(problem_of("ok: 1\n---\nx: {\n").mark.line >= 3, true);
}

TEST(YamlTree, AliasesWorkButCannotExplode) {
  EXPECT_EQ(value_of("a: &x {n: 1}\nb: *x\nc: [*x, *x]\n"),
            Json::parse(R"({"a":{"n":1},"b":{"n":1},"c":[{"n":1},{"n":1}]})"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int n = 0; n < 9; ++n) laughs += (n ? ", *a" : "*a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(problem_of(laughs).message, testing::HasSubstr("aliases"));
  EXPECT_THAT(problem_of(std::string(200, '[') + std::string(200, ']')).message,
              testing::HasSubstr("nested"));
}

TEST(YamlTree, GarbageNeverCrashes) {
  std::mt19937 random(7);
  constexpr std::string_view kPieces = "a:- \n\t[]{}&*!|>'\"%@#,?0~x";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const auto size = random() % 40;
    for (unsigned i = 0; i < size; ++i) text += kPieces[random() % kPieces.size()];
    for (const auto& root : parse_yaml(text).roots) (void)to_json(*root);
  }
}

}  // namespace
}  // namespace penstock
