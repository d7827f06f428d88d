// The verbs that read, against a scripted server on real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing/world.h"
#include "cli/waiting.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Get, TableJsonYamlNamesAndTemplates) {
  World world;
  world.on("GET /v1/tenants/acme/vms",
           Json{{"items", {vm("acme", "web-10", kReady), vm("acme", "db-1", kStuck)}}});
  world.on("GET /v1/vms?labelSelector=role%3Dweb", Json{{"items", {vm("acme", "web-10", kReady)}}});
  world.on("GET /v1/tenants/acme/vms/db-1", vm("acme", "db-1", kStuck));
  Terminal& terminal = world.terminal;
  terminal.env["PENSTOCK_TENANT"] = "acme";
  auto ran = terminal.run("get vms");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, StartsWith("NAME    HOST  STATE     ADDRESSES         READY            AGE\n"
                                  "web-10  h1    running   10.0.1.5,fd00::5  yes              "));
  EXPECT_THAT(ran.out, HasSubstr("\ndb-1    -     starting  -                 no (NotApplied)  "));
  EXPECT_THAT(terminal.run("get vms -o wide").out, HasSubstr("OWNER"));
  EXPECT_EQ(terminal.run("get vm db-1 --columns NAME,STATE,O=spec.owner").out,
            "NAME  STATE     O\ndb-1  starting  user:ann\n");
  EXPECT_THAT(terminal.run("get vms --sort-by name -o name").out, "vm/acme/db-1\nvm/acme/web-10\n");
  EXPECT_THAT(terminal.run("get vms -A -l role=web").out, HasSubstr("acme/web-10"));
  EXPECT_EQ(terminal.run("get vm/acme/db-1 -o jsonpath={.status.state}").out, "starting\n");
  EXPECT_EQ(Json::parse(terminal.run("get vm acme/db-1 -o json").out), vm("acme", "db-1", kStuck));
  EXPECT_EQ(Json::parse(terminal.run("get vms -o json").out)["items"].size(), 2U);
  EXPECT_THAT(terminal.run("get vm db-1 -o yaml").out,
              StartsWith("kind: VirtualMachine\nmetadata:\n  name: db-1\n"));
  ran = terminal.run("get networks");
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.out, "");
}

TEST(Flows, OneLineAFlowTheNewestLast) {
  World world;
  const auto flow = [](const std::string& name, const Json& more) {
    Json object{{"kind", "FlowRecord"},
                {"metadata", {{"name", name}, {"tenant", "acme"}}},
                {"time", "2026-01-02T03:04:05.678901Z"},
                {"vm", "web"},
                {"direction", "IN"},
                {"outcome", "DENY"},
                {"profile", "office"},
                {"rule", "default"},
                {"source", {{"address", "fd00::9"}, {"port", 40000}}},
                {"destination", {{"address", "10.0.0.5"}, {"port", 22}, {"vm", "web"}}},
                {"protocol", "tcp"},
                {"tcpFlags", "SYN"}};
    object.update(more);
    return object;
  };
  world.on("GET /v1/tenants/acme/flows?labelSelector=vm%3Dweb%2Coutcome%3DWOULD_DENY",
           Json{{"items",
                 {flow("f1", Json::object()),
                  flow("f2", {{"protocol", "icmp"},
                              {"icmpType", 8},
                              {"source", {{"address", "10.0.0.7"}}},
                              {"destination", {{"address", "10.0.0.5"}, {"vm", "web"}}},
                              {"ruleNumber", 3},
                              {"rule", "ping"},
                              {"outcome", "WOULD_DENY"}})}}});
  world.on("GET /v1/tenants/acme/flows", Json{{"items", Json::array()}});
  auto& terminal = world.terminal;
  auto ran = terminal.run("flows --vm acme/web --outcome would-deny");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "03:04:05.678Z [fd00::9]:40000 -> web:22                    tcp SYN    in  DENY       "
            "office#default\n"
            "03:04:05.678Z 10.0.0.7 -> web                              icmp 8/0   in  WOULD_DENY "
            "office#3 \"ping\" (observe)\n");
  EXPECT_THAT(terminal.run("flows --vm acme/web --outcome would-deny --last 1").out,
              Not(HasSubstr("fd00::9")));
  ran = terminal.run("flows --outcome maybe");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("allow, deny, reject or would-deny"));
  ran = terminal.run("flows --tenant acme");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.err, HasSubstr("logDefaultIn"));
  // Nothing there because of what was asked for.
  world.on("GET /v1/tenants/acme/flows?labelSelector=vm%3Dnope", Json{{"items", Json::array()}});
  world.on("GET /v1/tenants/acme/flows?labelSelector=profile%3Dnope",
           Json{{"items", Json::array()}});
  EXPECT_EQ(terminal.run("flows --vm acme/nope").exit, 3);
  EXPECT_THAT(terminal.run("flows -t acme --profile nope").err,
              StartsWith("no flows with profile=nope were logged of late"));
  EXPECT_EQ(terminal.run("flows -t acme --last 0").exit, 2);
  EXPECT_THAT(terminal.run("flows -t acme --outcome drop").err, HasSubstr("--outcome drop"));
  EXPECT_EQ(terminal.run("flows --vm acme/web --outcome would-deny --columns TIME,OUTCOME").out,
            "TIME                      OUTCOME\n2026-01-02T03:04:05.678Z  DENY\n"
            "2026-01-02T03:04:05.678Z  WOULD_DENY\n");
  EXPECT_THAT(
      terminal.run("flows --vm acme/web --outcome would-deny --columns OUTCOME --sort-by rule").out,
      "OUTCOME\nDENY\nWOULD_DENY\n");
  EXPECT_EQ(terminal.run("flows -t acme --columns NOPE").exit, 2);
  EXPECT_EQ(terminal.run("flows -t acme --sort-by NOPE").exit, 2);
  EXPECT_EQ(terminal.run("flows -f -t acme --columns TIME").exit, 2);
}

