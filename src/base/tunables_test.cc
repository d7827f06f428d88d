#include "base/tunables.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Tunables, DefaultsAreInTheirOwnRange) {
  const Tunables standard;
  for (const auto& info : tunable_table()) {
    EXPECT_EQ(standard.*info.member, info.standard) << info.name;
    EXPECT_GE(info.standard, info.lowest) << info.name;
    EXPECT_LE(info.standard, info.highest) << info.name;
  }
}

TEST(Tunables, SetRefusesWhatIsNotLegal) {
  Tunables tunables;
  EXPECT_TRUE(tunables.set("flow_entries=65536"));
  EXPECT_EQ(tunables.flow_entries, 65'536);
  for (const auto* bad : {"flow_entries", "flow_entries=", "flow_entries=12x", "flow_entries=3", "nothing=1"})
    EXPECT_FALSE(tunables.set(bad)) << bad;
  EXPECT_EQ(tunables.flow_entries, 65'536);
}

}  // namespace
}  // namespace penstock
