#include "host/intent.h"

#include <gtest/gtest.h>

namespace penstock::host {
namespace {

using Kind = Acceptance::Kind;

v1::IntentItem group_item(std::uint32_t id, const std::string& text) {
  v1::IntentItem item;
  item.set_key(group_key(id));
  item.mutable_group()->set_id(id);
  item.mutable_group()->set_text(text);
  return item;
}

v1::ServerMessage at(const std::string& incarnation, std::int64_t revision, std::int64_t epoch) {
  v1::ServerMessage message;
  message.mutable_position()->set_incarnation(incarnation);
  message.mutable_position()->set_revision(revision);
  message.mutable_position()->set_epoch(epoch);
  return message;
}
v1::ServerMessage full(const std::string& incarnation, std::int64_t revision, std::int64_t epoch,
                       std::vector<v1::IntentItem> items, bool new_incarnation = false) {
  auto message = at(incarnation, revision, epoch);
  message.mutable_full()->set_new_incarnation(new_incarnation);
  for (auto& item : items) *message.mutable_full()->add_items() = item;
  return message;
}
v1::ServerMessage delta(std::int64_t previous, std::int64_t revision,
                        std::vector<v1::IntentItem> put, std::vector<std::string> remove = {},
                        std::int64_t epoch = 1) {
  auto message = at("A", revision, epoch);
  message.mutable_delta()->set_previous_revision(previous);
  for (auto& item : put) *message.mutable_delta()->add_put() = item;
  for (auto& key : remove) message.mutable_delta()->add_remove(key);
  return message;
}

Intent holding(std::int64_t revision, std::int64_t epoch = 1) {
  Intent intent;
  const auto taken =
      accept(intent, full("A", revision, epoch, {group_item(1, "one"), group_item(2, "two")}));
  EXPECT_EQ(taken.kind, Kind::kTaken);
  return intent;
}

TEST(Accept, AFreshHostTakesFullAndAsksForItOnDelta) {
  Intent intent;
  EXPECT_EQ(accept(intent, delta(0, 1, {})).kind, Kind::kNeedFull);
  const auto taken = accept(intent, full("A", 5, 1, {group_item(1, "one"), group_item(2, "two")}));
  EXPECT_EQ(taken.kind, Kind::kTaken);
  EXPECT_EQ(taken.changed, (std::vector<std::string>{"30/group/1", "30/group/2"}));
  EXPECT_EQ(intent.position(), (Position{"A", 5, 1}));
}

TEST(Accept, ADeltaChangesOnlyWhatItNames) {
  auto intent = holding(5);
  const auto taken = accept(intent, delta(5, 6, {group_item(1, "one"), group_item(3, "three")},
                                          {"30/group/2", "30/group/9"}));
  EXPECT_EQ(taken.kind, Kind::kTaken);
  EXPECT_EQ(taken.changed, (std::vector<std::string>{"30/group/2", "30/group/3"}));
  EXPECT_EQ(intent.items().size(), 2u);
  EXPECT_EQ(intent.group(3)->text(), "three");
}

TEST(Accept, FullDropsWhatItDoesNotName) {
  auto intent = holding(5);
  EXPECT_EQ(accept(intent, full("A", 5, 1, {group_item(2, "two")})).changed,
            std::vector<std::string>{"30/group/1"});
}

TEST(Accept, RefusesWhatIsOlder) {
  auto intent = holding(5, 3);
  const auto before = intent.digest();
  for (const auto& message : {full("A", 4, 3, {}), full("A", 9, 2, {}), delta(5, 6, {}, {}, 2),
                              delta(3, 4, {}, {}, 3), delta(4, 5, {group_item(9, "again")}, {}, 3)})
    EXPECT_EQ(accept(intent, message).kind, Kind::kRefused) << message.ShortDebugString();
  EXPECT_EQ(intent.digest(), before);
  EXPECT_EQ(intent.position(), (Position{"A", 5, 3}));
}

TEST(Accept, AskForFullAfterAGap) {
  auto intent = holding(5);
  EXPECT_EQ(accept(intent, delta(6, 7, {})).kind, Kind::kNeedFull);
  EXPECT_EQ(intent.position().revision, 5);
}

TEST(Accept, AnotherStoreOnlyByFullThatSaysSo) {
  auto intent = holding(5, 7);
  EXPECT_EQ(accept(intent, full("B", 99, 9, {})).kind, Kind::kRefused);
  auto foreign_delta = delta(5, 6, {});
  foreign_delta.mutable_position()->set_incarnation("B");
  EXPECT_EQ(accept(intent, foreign_delta).kind, Kind::kRefused);
  EXPECT_EQ(accept(intent, full("B", 1, 1, {group_item(1, "one")}, true)).kind, Kind::kTaken);
  EXPECT_EQ(intent.position(), (Position{"B", 1, 1}));
  EXPECT_EQ(intent.items().size(), 1u);
}

TEST(Accept, RefusesMalformedMessages) {
  auto intent = holding(5);
  EXPECT_EQ(accept(intent, full("", 9, 1, {})).kind, Kind::kRefused);
  EXPECT_EQ(accept(intent, full("A", 9, 1, {group_item(2, ""), group_item(1, "")})).kind,
            Kind::kRefused);
  EXPECT_EQ(accept(intent, full("A", 9, 1, {group_item(2, ""), group_item(2, "")})).kind,
            Kind::kRefused);
  EXPECT_EQ(accept(intent, at("A", 9, 1)).kind, Kind::kNothing);
}

TEST(Intent, SurvivesItsFileForm) {
  const auto intent = holding(5, 3);
  const auto file = intent.serialize();
  const auto again = Intent::parse(file);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->position(), intent.position());
  EXPECT_EQ(again->digest(), intent.digest());
}

TEST(Intent, RefusesADamagedFile) {
  const auto file = holding(5).serialize();
  EXPECT_FALSE(Intent::parse(""));
  EXPECT_FALSE(Intent::parse(file.substr(0, file.size() - 1)));
  for (std::size_t at = 0; at < file.size(); at += 7) {
    auto damaged = file;
    damaged[at] ^= 1;
    EXPECT_FALSE(Intent::parse(damaged)) << "byte " << at;
  }
}

TEST(Intent, AnItemOfAnotherKindThanItsKeyIsNotFound) {
  auto wrong = group_item(1, "x");
  wrong.set_key("60/port/1");
  Intent intent;
  accept(intent, full("A", 1, 1, {wrong}));
  EXPECT_EQ(intent.port(1), nullptr);
}

}  // namespace
}  // namespace penstock::host
