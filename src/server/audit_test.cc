#include "server/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::World;

struct AuditTest : ::testing::Test {
  AuditTest() {
    world.furnish();
    for (const auto& [user, role] :
         {std::pair{"root-acme", "TENANT_ADMINISTRATOR"}, {"ann", "VM_OWNER"}})
      World::must(world.put(fmt::format(
          R"({{"kind":"User","metadata":{{"name":"{}"}},"spec":{{"roles":[{{"role":"{}","tenant":"acme"}}]}}}})",
          user, role)));
    for (const auto* user : {"root-acme", "ann"}) secrets[user] = world.token_for_user(user);
    world.audit_paper.records.clear();
  }
  // On paper since the test began: "user action kind/name OUTCOME".
  std::vector<std::string> paper() const {
    std::vector<std::string> lines;
    for (const auto& record : world.audit_paper.records)
      lines.push_back(fmt::format("{} {} {}/{} {}", record->user(), record->action(),
                                  record->object().kind(), record->object().name(),
                                  v1::AuditRecord::Outcome_Name(record->outcome())));
    return lines;
  }
  std::vector<v1::AuditRecord> listed(const std::string& user, const std::string& selector = "") {
    v1::ListRequest request;
    request.set_kind("audit");
    request.set_label_selector(selector);
    const auto list = World::must(world.call<v1::ListResponse, const v1::ListRequest&>(
        &Api::list, request, user == "admin" ? world.admin : secrets.at(user)));
    std::vector<v1::AuditRecord> records;
    for (const auto& item : list.items()) records.push_back(item.audit_record());
    return records;
  }
  World world;
  std::map<std::string, std::string> secrets;
};

const std::string kGreen =
    R"({"kind":"VirtualNetwork","metadata":{"name":"green","tenant":"acme"},
        "spec":{"subnets":[{"cidr":"10.9.0.0/16"}]}})";

TEST_F(AuditTest, WhatWasDoneIsOnPaperWhenItIsAnswered) {
  world.audit_paper.write_time = std::chrono::milliseconds(50);
  World::must(world.put(kGreen));
  EXPECT_THAT(paper(), ElementsAre("admin create VirtualNetwork/green ALLOWED"));
  const auto& record = *world.audit_paper.records[0];
  EXPECT_EQ(record.revision(), world.server->engine().head().revision());
  EXPECT_EQ(record.object().tenant(), "acme");
  EXPECT_GT(record.time().seconds(), 0);

  World::must(world.enable("web-1"));
  World::must(world.erase("VirtualNetwork", "acme", "green"));
  EXPECT_THAT(paper(), ElementsAre("admin create VirtualNetwork/green ALLOWED",
                                   "admin enable Enablement/office-web-1 ALLOWED",
                                   "admin delete VirtualNetwork/green ALLOWED"));
}

TEST_F(AuditTest, AnUpdateNamesFieldsAndNeverValues) {
  World::must(world.put(kGreen));
  World::must(world.put(
      R"({"kind":"VirtualNetwork","metadata":{"name":"green","tenant":"acme","labels":{"k":"hush"}},
          "spec":{"mtu":1300,"subnets":[{"cidr":"10.9.0.0/16"}]}})"));
  const auto& record = *world.audit_paper.records.at(1);
  EXPECT_EQ(record.action(), "update");
  EXPECT_THAT(record.changed(), ::testing::UnorderedElementsAre("metadata.labels", "spec.mtu"));
  EXPECT_THAT(encode_text(record), Not(HasSubstr("hush")));
  // Twice the same: it was asked for, there was nothing to do.
  World::must(world.put(kGreen, {}, {}));
  World::must(world.put(kGreen, {}, {}));
  EXPECT_EQ(world.audit_paper.records.back()->message(), "nothing to do");
}

TEST_F(AuditTest, SecretsAreNotInIt) {
  world.token_for_user("ann");
  const auto made =
      world.put(R"({"kind":"Token","metadata":{"name":"another"},"spec":{"user":"ann"}})");
  const auto secret = World::secret_of(made);
  for (const auto& record : world.audit_paper.records) {
    EXPECT_THAT(encode_text(*record), Not(HasSubstr(secret)));
    EXPECT_THAT(encode_text(*record), Not(HasSubstr("sha256")));
  }
}

TEST_F(AuditTest, WhatIsNotAllowedAndWhatFails) {
  EXPECT_FALSE(world.put(kGreen, secrets["ann"]));
  EXPECT_FALSE(world.erase("VirtualNetwork", "acme", "blue"));  // in use
  EXPECT_FALSE(world.erase("Host", "", "h1", false, secrets["ann"]));
  EXPECT_FALSE(
      world.put(R"({"kind":"VirtualNetwork","metadata":{"name":"Bad Name","tenant":"acme"}})"));
  EXPECT_THAT(paper(), ElementsAre("ann create VirtualNetwork/green DENIED",
                                   "admin delete VirtualNetwork/blue FAILED",
                                   "ann delete Host/h1 DENIED",  // to her it does not exist
                                   "admin create VirtualNetwork/Bad Name FAILED"));
  EXPECT_EQ(world.audit_paper.records[0]->code(), "permission_denied");
  EXPECT_EQ(world.audit_paper.records[3]->message(), "wrong: metadata.name");
}

