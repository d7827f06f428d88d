// `penstock trace`: the ends as people type them, and the answer as lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing/world.h"
#include "cli/trace_text.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;

std::string ends(const std::vector<std::string>& words) {
  const auto parsed = parse_trace_ends(words);
  if (!parsed) return parsed.error().message;
  return parsed->vm + "|" + parsed->nic + "|" + parsed->packet.dump();
}

TEST(Trace, EndsAsTyped) {
  EXPECT_EQ(ends({"acme/web-1", "10.0.2.7:22/tcp"}),
            R"(acme/web-1||{"protocol":"tcp","destination":"10.0.2.7","destinationPort":22})");
  EXPECT_EQ(ends({"acme/web-1", "->", "10.0.2.7:53/udp"}),
            R"(acme/web-1||{"protocol":"udp","destination":"10.0.2.7","destinationPort":53})");
  EXPECT_EQ(ends({"web-1->db-1:5432"}),
            R"(web-1||{"destination":"db-1","destinationPort":5432,"protocol":"tcp"})");
  EXPECT_EQ(ends({"acme/web-1/eth1", "to", "acme/db-1"}),
            R"(acme/web-1|eth1|{"destination":"acme/db-1"})");
  EXPECT_EQ(ends({"web-1", "[fd00::7]:443/tcp"}),
            R"(web-1||{"protocol":"tcp","destination":"fd00::7","destinationPort":443})");
  EXPECT_EQ(ends({"web-1", "fd00::7/icmp"}),
            R"(web-1||{"protocol":"icmp","destination":"fd00::7"})");
  EXPECT_EQ(ends({"web-1", "10.0.0.2/47"}), R"(web-1||{"protocol":"47","destination":"10.0.0.2"})");
  EXPECT_THAT(ends({"web-1"}), HasSubstr("two ends"));
  EXPECT_THAT(ends({"web-1", "a", "b"}), HasSubstr("two ends"));
  EXPECT_THAT(ends({"web-1", "10.0.0.2:99999"}), HasSubstr("not a port"));
  EXPECT_THAT(ends({"web-1", "[fd00::7"}), HasSubstr("bracket"));
}

const char* kDropped = R"({"apiVersion":"v1","kind":"Trace","mode":"described",
  "asOf":{"revision":"5121","hosts":{"h1":"5120"}},
  "packet":{"source":"10.0.1.5","destination":"10.0.2.7","protocol":"tcp","sourcePort":49152,"destinationPort":22,"tcpFlags":["syn"]},
  "disposition":"DROPPED","code":"policy_deny","reason":"a rule denies it","from":"web-1/eth0","at":"web-1/eth0",
  "decidedBy":{"kind":"filter","name":"office-firewall","level":"basic","rule":"no-ssh-out","number":3,
    "text":"deny tcp dport 22","mayChange":["group:acme-netadmins"]},
  "steps":[
    {"seq":1,"host":"h1","port":"web-1/eth0","dir":"out","component":"parse","action":"passed","folded":true,"evidence":"executed","ns":"40"},
    {"seq":2,"host":"h1","port":"web-1/eth0","dir":"out","component":"anti-spoofing","action":"passed","folded":true},
    {"seq":3,"host":"h1","port":"web-1/eth0","dir":"out","component":"conntrack","action":"passed","flow":"new","folded":true},
    {"seq":4,"host":"h1","port":"web-1/eth0","dir":"out","component":"filter","object":"office-firewall","action":"denied",
     "text":"rule 3 \"no-ssh-out\": deny tcp dport 22","decisive":true}],
  "noReply":"not reached","hints":["penstock describe profile office-firewall --rule 3"]})";

TEST(Trace, TheAnswerFirstThenTheSteps) {
  World world;
  world.on("POST /v1/tenants/acme:trace", Json::parse(kDropped));
  auto ran = world.terminal.run("trace acme/web-1 10.0.2.7:22/tcp");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(
      ran.out,
      "DROPPED at web-1/eth0 on host h1 by rule 3 \"no-ssh-out\" of profile office-firewall (level "
      "basic)\n"
      "  tcp 10.0.1.5:49152 -> 10.0.2.7:22 syn\n"
      "\n"
      "  h1  web-1/eth0  out  3 steps passed unchanged (parse, anti-spoofing, conntrack: new)\n"
      "  h1  web-1/eth0  out  filter office-firewall  denied  rule 3 \"no-ssh-out\": deny tcp "
      "dport 22     <== decided here\n"
      "  reply path: not reached\n"
      "As of revision 5121 (h1 applied 5120, not the same). The packet was run through the real "
      "programs; nothing was sent.\n"
      "May change it: group acme-netadmins\n"
      "Try: penstock describe profile office-firewall --rule 3\n");
  EXPECT_EQ(
      world.body_of(0),
      Json::parse(
          R"({"vm":"web-1","packet":{"protocol":"tcp","destination":"10.0.2.7","destinationPort":22}})"));
}

TEST(Trace, MinimalHasNothingThatDiffersBetweenRuns) {
  World world;
  world.on("POST /v1/tenants/acme:trace", Json::parse(kDropped));
  auto ran = world.terminal.run("trace acme/web-1 10.0.2.7:22 --minimal");
  EXPECT_EQ(ran.out.find("5121"), std::string::npos);
  ran = world.terminal.run("trace acme/web-1 10.0.2.7:22 --minimal -o json");
  EXPECT_EQ(ran.exit, 1);
  const auto json = Json::parse(ran.out);
  EXPECT_FALSE(json.contains("asOf"));
  EXPECT_FALSE(json["steps"][0].contains("ns"));
  EXPECT_EQ(json["disposition"], "DROPPED");
}

TEST(Trace, OptionsGoIntoTheRequest) {
  World world;
  world.on("POST /v1/tenants/acme:trace",
           Json::parse(R"({"disposition":"DELIVERED","at":"db-1/eth0"})"));
  EXPECT_EQ(
      world.terminal
          .run("trace acme/web-1/eth1 db-1:80 --from 10.0.0.9 --flags syn,ack --source-port 7 "
               "--from-mac 02:00:00:00:00:01 --length 1000 --live --deadline 2s")
          .exit,
      0);
  using Unordered = nlohmann::json;  // the order of members is nobody's business
  EXPECT_EQ(
      Unordered::parse(world.body_of(0).dump()),
      Unordered::parse(R"({"vm":"web-1","nic":"eth1","live":true,"deadline":"2.000s","packet":{
      "destination":"db-1","destinationPort":80,"protocol":"tcp","source":"10.0.0.9","tcpFlags":["syn","ack"],
      "sourcePort":7,"sourceMac":"02:00:00:00:00:01","length":1000}})"));
}

TEST(Trace, SchemaNamesWhatIsThere) {
  World world;
  const auto ran = world.terminal.run("schema trace");
  EXPECT_EQ(ran.exit, 0);
  const auto schema = Json::parse(ran.out);
  EXPECT_EQ(schema["title"], "Trace");
  const auto answer = Json::parse(kDropped);
  for (const auto& [field, value] : answer.items())
    EXPECT_TRUE(schema["properties"].contains(field)) << field;
  for (const auto& [field, value] : answer["steps"][0].items())
    EXPECT_TRUE(schema["$defs"]["TraceStep"]["properties"].contains(field)) << field;
}

}  // namespace
}  // namespace penstock::cli
