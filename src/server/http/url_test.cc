#include "server/http/url.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Url, TakesPathAndQueryApart) {
  const auto url = Url::parse("/v1/tenants/acme/vms/web-1?wait=applied&deadline=10s&x=a%20b+c");
  ASSERT_TRUE(url) << url.error().text();
  EXPECT_EQ(url->segments, (std::vector<std::string>{"v1", "tenants", "acme", "vms", "web-1"}));
  EXPECT_EQ(url->parameter("deadline"), "10s");
  EXPECT_EQ(url->parameter("x"), "a b c");
  EXPECT_EQ(url->parameter("y"), std::nullopt);
}

TEST(Url, UnescapesAtTheVeryEnd) {
  EXPECT_EQ(Url::parse("/a%2Fb")->segments, std::vector<std::string>{"a/b"});
  EXPECT_EQ(Url::parse("/?a=%41")->parameter("a"), "A");
}

TEST(Url, RefusesWhatIsNoUrl) {
  for (const auto* target : {"", "v1", "*", "/%", "/%4", "/%zz", "/%00", "/a?b=%1", "/\x01"})
    EXPECT_FALSE(Url::parse(target)) << target;
}

}  // namespace
}  // namespace penstock
