#include "server/session_protocol.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

v1::Position at(const char* incarnation, std::int64_t revision, std::int64_t epoch) {
  v1::Position position;
  position.set_incarnation(incarnation);
  position.set_revision(revision);
  position.set_epoch(epoch);
  return position;
}
HelloVerdict hello(v1::Position position, const char* digest) {
  v1::Hello hello;
  *hello.mutable_position() = std::move(position);
  hello.set_digest(digest);
  return judge_hello(hello, at("life", 100, 3), "good");
}
AckVerdict ack(v1::Position position) {
  return judge_ack(position, at("life", 100, 3), 90, 80);
}

TEST(JudgeHello, EveryCase) {
  EXPECT_EQ(hello({}, ""), HelloVerdict::kFull);
  EXPECT_EQ(hello(at("life", 90, 3), "good"), HelloVerdict::kPositionOnly);
  EXPECT_EQ(hello(at("life", 100, 2), "good"), HelloVerdict::kPositionOnly);
  EXPECT_EQ(hello(at("life", 90, 3), "other"), HelloVerdict::kFull);
  EXPECT_EQ(hello(at("before", 90, 3), "good"), HelloVerdict::kNewIncarnation);
  EXPECT_EQ(hello(at("before", 90, 9), "good"), HelloVerdict::kNewIncarnation);
  EXPECT_EQ(hello(at("life", 101, 3), "good"), HelloVerdict::kStoreIsBehind);
  EXPECT_EQ(hello(at("life", 90, 4), "good"), HelloVerdict::kServerIsStale);
}

TEST(JudgeAck, EveryCase) {
  EXPECT_EQ(ack(at("life", 90, 3)), AckVerdict::kTake);
  EXPECT_EQ(ack(at("life", 80, 3)), AckVerdict::kTake);  // its unready items changed by themselves
  EXPECT_EQ(ack(at("life", 79, 3)), AckVerdict::kStale);
  EXPECT_EQ(ack(at("life", 90, 2)), AckVerdict::kStale);
  EXPECT_EQ(ack(at("life", 91, 3)), AckVerdict::kForeign);
  EXPECT_EQ(ack(at("life", 90, 4)), AckVerdict::kForeign);
  EXPECT_EQ(ack(at("before", 90, 3)), AckVerdict::kForeign);
}

}  // namespace
}  // namespace penstock