TEST_F(AuditTest, ABatchIsOneRecordAnItem) {
  v1::BatchRequest request;
  *request.add_items()->mutable_put() = World::object(kGreen);
  auto& gone = *request.add_items()->mutable_delete_();
  gone.set_kind("VirtualMachine");
  gone.set_tenant("acme");
  gone.set_name("nobody");
  World::must(world.call(&Api::batch, request));
  EXPECT_THAT(paper(), ElementsAre("admin create VirtualNetwork/green ALLOWED",
                                   "admin delete VirtualMachine/nobody FAILED"));
}

TEST_F(AuditTest, ACascadeNamesWhatWentWithIt) {
  World::must(world.erase("VirtualNetwork", "acme", "blue", true));
  EXPECT_THAT(paper(),
              ::testing::UnorderedElementsAre("admin delete VirtualNetwork/blue ALLOWED",
                                              "admin delete VirtualMachine/web-1 ALLOWED"));
}

TEST_F(AuditTest, ADryRunSaysThatItIsOne) {
  v1::WriteOptions options;
  options.set_dry_run(true);
  World::must(world.put(kGreen, {}, options));
  ASSERT_THAT(paper(), ElementsAre("admin create VirtualNetwork/green ALLOWED"));
  EXPECT_TRUE(world.audit_paper.records[0]->dry_run());
  EXPECT_EQ(world.audit_paper.records[0]->revision(), 0);
}

TEST_F(AuditTest, BadTokensAreNotedOnceASecondAndClient) {
  for (int i = 0; i < 500; ++i) {
    v1::GetRequest request;
    request.set_kind("Tenant");
    request.set_name("acme");
    world.server->api().get(Caller("wrong", "192.0.2.77"), request, [](Result<v1::Object>) {});
  }
  world.run_for(std::chrono::seconds(2));
  ASSERT_THAT(paper(), ElementsAre("anonymous login / DENIED", "anonymous login / DENIED"));
  EXPECT_EQ(world.audit_paper.records[0]->client(), "192.0.2.77");
  EXPECT_THAT(world.audit_paper.records[1]->message(), HasSubstr("499 times more"));
}

TEST_F(AuditTest, ARefusedHostSessionIsNoted) {
  testing::FakeHost stranger(world.server->sessions(), "h1", "wrong");
  stranger.connect();
  world.run_for(std::chrono::milliseconds(10));
  EXPECT_THAT(paper(), ElementsAre("host:h1 login Host/h1 DENIED"));
}

TEST_F(AuditTest, EachSeesWhatIsTheirs) {
  EXPECT_FALSE(world.put(kGreen, secrets["ann"]));
  World::must(world.put(kGreen));
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"other"}})"));
  EXPECT_EQ(listed("admin", "outcome=DENIED").size(), 1u);
  EXPECT_EQ(listed("admin", "object=other").size(), 1u);
  // Of the tenant: all, but not what was answered to others.
  const auto tenants = listed("root-acme", "object=green");
  ASSERT_EQ(tenants.size(), 2u);
  EXPECT_EQ(tenants[0].message(), "");
  EXPECT_THAT(listed("root-acme", "object=other"), IsEmpty());
  // Of one's own doings: those.
  const auto own = listed("ann");
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].user(), "ann");
  EXPECT_NE(own[0].message(), "");
}

TEST_F(AuditTest, WithoutRoomForTheLogNothingIsChanged) {
  world.audit_paper.full = true;
  // Nobody could know: it is done, said so, and its record is kept.
  const auto first = World::must(world.put(kGreen));
  ASSERT_EQ(first.outcome().warnings_size(), 1);
  EXPECT_THAT(first.outcome().warnings(0), HasSubstr("No space left"));
  const auto revision = world.server->engine().head().revision();
  const auto second = world.erase("VirtualNetwork", "acme", "green");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("audit log"));
  EXPECT_EQ(world.server->engine().head().revision(), revision);
  EXPECT_TRUE(world.get("VirtualNetwork", "acme", "green"));  // reading goes on
  EXPECT_THAT(paper(), IsEmpty());

  world.audit_paper.full = false;
  world.run_for(std::chrono::seconds(5));
  EXPECT_THAT(paper(), ElementsAre("admin create VirtualNetwork/green ALLOWED"));
  World::must(world.erase("VirtualNetwork", "acme", "green"));
}

TEST_F(AuditTest, NamesGoOnAfterARestart) {
  World::must(world.put(kGreen));
  const auto before = listed("admin");
  world.crash();
  world.boot();
  const auto after = listed("admin");
  ASSERT_GE(after.size(), 1u);
  EXPECT_EQ(after.back().metadata().name(), before.back().metadata().name());
  World::must(world.erase("VirtualNetwork", "acme", "green"));
  EXPECT_GT(listed("admin").back().metadata().name(), before.back().metadata().name());
}

TEST_F(AuditTest, WatchesAreCountedByUser) {
  v1::WatchRequest request;
  request.set_kind("VirtualMachine");
  request.set_tenant("acme");
  const auto watch = [&](const std::string& secret) {
    return world.server->api().watch(
        secret, request, [](const v1::WatchEvent&) { return true; }, [](const Error&) {});
  };
  const auto most = Tunables().watches_per_user;
  for (int i = 0; i < most; ++i) ASSERT_TRUE(watch(secrets["ann"]));
  const auto one_more = watch(secrets["ann"]);
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(watch(world.admin));
}

}  // namespace
}  // namespace penstock