TEST(Get, SortByWhatThereIs) {
  World world;
  world.on("GET /v1/vms", Json{{"items", {vm("acme", "b", kReady), vm("acme", "a", kStuck)}}});
  for (const auto* by : {"NAME", "name", "owner", "spec.owner", "metadata.name", ".status.host"})
    EXPECT_EQ(world.terminal.run({"get", "vms", "-A", "--sort-by", by}).exit, 0) << by;
  world.on("GET /v1/vms?labelSelector=x",
           Json{{"items", {vm("acme", "b", kReady), vm("acme", "a", kStuck)}}});
  EXPECT_EQ(world.terminal.run("get vms -A -l x --sort-by host --columns NAME").out,
            "NAME\nacme/a\nacme/b\n")
      << "by a column that is not shown";
  const auto ran = world.terminal.run("get vms -A --sort-by HOTS");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean \"HOST\"?"));
}

TEST(Watch, AnObjectThatIsNotThereIsSaidSo) {
  World world;
  world.on("GET /v1/tenants/acme/vms?watch=true", ScriptedAnswer{.delay_ms = 400});
  const auto ran = world.terminal.run("watch vm acme/nope --deadline 200ms");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.err, HasSubstr("; waiting for it\n"));
}

TEST(Status, OneIsNotMany) {
  World world;
  world.on("GET /v1:status", Json::parse(R"({"revision":"3","objects":{"clusters":1,"vms":2},
    "hosts":[{"host":"h1","state":"UNREACHABLE","message":"no session"}]})"));
  const auto ran = world.terminal.run("status");
  EXPECT_THAT(ran.out, StartsWith("not ok: 0 of 1 host applied"));
  EXPECT_THAT(ran.out, HasSubstr("1 cluster, 2 vms"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock describe host h1\n"));
}

TEST(Get, NothingIsSaidOnErr) {
  World world;
  world.on("GET /v1/hosts", Json{{"revision", "1"}});
  const auto ran = world.terminal.run("get hosts");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "no hosts\n");
}

TEST(Get, AbsentBooleanIsNo) {
  World world;
  world.on("GET /v1/profiles/fw", Json{{"kind", "ServiceProfile"},
                                       {"metadata", {{"name", "fw"}}},
                                       {"spec", {{"definition", "d"}}}});
  EXPECT_EQ(world.terminal.run("get profile fw --columns NAME,PUBLISHED,\"ENABLED ON\"").exit, 0);
  EXPECT_EQ(
      world.terminal.run({"get", "profile", "fw", "--columns", "NAME,PUBLISHED,ENABLED ON"}).out,
      "NAME  PUBLISHED  ENABLED ON\nfw    no         0\n");
}

TEST(Get, ColourOnlyOnATerminalWithoutNoColor) {
  World world;
  world.on("GET /v1:status", Json{{"revision", "1"}});
  EXPECT_THAT(world.terminal.run("status").out, Not(HasSubstr("\x1b")));
  world.terminal.tty = true;
  EXPECT_THAT(world.terminal.run("status").out,
              StartsWith("\x1b[32mok\x1b[0m: the server answers"));
  world.terminal.env["NO_COLOR"] = "1";
  EXPECT_THAT(world.terminal.run("status").out, StartsWith("ok: "));
}

TEST(Get, ClosedPipeIsQuiet) {
  World world;
  world.on("GET /v1/vms", Json{{"items", {vm("acme", "a", kReady)}}});
  world.terminal.closed_out = true;
  const auto ran = world.terminal.run("get vms -A");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.err, "");
}

