// Entries of the switch's maps with several claimants, and writes that fail.
#include <gtest/gtest.h>

#include "host/map_mirror.h"
#include "host/sim/fake_kernel.h"

namespace penstock::host {
namespace {

const Bytes kKey{std::byte{1}}, kHere{std::byte{2}}, kThere{std::byte{3}};

struct MapMirrorTest : testing::Test {
  FakeKernel kernel{64 * 64, 4};
  MapMirror mirror{kernel, Map::kEndpoints};
  std::optional<Bytes> held() { return kernel.map_get(Map::kEndpoints, kKey).value(); }

  // A VM moves away: the port gives its entry up, the neighbour's stays.
  void SetUp() override {
    ASSERT_TRUE(mirror.set("60/port/9", {{kKey, kHere}}));
    ASSERT_TRUE(mirror.set("70/nbr/1/9", {{kKey, kThere}}));
    ASSERT_EQ(held(), kHere);
    kernel.faults.calls_until_failure = 0;
    ASSERT_FALSE(mirror.set("60/port/9", {}));
    ASSERT_EQ(held(), kHere);
    kernel.faults.calls_until_failure = -1;
  }
};

TEST_F(MapMirrorTest, AnEntryGivenUpWhileTheMapCouldNotBeWrittenIsWrittenByTheSameCallAgain) {
  ASSERT_TRUE(mirror.set("60/port/9", {}));
  EXPECT_EQ(held(), kThere);
}

TEST_F(MapMirrorTest, TryingInVainCostsNoMoreEachTime) {
  kernel.faults.full.insert(Map::kEndpoints);
  const Bytes other{std::byte{7}};
  for (int i = 0; i < 5; ++i) {
    kernel.faults.calls_until_failure = 100;  // counts down with each call
    EXPECT_FALSE(mirror.set("60/port/8", {{other, kHere}}));
    EXPECT_EQ(kernel.faults.calls_until_failure, 99);
  }
}

TEST_F(MapMirrorTest, SweepTriesAgainWhatFailed) {
  ASSERT_TRUE(mirror.sweep());
  EXPECT_EQ(held(), kThere);
}

}  // namespace
}  // namespace penstock::host
