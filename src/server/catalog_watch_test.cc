// Following the catalog: what a user may see, as it changes for whatever reason.
#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;

struct CatalogWatchTest : public ::testing::Test {
  World world;
  std::string ann;
  std::vector<std::string> said;  // "ADDED office 1", ...
  std::int64_t revision = 0;
  std::optional<Error> ended;

  void SetUp() override {
    world.furnish();
    World::must(world.put(R"({"kind":"Group","metadata":{"name":"netops"}})"));
    user(R"("roles":[{"role":"VM_OWNER","tenant":"acme"}])");
    ann = world.token_for_user("ann");
  }
  void user(const std::string& spec) {
    World::must(world.put(R"({"kind":"User","metadata":{"name":"ann"},"spec":{)" + spec + "}}"));
  }
  void profile(const std::string& spec, const std::string& name = "office") {
    World::must(world.put(R"({"kind":"ServiceProfile","metadata":{"name":")" + name +
                          R"("},"spec":{"definition":"fw",)" + spec + "}}"));
  }
  Result<std::uint64_t> watch(std::int64_t from = 0, const std::string& tenant = "acme",
                              std::optional<std::string> secret = {}) {
    v1::WatchRequest request;
    request.set_kind("catalog");
    request.set_tenant(tenant);
    request.set_revision(from);
    return world.server->api().watch(
        secret.value_or(ann), request,
        [this](const v1::WatchEvent& event) {
          revision = event.revision();
          const auto& entry = event.object().catalog_entry();
          auto line = v1::WatchEvent::Type_Name(event.type());
          if (event.has_object()) line += " " + entry.metadata().name();
          if (event.has_object() && event.type() != v1::WatchEvent::DELETED)
            line += fmt::format(" {}", entry.status().levels_size());
          said.push_back(line);
          return true;
        },
        [this](const Error& error) { ended = error; });
  }
  std::vector<std::string> heard() { return std::exchange(said, {}); }
  using Lines = std::vector<std::string>;
};

TEST_F(CatalogWatchTest, FollowsPublicationLevelsAvailabilityDefinitionAndDeletion) {
  World::must(watch());
  EXPECT_EQ(heard(), (Lines{"ADDED office 2", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"everyone":true},"levels":[{"name":"basic"}])");
  EXPECT_EQ(heard(), (Lines{"MODIFIED office 1", "BOOKMARK"}));
  profile(R"("published":false,"availability":{"everyone":true})");
  EXPECT_EQ(heard(), (Lines{"DELETED office", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"allow":{"tenants":["acme"]}})");
  EXPECT_EQ(heard(), (Lines{"ADDED office 2", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"everyone":true,"except":{"tenants":["acme"]}})");
  EXPECT_EQ(heard(), (Lines{"DELETED office", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"everyone":true})");
  EXPECT_EQ(heard(), (Lines{"ADDED office 2", "BOOKMARK"}));
  World::must(world.put(
      R"({"kind":"ServiceDefinition","metadata":{"name":"fw"},"spec":{"vendor":"v","serviceName":"fw",
         "version":"2","description":"better","levels":[{"name":"basic"},{"name":"strict"}],"filter":{}}})"));
  EXPECT_EQ(heard(), (Lines{"MODIFIED office 2", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"everyone":true},"order":7)");
  EXPECT_EQ(heard(), Lines{}) << "nothing that the catalog shows";
  World::must(world.enable("web-1"));
  EXPECT_EQ(heard(), Lines{});
  World::must(world.erase("ServiceProfile", "", "office", true));
  EXPECT_EQ(heard(), (Lines{"DELETED office", "BOOKMARK"}));
}

TEST_F(CatalogWatchTest, FollowsGroupsAndRolesOfItsReader) {
  profile(R"("published":true,"availability":{"allow":{"groups":["netops"]}})", "special");
  World::must(watch());
  EXPECT_EQ(heard(), (Lines{"ADDED office 2", "BOOKMARK"})) << "special is for others";
  user(R"("groups":["netops"],"roles":[{"role":"VM_OWNER","tenant":"acme"}])");
  EXPECT_EQ(heard(), (Lines{"ADDED special 2", "BOOKMARK"}));
  user(R"("roles":[{"role":"VM_OWNER","tenant":"acme"}])");
  EXPECT_EQ(heard(), (Lines{"DELETED special", "BOOKMARK"}));
  // No role in the tenant any more: its catalog is closed; with one it is open again.
  user("");
  EXPECT_EQ(heard(), (Lines{"DELETED office", "BOOKMARK"}));
  profile(R"("published":true,"availability":{"everyone":true},"levels":[{"name":"basic"}])");
  EXPECT_EQ(heard(), Lines{});
  World::must(world.put(
      R"({"kind":"Group","metadata":{"name":"netops"},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
  user(R"("groups":["netops"])");
  EXPECT_EQ(heard(), (Lines{"ADDED office 1", "ADDED special 2", "BOOKMARK"}));
  user(R"("disabled":true)");
  EXPECT_TRUE(ended) << "nobody any more";
}

TEST_F(CatalogWatchTest, ATornWatchGoesOnOrListsAgain) {
  World::must(watch());
  heard();
  const auto from = revision;
  world.add_vm("web-2", "h1");  // nothing to do with catalogs
  World::must(watch(from));
  EXPECT_EQ(heard(), Lines{"BOOKMARK"}) << "nothing was missed";
  EXPECT_GT(revision, from);
  profile(R"("published":true,"availability":{"everyone":true},"levels":[{"name":"basic"}])");
  heard();
  World::must(watch(from));
  EXPECT_EQ(heard(), Lines{"COMPACTED"});
  ASSERT_TRUE(ended);
  EXPECT_NE(ended->hint.find("list again"), std::string::npos);
  World::must(watch(revision + 1000));
  EXPECT_EQ(heard(), Lines{"COMPACTED"}) << "of a state that this store does not have";
}

TEST_F(CatalogWatchTest, IsOfOnesOwnTenants) {
  World::must(world.put(R"({"kind":"Tenant","metadata":{"name":"zeta"}})"));
  EXPECT_FALSE(watch(0, "zeta"));
  EXPECT_FALSE(watch(0, ""));
  EXPECT_TRUE(watch(0, "", world.admin));
  EXPECT_EQ(heard(), (Lines{"ADDED office 2", "BOOKMARK"}));
}

}  // namespace
}  // namespace penstock
