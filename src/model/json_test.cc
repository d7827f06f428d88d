#include "model/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/schema.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

std::vector<ErrorDetail> errors(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return {{"", json.error().message, ""}};
  const auto object = decode_object(*json);
  return object ? std::vector<ErrorDetail>{} : object.error().details;
}

TEST(Json, NamesAllErrorsAtOnceWithTheirPaths) {
  const auto all = errors(R"({"kind": "VirtualMachine", "metadata": {"name": "a", "lables": {}},
    "spec": {"power": "RUNING", "nics": [{"name": "eth0", "network": 7}, {"name": "eth1", "network": "n", "macc": "x"}],
             "placement": "h1", "owner": ["x"]}, "spce": {}})");
  ASSERT_EQ(all.size(), 7u) << "what is there but wrong is not missing as well";
  EXPECT_EQ(all[0].field, "metadata.lables");
  EXPECT_EQ(all[0].hint, "did you mean \"labels\"?");
  EXPECT_EQ(all[1].field, "spec.power");
  EXPECT_THAT(all[1].message, HasSubstr("RUNNING, STOPPED"));
  EXPECT_EQ(all[2].field, "spec.nics[0].network");
  EXPECT_EQ(all[3].field, "spec.nics[1].macc");
  EXPECT_EQ(all[4].field, "spec.placement");
  EXPECT_EQ(all[5].field, "spec.owner");
  EXPECT_EQ(all[6].field, "spce");
}

TEST(Json, RefusesWhatProtobufWouldLetPass) {
  EXPECT_THAT(errors(R"({"kind": "Tenant", "kind": "Tenant"})")[0].message, HasSubstr("twice"));
  EXPECT_THAT(errors("{\"kind\":\n  nope}")[0].message, HasSubstr("line 2, column"));
  EXPECT_THAT(errors(std::string(100, '['))[0].message, HasSubstr("deeper"));
  EXPECT_THAT(errors("{\"kind\": \"Tenant\", \"metadata\": {\"name\": \"\xff\"}}")[0].message,
              HasSubstr("syntax"));
  EXPECT_THAT(
      errors(
          R"({"kind": "VirtualNetwork", "metadata": {"name": "a"}, "spec": {"vni": 4294967296}})")
          [0]
              .message,
      HasSubstr("out of range"));
  EXPECT_THAT(
      errors(R"({"kind": "VirtualNetwork", "metadata": {"name": "a"}, "spec": {"vni": 1.5}})")[0]
          .message,
      HasSubstr("whole number"));
  EXPECT_EQ(
      errors(
          R"({"kind": "Enablement", "metadata": {"name": "a"}, "spec": {"profile": "p", "vm": "a", "pool": "b"}})")
          .size(),
      1u);
  EXPECT_EQ(
      errors(
          R"({"kind": "Tenant", "metadata": {"name": "a"}, "spec": {"displayName": "a", "display_name": "b"}})")
          .size(),
      1u);
}

TEST(Json, WhatIsPrintedReadsBack) {
  const auto text =
      R"({"kind":"VirtualNetwork","metadata":{"name":"a","tenant":"t","labels":{"x":"1","y":"2"}},"spec":{"vni":5,"subnets":[{"cidr":"10.0.0.0/8"}]}})";
  const auto object = decode_object(*parse_json(text));
  ASSERT_TRUE(object) << object.error().text();
  EXPECT_EQ(encode_text(**object), text);
  // snake_case, enum in small letters, numbers as strings; what the server sets is read over.
  const auto same = decode_object(*parse_json(
      R"({"kind": "net", "metadata": {"name": "a", "tenant": "t", "labels": {"y": "2", "x": "1"}, "uid": "z"},
          "spec": {"vni": "5", "subnets": [{"cidr": "10.0.0.0/8"}]}, "status": {"mtu": 7}})"));
  ASSERT_TRUE(same) << same.error().text();
  EXPECT_EQ(serialize(**same), serialize(**object));
}