TEST(Watch, RowsAsTheyCome) {
  World world;
  const auto event = [](const char* type, const char* revision, const Json& object) {
    return Json{{"type", type}, {"revision", revision}, {"object", object}}.dump() + "\n";
  };
  world.on("GET /v1/tenants/acme/vms?watch=true",
           ScriptedAnswer{.body = event("ADDED", "3", vm("acme", "a", kReady)) +
                                  "{\"type\":\"BOOKMARK\",\"revision\":\"3\"}\n" +
                                  event("MODIFIED", "4", vm("acme", "a", kStuck)) +
                                  event("DELETED", "5", vm("acme", "b", kReady)),
                          .chunked = true});
  // After the end of the first stream the watch goes on where it was; this one is silent until the
  // deadline.
  world.on("GET /v1/tenants/acme/vms?watch=true&resourceVersion=5",
           ScriptedAnswer{.delay_ms = 1500});
  auto ran = world.terminal.run("watch vms -t acme --columns NAME,STATE --deadline 1s");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "CHANGE    NAME  STATE\nADDED     a     running\nMODIFIED  a     starting\nDELETED   b "
            "    running\n");
  ran = world.terminal.run("watch vm acme/b --deadline 700ms -o jsonpath={.metadata.name}");
  EXPECT_EQ(ran.out, "b\n");
}

TEST(Describe, FirstLineIsTheAnswerLastIsTheNextCommand) {
  World world;
  world.on("GET /v1/tenants/acme/vms/db-1", vm("acme", "db-1", kStuck));
  world.on(
      "GET /v1/events",
      Json::parse(
          R"({"items":[{"time":"2020-01-01T00:00:00Z","reason":"Full","message":"map full on h2",
             "object":{"kind":"VirtualMachine","tenant":"acme","name":"db-1"}},
             {"reason":"Other","message":"not ours","object":{"kind":"VirtualMachine","tenant":"zeta","name":"db-1"}}]})"));
  const auto ran = world.terminal.run("describe vm acme/db-1");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, StartsWith("vm acme/db-1: not ready (NotApplied): h2: map full\n"));
  EXPECT_THAT(ran.out, HasSubstr("rollout: applied on 1 of 2 hosts, revision 7\n  h2 FAILED"));
  EXPECT_THAT(ran.out, HasSubstr("map full on h2"));
  EXPECT_THAT(ran.out, Not(HasSubstr("not ours")));
  EXPECT_THAT(ran.out, testing::EndsWith("Try: penstock explain vm/acme/db-1\n"));
}

TEST(Describe, OneRule) {
  World world;
  world.on("GET /v1/profiles/fw",
           Json::parse(
               R"({"kind":"ServiceProfile","metadata":{"name":"fw"},"spec":{"definition":"d"}})"));
  world.on(
      "GET /v1/definitions/d",
      Json::parse(
          R"({"spec":{"filter":{"rules":[{"name":"x","action":"ALLOW"},{"action":"DENY","ports":["22"]}]}}})"));
  auto ran = world.terminal.run("describe profile fw --rule 2");
  EXPECT_THAT(ran.out, StartsWith("rule 2 \"rule-2\" of profile fw: DENY\n"));
  EXPECT_EQ(world.terminal.run("describe profile fw --rule 3").exit, 3);
}

