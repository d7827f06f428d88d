#include "server/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/testing/world.h"

namespace penstock {
namespace {

using testing::World;
using Check = v1::CheckResponse::Check;
using ::testing::HasSubstr;

struct ChecksTest : ::testing::Test {
  ChecksTest() {
    world.furnish();
    world.run_for(std::chrono::seconds(1));
    world.server->api().disk_space_by([]() -> Result<DiskSpace> {
      return DiskSpace{.free_bytes = 8LL << 30, .all_bytes = 9LL << 30};
    });
  }
  // Runs a check; hosts answer probes as `answer` says, or not at all.
  v1::CheckResponse run(
      const std::string& secret,
      std::function<void(const std::string& host, v1::ProbeReport::Answer&)> answer,
      v1::CheckRequest request = {}) {
    std::optional<Result<v1::CheckResponse>> result;
    world.server->api().check(
        secret, request, [&](Result<v1::CheckResponse> response) { result = std::move(response); });
    world.run_until([&] {
      for (auto& [name, host] : world.hosts)
        for (const auto& message : host->received) {
          if (!message.has_probe() || !answered.insert(message.probe().id()).second || !answer)
            continue;
          v1::HostMessage report;
          report.mutable_probe()->set_id(message.probe().id());
          for (const auto& vtep : message.probe().vteps()) {
            auto& one = *report.mutable_probe()->add_answers();
            one.set_vtep(vtep);
            answer(name, one);
          }
          bytes = message.probe().bytes();
          host->say(report);
        }
      return result.has_value();
    });
    return World::must(std::move(*result));
  }
  static void all_well(const std::string&, v1::ProbeReport::Answer& answer) {
    answer.set_answered(true);
    answer.set_rtt_us(400);
  }
  static const Check& named(const v1::CheckResponse& response, const std::string& name) {
    for (const auto& check : response.checks())
      if (check.name() == name) return check;
    throw std::runtime_error("no check " + name);
  }
  World world;
  std::set<std::uint64_t> answered;
  int bytes = 0;
};

TEST_F(ChecksTest, AllIsWell) {
  const auto response = run(world.admin, all_well);
  for (const auto& check : response.checks())
    EXPECT_EQ(check.state(), Check::PASSED) << check.ShortDebugString();
  EXPECT_GE(response.checks_size(), 9);
  EXPECT_THAT(named(response, "underlay-mtu").message(), HasSubstr("2 ways"));
  EXPECT_EQ(bytes, 1500);  // network 1450, VXLAN over IPv4 around it
}

TEST_F(ChecksTest, AWayThatIsTooNarrowIsNamed) {
  const auto response = run(world.admin, [](const std::string& host, auto& answer) {
    all_well(host, answer);
    if (host != "h2") return;
    answer.set_answered(false);
    answer.set_problem("path carries 1400 bytes, 1500 are needed");
  });
  const auto& check = named(response, "underlay-mtu");
  EXPECT_EQ(check.state(), Check::FAILED);
  EXPECT_EQ(check.object(), "host/h2");
  EXPECT_THAT(check.message(), HasSubstr("h2 -> h1 (192.0.2.1): path carries 1400 bytes"));
}

TEST_F(ChecksTest, ASilentHostIsAnAnswer) {
  const auto response = run(world.admin, nullptr);
  EXPECT_EQ(named(response, "underlay-mtu").state(), Check::FAILED);
  EXPECT_THAT(named(response, "underlay-mtu").message(), HasSubstr("did not answer"));
}

TEST_F(ChecksTest, HostsThatAreAwayOrCannotApply) {
  world.hosts["h2"]->leave();
  world.hosts["h1"]->fail("60/port/1", "map full", 1000);
  world.hosts["h1"]->ack();
  const auto response = run(world.admin, all_well);
  EXPECT_EQ(named(response, "hosts-connected").state(), Check::FAILED);
  EXPECT_EQ(named(response, "hosts-connected").object(), "host/h2");
  EXPECT_EQ(named(response, "hosts-applied").state(), Check::FAILED);
  EXPECT_THAT(named(response, "hosts-applied").message(), HasSubstr("map full"));
  EXPECT_EQ(named(response, "underlay-mtu").state(), Check::SKIPPED);  // nobody to reach
}

TEST_F(ChecksTest, TenantsLearnThatTheServerServes) {
  World::must(world.put(
      R"({"kind":"User","metadata":{"name":"ann"},"spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
  const auto response = run(world.token_for_user("ann"), all_well);
  ASSERT_EQ(response.checks_size(), 1);
  EXPECT_EQ(response.checks(0).name(), "server");
}

TEST_F(ChecksTest, NamesChooseAndWrongOnesAreRefused) {
  v1::CheckRequest request;
  request.add_names("disk-space");
  EXPECT_EQ(run(world.admin, all_well, request).checks_size(), 1);
  request.add_names("disk-spce");
  const auto wrong = world.call<v1::CheckResponse, const v1::CheckRequest&>(&Api::check, request);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text(), HasSubstr("disk-space"));
}

// What Prometheus would refuse: samples without a family, a name twice, labels that vary without
// bound.
TEST_F(ChecksTest, MetricsAreBoundedAndForAdministrators) {
  const auto lines = [&] {
    const auto text = World::must(world.server->api().metrics(Caller(world.admin)));
    std::vector<std::string> out;
    std::set<std::string> families, series;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text.find('\n', at);
      const auto line = text.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("# TYPE ")) {
        EXPECT_TRUE(families.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
        continue;
      }
      if (line.starts_with("#")) continue;
      const auto key = line.substr(0, line.rfind(' '));
      EXPECT_TRUE(series.insert(key).second) << line;
      auto name = key.substr(0, key.find('{'));
      for (const auto* suffix : {"_bucket", "_sum", "_count"})
        if (name.ends_with(suffix) && !families.contains(name))
          name.resize(name.size() - std::string(suffix).size());
      EXPECT_TRUE(families.contains(name)) << line;
      out.push_back(line);
    }
    return out;
  };
  const auto before = lines();
  EXPECT_THAT(before, ::testing::Contains("penstock_hosts{state=\"connected\"} 2"));
  EXPECT_THAT(before, ::testing::Contains(::testing::StartsWith(
                          "penstock_api_answers_total{method=\"Put\",code=\"ok\"} ")));
  for (int i = 2; i < 40; ++i) world.add_vm(fmt::format("web-{}", i), i % 2 ? "h1" : "h2");
  world.add_host("h3");
  EXPECT_EQ(lines().size(), before.size());
  EXPECT_FALSE(world.server->api().metrics(Caller("wrong")));
}

}  // namespace
}  // namespace penstock