TEST(Json, SecretsStayInside) {
  v1::Token token;
  token.mutable_metadata()->set_name("t");
  token.mutable_spec()->set_sha256("abc");
  token.mutable_status()->set_secret("s3cret");
  EXPECT_EQ(encode_text(token).find("s3cret"), std::string::npos);
  EXPECT_EQ(encode_text(token).find("abc"), std::string::npos);
  EXPECT_NE(encode_text(token, {.with_secrets = true}).find("s3cret"), std::string::npos);
}

google::protobuf::Struct schema_of(std::string_view text) {
  google::protobuf::Struct out;
  Problems problems;
  decode(*parse_json(text), out, problems);
  return out;
}

TEST(Schema, RefusesKeywordsItDoesNotEnforce) {
  Problems problems;
  Schema::parse(
      schema_of(
          R"({"properties": {"a": {"type": "string", "$ref": "http://x"}, "b": {"type": "strin"},
    "c": {"type": "integer", "minLength": 1}, "d": {"type": "string", "oneOf": []}, "e": {"type": "string", "pattern": "("}},
    "required": ["zz"]})"),
      problems, "p");
  ASSERT_EQ(problems.size(), 6u);
}

TEST(Schema, ChecksValues) {
  Problems problems;
  const auto schema = Schema::parse(schema_of(R"({"properties": {
      "n": {"type": "integer", "minimum": 1, "maximum": 9}, "s": {"type": "string", "pattern": "^a", "maxLength": 3},
      "l": {"type": "array", "items": {"type": "string", "format": "cidr"}, "minItems": 1}, "d": {"type": "boolean", "default": true}},
      "required": ["n"]})"),
                                    problems, "p");
  ASSERT_FALSE(problems.any()) << problems.details()[0].message;
  EXPECT_EQ(schema.defaults().dump(), R"({"d":true})");
  schema.check(*parse_json(R"({"n": 1.0, "s": "abc", "l": ["10.0.0.0/8"]})"), problems, "v", true);
  EXPECT_FALSE(problems.any());
  schema.check(*parse_json(R"({"n": 10, "s": "bbbb", "l": [], "x": 1})"), problems, "v", true);
  EXPECT_EQ(problems.size(), 5u);
  Problems missing;
  schema.check(*parse_json("{}"), missing, "v", true);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing.details()[0].field, "v.n");
}

TEST(Placeholders, TakeListsTextAndNumbers) {
  v1::FilterConfig config;
  auto& rule = *config.add_rules();
  rule.set_name("allow-${n}");
  rule.add_ports("${ports}");
  rule.add_ports("${n}");
  rule.add_from()->set_cidr("${nets}");
  Problems problems;
  Origins origins;
  substitute(
      config,
      *parse_json(R"({"n": 443, "ports": ["1-2", "3"], "nets": ["10.0.0.0/8", "192.0.2.0/24"]})"),
      problems, "f", &origins);
  ASSERT_FALSE(problems.any()) << problems.details()[0].message;
  EXPECT_EQ(config.rules(0).name(), "allow-443");
  EXPECT_THAT(config.rules(0).ports(), ::testing::ElementsAre("1-2", "3", "443"));
  EXPECT_EQ(config.rules(0).from_size(), 2);
  EXPECT_EQ(origins.at("f.rules[0].from[1].cidr"), "nets");
}

TEST(Placeholders, AnEmptyListNeverBecomesAny) {
  for (const char* values : {R"({"nets": []})", R"({})", R"({"nets": {"a": 1}})"}) {
    v1::FilterConfig config;
    config.add_rules()->add_from()->set_cidr("${nets}");
    Problems problems;
    substitute(config, *parse_json(values), problems, "f");
    EXPECT_TRUE(problems.any()) << values;
  }
}

}  // namespace
}  // namespace penstock
