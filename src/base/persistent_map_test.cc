#include "base/persistent_map.h"

#include <cmath>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "base/sim_runtime.h"

namespace penstock {
namespace {

TEST(PersistentMap, OldVersionsStayAsTheyWere) {
  const PersistentMap<int, int> empty;
  const auto one = empty.set(1, 10);
  const auto two = one.set(1, 20).set(2, 30);
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(*one.find(1), 10);
  EXPECT_EQ(*two.find(1), 20);
  EXPECT_EQ(two.erase(1).size(), 1u);
  EXPECT_EQ(two.size(), 2u);
}

TEST(PersistentMap, AgreesWithStdMapUnderRandomEdits) {
  SimRandom random(7);
  PersistentMap<std::uint64_t, std::uint64_t> map;
  std::map<std::uint64_t, std::uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto key = random.below(500);
    if (random.chance(0.4)) {
      map = map.erase(key);
      model.erase(key);
    } else {
      map = map.set(key, i);
      model[key] = i;
    }
    ASSERT_EQ(map.size(), model.size());
  }
  using Pairs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  Pairs seen;
  map.each([&](auto key, auto value) { seen.emplace_back(key, value); });
  EXPECT_EQ(seen, Pairs(model.begin(), model.end()));
  seen.clear();
  map.each_from(250u, [&](auto key, auto value) { seen.emplace_back(key, value); });
  EXPECT_EQ(seen, Pairs(model.lower_bound(250), model.end()));
  for (std::uint64_t key = 0; key <= 500; key += 25)
    EXPECT_EQ(map.rank(key),
              static_cast<std::size_t>(std::distance(model.begin(), model.lower_bound(key))));
}

TEST(PersistentMap, MadeOfSortedEntriesIsAsIfPutInOneByOne) {
  for (int size = 0; size < 70; ++size) {
    std::vector<std::pair<int, int>> entries;
    for (int i = 0; i < size; ++i) entries.emplace_back(2 * i, i);
    auto map = PersistentMap<int, int>::from_sorted(entries);
    ASSERT_EQ(map.size(), entries.size());
    // Edits afterwards rely on the heights being right.
    for (int i = 0; i < size; ++i) map = map.set(2 * i + 1, -i);
    for (int i = 0; i < size; i += 2) map = map.erase(2 * i);
    std::vector<std::pair<int, int>> seen, want;
    map.each([&](int key, int value) { seen.emplace_back(key, value); });
    for (int i = 0; i < size; ++i) {
      if (i % 2) want.emplace_back(2 * i, i);
      want.emplace_back(2 * i + 1, -i);
    }
    ASSERT_EQ(seen, want);
    for (const auto& [key, value] : want) ASSERT_TRUE(map.contains(key));
  }
}

}  // namespace
}  // namespace penstock
