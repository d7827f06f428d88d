#include "host/arena.h"

#include <gtest/gtest.h>

#include "base/sim_runtime.h"
#include "host/sim/fake_kernel.h"

namespace penstock::host {
namespace {

Bytes content(std::size_t lines, int fill) {
  return Bytes(lines * Arena::kLineBytes, static_cast<std::byte>(fill));
}

struct ArenaTest : testing::Test {
  FakeKernel kernel{64 * Arena::kLineBytes, 4};
  Arena arena{kernel};
  std::uint32_t hold(std::size_t lines, int fill) {
    return arena.hold(content(lines, fill), "x").value();
  }
};

TEST_F(ArenaTest, NeverGivesOutLineZeroAndSharesEqualContent) {
  const auto a = hold(3, 1);
  EXPECT_GT(a, 0u);
  EXPECT_EQ(hold(3, 1), a);
  EXPECT_NE(hold(3, 2), a);
  EXPECT_EQ(arena.lines_held(), 6u);
}

TEST_F(ArenaTest, ReleasedBytesStayUntilReclaim) {
  const auto a = hold(3, 1);
  arena.release(a);
  EXPECT_EQ(arena.lines_released(), 3u);
  EXPECT_EQ(arena.bytes(a, 3)[0], std::byte{1});
  EXPECT_NE(hold(3, 2), a) << "a program may still read it";
  EXPECT_EQ(hold(3, 1), a) << "the same content is still there";
  EXPECT_EQ(kernel.calls.synchronizes, 0);
}

TEST_F(ArenaTest, ReclaimWaitsForTheProgramsThenFrees) {
  const auto a = hold(40, 1);
  arena.release(a);
  EXPECT_EQ(hold(30, 2), a) << "no other room: reclaimed on demand";
  EXPECT_EQ(kernel.calls.synchronizes, 1);
  EXPECT_EQ(arena.lines_released(), 0u);
}

TEST_F(ArenaTest, FullNamesTheItemAndTheSizes) {
  hold(40, 1);
  const auto refused = arena.hold(content(30, 2), "policy 7 (web, level gold)");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("policy 7 (web, level gold)"), std::string::npos);
  EXPECT_NE(refused.error().message.find("it needs 2 KiB, of 4 KiB"), std::string::npos)
      << refused.error().message;
}

TEST_F(ArenaTest, FreeNeighboursMerge) {
  const auto a = hold(20, 1), b = hold(20, 2), c = hold(23, 3);
  for (const auto line : {a, c, b}) arena.release(line);
  ASSERT_TRUE(arena.reclaim());
  EXPECT_TRUE(arena.hold(content(63, 4), "all of it"));
}

TEST_F(ArenaTest, AdoptedPlacesAreKeptForWhoWantsTheirContentAndFreedOtherwise) {
  const auto a = hold(5, 1), b = hold(5, 2);
  Arena again(kernel);
  EXPECT_TRUE(again.adopt(a, 5));
  EXPECT_TRUE(again.adopt(b, 5));
  EXPECT_TRUE(again.adopt(b, 5)) << "two ports may share a list";
  EXPECT_EQ(again.hold(content(5, 1), "x"), a);
  ASSERT_TRUE(again.reclaim());
  EXPECT_EQ(again.lines_held(), 5u);
  EXPECT_EQ(again.hold(content(5, 9), "x"), b);
}

TEST_F(ArenaTest, AdoptRefusesNonsense) {
  EXPECT_FALSE(arena.adopt(0, 1));
  EXPECT_FALSE(arena.adopt(60, 10));
  EXPECT_FALSE(arena.adopt(1'000'000, 1));
  EXPECT_FALSE(arena.adopt(2, 0xffffffff));
  EXPECT_TRUE(arena.adopt(10, 10));
  EXPECT_FALSE(arena.adopt(15, 10));
  EXPECT_FALSE(arena.adopt(5, 6));
  EXPECT_FALSE(arena.adopt(10, 3));
}

TEST_F(ArenaTest, RandomUseNeverOverlapsAndGivesEverythingBack) {
  SimRandom random(7);
  std::map<std::uint32_t, Bytes> held;
  for (int round = 0; round < 3000; ++round) {
    if (random.chance(0.5) && !held.empty()) {
      auto victim = std::next(held.begin(), static_cast<std::ptrdiff_t>(random.below(held.size())));
      arena.release(victim->first);
      held.erase(victim);
    } else {
      Bytes bytes(Arena::kLineBytes * (1 + random.below(9)));
      for (auto& byte : bytes) byte = static_cast<std::byte>(random.next());
      if (const auto line = arena.hold(bytes, "x")) held[*line] = std::move(bytes);
    }
    for (const auto& [line, bytes] : held)
      ASSERT_TRUE(std::ranges::equal(arena.bytes(line, bytes.size() / 64), bytes))
          << "round " << round;
  }
  for (const auto& [line, bytes] : held) arena.release(line);
  ASSERT_TRUE(arena.reclaim());
  EXPECT_TRUE(arena.hold(content(63, 4), "all of it"));
}

}  // namespace
}  // namespace penstock::host
