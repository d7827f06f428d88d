#include "lab/scenario/scenario.h"

#include <gtest/gtest.h>

#include "lab/scenario/report.h"

namespace penstock::lab {
namespace {

constexpr const char* kTopology = R"(topology
  networks: [{name: a, subnet: 192.0.2.0/24}]
  # a comment
  hosts: [{name: h1}]
)";

std::string problems(const std::string& text) {
  const auto scenario = parse_scenario(text, "x.scenario");
  return scenario ? "" : scenario.error().text();
}

TEST(Scenario, StepsInOrderWithTheirParts) {
  const auto scenario = parse_scenario(std::string("scenario a name\n") + kTopology + R"(
# what follows is the test
start acme/web: busybox nc -l -p 80
exec acme/web: echo a: b
expect exit not 1
expect output ~ ^a: b$
eventually 5s
  exec h1: true
  expect exit 0
as alice penstock get vms
stop server --kill
restart h1
sleep 10ms
)",
                                       "dir/x.scenario");
  ASSERT_TRUE(scenario) << scenario.error().text();
  EXPECT_EQ(scenario->name, "a name");
  EXPECT_EQ(scenario->topology.hosts.front().name, "h1");
  const auto& steps = scenario->steps;
  ASSERT_EQ(steps.size(), 9u);
  EXPECT_EQ(steps[1].node, "acme/web");
  EXPECT_EQ(steps[1].command, "echo a: b");
  EXPECT_EQ(steps[1].line, 9);
  EXPECT_EQ(steps[4].inside.size(), 2u);
  EXPECT_EQ(steps[4].time, std::chrono::seconds(5));
  EXPECT_EQ(steps[5].user, "alice");
  EXPECT_EQ(steps[5].command, "penstock get vms");
  EXPECT_TRUE(steps[6].at_once);
}

TEST(Scenario, AllProblemsAtOnceWithTheirLines) {
  const auto text = problems(R"(topology
  networks: [{name: a, subnet: 192.0.2.0/24}]
  hosts: [{name: h1, networks: a}]
expect exit 0
execc h1: true
exec h1 true
exec h1: true
expect output ~ (
expect number /loss/ < 5
  exec h1: true
eventually 5s
eventually soon
restart
)");
  for (const auto* wanted :
       {"x.scenario:3:22  hosts[0].networks: unknown field", "did you mean \"network\"",
        "x.scenario:4: there is no command", "x.scenario:5: \"execc\" is no step",
        "did you mean \"exec\"", "x.scenario:6: needs a node and a command",
        "x.scenario:8: \"(\" is not a regular expression", "x.scenario:9: one group",
        "x.scenario:10: is indented", "x.scenario:11: has no steps below it",
        "x.scenario:12: \"soon\" is not a duration", "x.scenario:13: needs a host"})
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << " in\n" << text;
}

TEST(Scenario, OneThatTestsNothingIsRefused) {
  EXPECT_NE(problems(kTopology).find("tests nothing"), std::string::npos);
  EXPECT_NE(problems(std::string(kTopology) + "sleep 1s\n").find("tests nothing"),
            std::string::npos);
  EXPECT_NE(problems("exec h1: true\n").find("has no topology"), std::string::npos);
}

TEST(Expectation, HoldsOrSaysWhyNot) {
  const Output output{1, "3 packets transmitted, 2 received, 33.3% packet loss\nrtt 20.4 ms\n"};
  const auto why = [&](const char* text) {
    const auto expectation = parse_expectation(text);
    return expectation ? unmet(*expectation, output) : expectation.error().text();
  };
  for (const auto* holds : {"exit 1", "exit not 0", "output ~ 2 received", "output ~ ^rtt",
                            "output !~ 0% packet loss$", "number /([0-9.]+)% packet loss/ < 40",
                            "number /rtt ([0-9.]+)/ >= 20.4", "number /rtt ([0-9.]+)/ = 20.4"})
    EXPECT_EQ(why(holds), "") << holds;
  EXPECT_EQ(why("exit 0"), "exit 1");
  EXPECT_EQ(why("exit not 1"), "exit 1");
  EXPECT_EQ(why("output ~ 3 received"), "no match");
  EXPECT_EQ(why("output !~ received"), "it matches");
  EXPECT_EQ(why("output = hello"), "it differs");
  EXPECT_EQ(why("number /([0-9.]+)% packet loss/ <= 5"), "33.3 is not <= 5");
  EXPECT_EQ(why("number /([0-9]+) lost/ < 5"), "no match");
  EXPECT_EQ(unmet(*parse_expectation("output = a b"), {0, "a b\n"}), "");
}

TEST(Junit, FailuresHavePlaceAndOutput) {
  const auto xml = junit_xml({{.file = "a.scenario", .name = "good"},
                              {.file = "b.scenario",
                               .name = "bad & \"worse\"",
                               .place = "b.scenario:3",
                               .failure = "expect exit 0: exit 1",
                               .output = "a < b\x01"}});
  EXPECT_NE(xml.find("tests=\"2\" failures=\"1\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("bad &amp; &quot;worse&quot;"), std::string::npos) << xml;
  EXPECT_NE(xml.find("b.scenario:3\na &lt; b?</failure>"), std::string::npos) << xml;
}

}  // namespace
}  // namespace penstock::lab
