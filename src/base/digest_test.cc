#include "base/digest.h"

#include <gtest/gtest.h>

#include "base/sim_runtime.h"

namespace penstock {
namespace {

TEST(SetDigest, IsTheSameInWhateverOrderAndForgetsWhatIsRemoved) {
  SimRandom random(7);
  std::vector<Digest> members(200);
  for (auto& member : members) member = digest(std::to_string(random.below(1u << 30)));
  SetDigest forwards, backwards, half;
  for (const auto& member : members) forwards.add(member);
  for (auto it = members.rbegin(); it != members.rend(); ++it) backwards.add(*it);
  EXPECT_EQ(forwards, backwards);
  for (std::size_t i = 0; i < members.size(); i += 2) {
    half.add(members[i]);
    backwards.remove(members[i + 1]);
  }
  EXPECT_EQ(half, backwards);
  EXPECT_NE(half.text(), forwards.text());
  SetDigest difference;
  for (std::size_t i = 0; i < members.size(); i += 2) {
    difference.remove(members[i]);
    difference.add(members[i + 1]);
  }
  half.add(difference);
  half.remove(members[1]);
  EXPECT_NE(half, SetDigest{});
  for (std::size_t i = 3; i < members.size(); i += 2) half.remove(members[i]);
  EXPECT_EQ(half.text(), std::string(64, '0')) << "nothing is left, borrows and carries included";
}

TEST(SetDigest, IsTheSumInHex) {
  Digest ones, one;
  ones.bytes.fill(0xff);
  one.bytes[0] = 1;
  SetDigest sum;
  sum.add(one);
  EXPECT_EQ(sum.text(), std::string(63, '0') + "1") << "the first byte is the lowest";
  sum.add(ones);
  EXPECT_EQ(sum, SetDigest{}) << "modulo 2^256";
}

}  // namespace
}  // namespace penstock
