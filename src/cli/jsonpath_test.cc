#include "cli/jsonpath.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

const Json kList = Json::parse(R"({"items":[
  {"metadata":{"name":"a","labels":{"x.y/z":"1"}},"status":{"host":"h1","conditions":[{"type":"Ready","status":"TRUE"}]}},
  {"metadata":{"name":"b"},"status":{"host":"h2","n":3,"ok":true,"conditions":[{"type":"Other","status":"FALSE"}]}}]})");

std::string render(std::string_view text) {
  const auto parsed = JsonPathTemplate::parse(text);
  return parsed ? parsed->render(kList) : "ERROR " + parsed.error().message;
}

TEST(JsonPath, WhatScriptsUse) {
  EXPECT_EQ(render("{.items[*].metadata.name}"), "a b");
  EXPECT_EQ(render(".items[0].metadata.name"), "a");
  EXPECT_EQ(render("items[-1].status.host"), "h2");
  EXPECT_EQ(render("{$.items[1].status.n},{.items[1].status.ok}"), "3,true");
  EXPECT_EQ(render("{.items[0].metadata.labels['x.y/z']}"), "1");
  EXPECT_EQ(render("{range .items[*]}{.metadata.name}={.status.host}{\"\\n\"}{end}"),
            "a=h1\nb=h2\n");
  EXPECT_EQ(render("{.items[?(@.status.host==\"h2\")].metadata.name}"), "b");
  EXPECT_EQ(render("{.items[?(@.metadata.name!='a')].metadata.name}"), "b");
  EXPECT_EQ(render("{.items[0].status.conditions[?(@.type==\"Ready\")].status}"), "TRUE");
  EXPECT_EQ(render("{.items[9].x}{.nothing.at.all}"), "");
  EXPECT_EQ(render("{.items[0].metadata.labels}"), R"({"x.y/z":"1"})");
  EXPECT_EQ(render("a\\tb{.items[0].metadata.name}"), "a\tba");
}

TEST(JsonPath, RefusesWithWhy) {
  for (const auto* bad : {"", "{.a", "{range .a}", "{end}", "{.a[}", "{.a[x]}", "{..a}",
                          "{.a[?(@.x)]}", "{.a[?(x==1)]}"}) {
    EXPECT_FALSE(JsonPathTemplate::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace penstock::cli
