// A store that was put back from a backup while hosts hold later states.
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;

TEST(Restore, HostsAheadAreLeftAloneUntilTheStoreBeginsANewLife) {
  World world;
  world.furnish();
  const auto backup = world.disk;
  world.add_vm("web-2", "h1");
  World::must(world.enable("web-1"));
  world.run_for(std::chrono::milliseconds(100));
  auto& h1 = *world.hosts["h1"];
  const auto held = h1.holds.digest();
  const auto position = h1.position;

  world.crash();
  world.disk = backup;
  world.boot();
  ASSERT_TRUE(world.ok);
  for (int tries = 0; tries < 3; ++tries) {
    h1.connect();
    world.run_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(h1.last().has_refused());
    EXPECT_EQ(h1.holds.digest(), held) << "it goes on with what it has";
  }
  EXPECT_NE(h1.last().refused().message().find("was it restored from a backup"), std::string::npos)
      << h1.last().refused().message();
  const auto status =
      World::must(world.call<v1::StatusResponse, const v1::StatusRequest&>(&Api::status, {}));
  const auto says = [&](const std::string& text) {
    return std::ranges::any_of(status.problems(), [&](const auto& problem) {
      return problem.find(text) != std::string::npos;
    });
  };
  EXPECT_TRUE(says(fmt::format("host h1 holds revision {}", position.revision())));
  EXPECT_TRUE(says("start penstockd once with --restored"));
  const auto host = World::must(world.get("Host", "", "h1")).host();
  EXPECT_EQ(host.status().conditions(0).reason(), "AheadOfStore");

  world.crash();
  world.disk.begin_life("life-2");
  world.boot();
  ASSERT_TRUE(world.ok);
  h1.connect();
  world.run_for(std::chrono::milliseconds(100));
  ASSERT_TRUE(h1.last().has_full()) << h1.last().ShortDebugString();
  EXPECT_TRUE(h1.last().full().new_incarnation());
  EXPECT_EQ(h1.position.incarnation(), "life-2");
  EXPECT_FALSE(h1.holds.items.contains("50/vm/acme/web-2")) << "the backup did not have it";
  World::must(world.enable("web-1"));
  world.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(World::must(world.get("Host", "", "h1")).host().status().conditions(0).reason(),
            "Connected");
}

TEST(Restore, AStoreThatHasGrownPastTheHostIsComparedByContent) {
  World world;
  world.furnish();
  const auto backup = world.disk;
  World::must(world.enable("web-1"));
  world.run_for(std::chrono::milliseconds(100));
  auto& h1 = *world.hosts["h1"];
  world.crash();
  world.disk = backup;
  world.boot();
  for (int i = 0; i < 20; ++i)
    World::must(world.put(fmt::format(R"({{"kind":"Tenant","metadata":{{"name":"t{}"}}}})", i)));
  h1.connect();
  world.run_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(h1.last().has_full()) << "same life, later revision, other content";
  for (const auto& [key, bytes] : h1.holds.items)
    if (key.starts_with("60/port/")) {
      EXPECT_EQ(parse_item(*bytes).port().steps_size(), 0);
    }
}

}  // namespace
}  // namespace penstock