TEST(Explain, LinesMarksAndHints) {
  World world;
  world.on(
      "GET /v1:explain?kind=VirtualMachine&tenant=acme&name=web-1",
      Json::parse(
          R"({"headline":"NIC eth0 on h1, net blue","revision":"12","hints":["penstock get hosts"],
             "lines":[{"text":"1 filter fw basic   applied on h1"},{"text":"2 ips waiting for h3","decisive":true,"children":[{"text":"probe: no answer"}]}]})"));
  auto ran = world.terminal.run("explain vm acme/web-1");
  EXPECT_EQ(ran.out,
            "NIC eth0 on h1, net blue\n"
            "  1 filter fw basic   applied on h1\n"
            "  2 ips waiting for h3   <==\n"
            "    probe: no answer\n"
            "As of revision 12.\n"
            "Try: penstock get hosts\n");
  ran = world.terminal.run("explain vm/acme/web-1 --host h3");
  EXPECT_THAT(ran.out, Not(HasSubstr("1 filter")));
}

TEST(Catalog, ForAVm) {
  World world;
  world.on(
      "GET /v1/tenants/acme/catalog?vm=web-1",
      Json::parse(
          R"({"entries":[{"kind":"CatalogEntry","metadata":{"name":"fw"},"status":{"kind":"filter","levels":[{"name":"basic"},{"name":"strict"}],"usable":"on"}},
             {"metadata":{"name":"ips"},"status":{"kind":"inline","usable":"no","whyNot":"not published to host h1 yet"}}]})"));
  const auto ran = world.terminal.run("catalog --vm acme/web-1");
  EXPECT_EQ(ran.out,
            "NAME  KIND    LEVELS        USABLE  WHY NOT\n"
            "fw    filter  basic,strict  on      -\n"
            "ips   inline  -             no      not published to host h1 yet\n");
  world.on("GET /v1:whoami", Json::parse(R"({"user":"ann","roles":[
    {"role":"VM_OWNER","tenant":"acme"},{"role":"TENANT_ADMINISTRATOR","tenant":"zeta"}]})"));
  auto asked = world.terminal.run("catalog");
  EXPECT_EQ(asked.exit, 2) << "of which tenant?";
  EXPECT_THAT(asked.err, HasSubstr("PENSTOCK_TENANT"));
  world.on("GET /v1:whoami", Json::parse(R"({"user":"ann","roles":[
    {"role":"VM_OWNER","tenant":"acme"},{"role":"VENDOR","vendor":"v"}]})"));
  world.on("GET /v1/tenants/acme/catalog", Json::parse(R"({"entries":[]})"));
  world.on("GET /v1/tenants/acme/catalog?query=mail", Json::parse(R"({"entries":[]})"));
  asked = world.terminal.run("catalog");
  EXPECT_EQ(asked.exit, 0) << "the only tenant of the user";
  EXPECT_EQ(asked.err, "nothing in the catalog of acme\n");
  EXPECT_EQ(world.terminal.run("catalog --query mail").err,
            "nothing in the catalog of acme has \"mail\"\n");
}

TEST(Wait, SuccessTerminalFailureOrDeadline) {
  World world;
  world.on("GET /v1/tenants/acme/vms/web-1", vm("acme", "web-1", kReady));
  auto ran = world.terminal.run("wait vm acme/web-1 --for=ready");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, StartsWith("vm acme/web-1: ready after "));
  EXPECT_EQ(world.terminal.run("wait vm acme/web-1 --for=applied").exit, 0);
  EXPECT_EQ(world.terminal.run("wait vm acme/web-1 --for=deleted --deadline 50ms").exit, 7);
  EXPECT_EQ(world.terminal.run("wait vm acme/none --for=deleted").exit, 0);
  EXPECT_EQ(world.terminal.run("wait vm acme/none --for=ready --deadline 50ms").exit, 3);
  world.on("GET /v1/tenants/acme/vms/web-1", vm("acme", "web-1", kStuck));
  ran = world.terminal.run("wait vm acme/web-1 --for=applied --deadline 50ms");
  EXPECT_EQ(ran.exit, 7);
  EXPECT_THAT(ran.out, HasSubstr("applied on 1 of 2 hosts; h2 FAILED: map full"));
  EXPECT_EQ(world.terminal.run("wait vm acme/web-1 --for=condition=Ready=false").exit, 0);
  Json hopeless = kStuck;
  hopeless["conditions"][0]["reason"] = kTerminalReasons[0];
  world.on("GET /v1/tenants/acme/vms/web-1", vm("acme", "web-1", hopeless));
  EXPECT_EQ(world.terminal.run("wait vm acme/web-1 --deadline 5s").exit, 8);
  EXPECT_EQ(judge(*parse_goal("ready"), nullptr, true).state, Reached::State::kNever)
      << "deleted under the wait";
}

}  // namespace
}  // namespace penstock::cli
