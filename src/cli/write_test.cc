// The verbs that change something, against a scripted server on real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing/world.h"

namespace penstock::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const char* const kProfileFile =
    "kind: Tenant\n"
    "metadata: {name: acme}\n"
    "---\n"
    "kind: ServiceProfile\n"
    "metadata:\n"
    "  name: office-firewall\n"
    "spec:\n"
    "  levels:\n"
    "    - name: basic\n"
    "      limits: {conections: 5}\n"
    "  order: \"x\"\n"
    "---\n"
    "kind: VirtualMachine\n"
    "metadata: {name: web-1}\n";

TEST(Apply, SaysWhatBecameOfEachObject) {
  World world;
  const Folder folder;
  const auto file = folder.write("a.yaml", kProfileFile);
  world.on(
      "POST /v1:batch?wait=applied&deadline=10s",
      Json::parse(R"({"items":[{"outcome":{"change":"UNCHANGED"}},{"outcome":{"change":"CREATED"}},
             {"outcome":{"change":"UPDATED","warnings":["no pool"]},"object":{"status":{"secret":"s3"}}}],
             "outcome":{"revision":"7","rollout":{"hosts":2,"applied":2}}})"));
  world.terminal.env["PENSTOCK_TENANT"] = "acme";
  const auto ran = world.terminal.run("apply --wait --deadline 10s --exit-code -f " + file);
  EXPECT_EQ(ran.exit, 10);
  EXPECT_EQ(ran.out,
            "3 objects: 1 created, 1 updated, 1 unchanged\n"
            "  Tenant/acme unchanged\n"
            "  ServiceProfile/office-firewall created\n"
            "  VirtualMachine/acme/web-1 updated\n"
            "    warning: no pool\n"
            "    secret, shown only now: s3\n"
            "applied on 2 of 2 hosts\n");
  const Json body = world.body_of(0);
  EXPECT_EQ(body["atomic"], true);
  EXPECT_EQ(body["items"][2]["put"]["metadata"]["tenant"], "acme") << "the default tenant";
  EXPECT_EQ(body["items"][1]["put"]["spec"]["order"], "x")
      << "quoted: a string, the server is to judge it";
}

TEST(Apply, ServersFieldPathsBecomePlacesInTheFile) {
  World world;
  const Folder folder;
  const auto file = folder.write("fw.yaml", kProfileFile);
  const Json refusal = Json::parse(R"({"code":"invalid_argument","message":"3 errors","details":[
    {"field":"items[1].put.spec.levels[0].limits.conections","message":"unknown field","hint":"did you mean \"connections\"?"},
    {"field":"items[1].put.spec.order","message":"a number is needed, not a string"},
    {"field":"items[2].put.spec.nics[0].network","message":"is required"}]})");
  world.on("POST /v1:batch", failure(400, refusal));
  world.on("POST /v1:batch?dryRun=server", failure(400, refusal));
  for (const auto* how : {"apply -f ", "apply --dry-run=server -f ", "diff -f "}) {
    const auto ran = world.terminal.run(how + file);
    EXPECT_EQ(ran.exit, 6);
    EXPECT_EQ(ran.err,
              file +
                  ":10:16  ServiceProfile/office-firewall  spec.levels[0].limits.conections  "
                  "unknown field; did you mean \"connections\"?\n" +
                  file +
                  ":11:10  ServiceProfile/office-firewall  spec.order  a number is needed, not a "
                  "string\n" +
                  file + ":13:1  VirtualMachine/web-1  spec.nics[0].network  is required\n" +
                  "3 errors in 2 of 3 documents; nothing was changed.\n");
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Apply, ErrorsOfItemsAreAllFoundByADryRun) {
  World world;
  const Folder folder;
  const auto file = folder.write("fw.yaml", kProfileFile);
  world.on("POST /v1:batch",
           Json::parse(R"({"items":[{"error":{"code":"conflict","message":"stale"}},
    {"error":{"code":"failed_precondition","message":"not done"}},{"error":{"code":"failed_precondition","message":"not done"}}]})"));
  world.on(
      "POST /v1:batch?dryRun=server",
      Json::parse(R"({"items":[{"error":{"code":"conflict","message":"tenant acme was changed"}},
    {"outcome":{"change":"CREATED"}},{"error":{"code":"invalid_argument","message":"bad","details":[{"field":"metadata.name","message":"taken"}]}}]})"));
  const auto ran = world.terminal.run("apply -f " + file);
  EXPECT_EQ(ran.exit, 5);
  EXPECT_EQ(ran.err, file + ":1:1  Tenant/acme  tenant acme was changed\n" + file +
                         ":14:18  VirtualMachine/web-1  metadata.name  taken\n2 errors in 2 of 3 "
                         "documents; nothing was changed.\n");
}

TEST(Apply, ErrorsComeInTheOrderOfTheFileWithTheirHints) {
  World world;
  const Folder folder;
  const auto file = folder.write("fw.yaml", kProfileFile);
  world.on("POST /v1:batch?dryRun=server",
           Json::parse(R"({"items":[{"outcome":{"change":"CREATED"}},
    {"error":{"code":"invalid_argument","message":"bad","details":[{"field":"spec.order","message":"no number"},
       {"field":"spec.levels[0].name","message":"is taken","hint":"choose another"}]}},
    {"error":{"code":"already_exists","message":"it is on already","hint":"change the level of that one"}}]})"));
  auto ran = world.terminal.run("apply --dry-run -f " + file);
  EXPECT_EQ(ran.exit, 6);
  EXPECT_EQ(ran.err, file +
                         ":9:13  ServiceProfile/office-firewall  spec.levels[0].name  is taken; "
                         "choose another\n" +
                         file + ":11:10  ServiceProfile/office-firewall  spec.order  no number\n" +
                         file +
                         ":13:1  VirtualMachine/web-1  it is on already; change the level of that "
                         "one\n3 errors in 2 of 3 documents; nothing was changed.\n");
  world.on("POST /v1:batch?dryRun=server", Json::parse(R"({"items":[{"outcome":{}},{"outcome":{}},
    {"error":{"code":"not_found","message":"no tenant","hint":"see: penstock get tenants"}}]})"));
  ran = world.terminal.run("apply --dry-run=server -f " + file);
  EXPECT_EQ(ran.exit, 3);
  EXPECT_EQ(ran.err, file +
                         ":13:1  VirtualMachine/web-1  no tenant\n1 error in 1 of 3 documents; "
                         "nothing was changed.\nTry: penstock get tenants\n");
}

TEST(Apply, TooMuchForOneTransactionGoesItemByItem) {
  World world;
  std::string text;
  Json items = Json::array();
  for (int i = 0; i < 150; ++i) {
    text += "---\nkind: Tenant\nmetadata: {name: t" + std::to_string(i) + "}\n";
    items.push_back(Json{{"outcome", {{"change", "CREATED"}}}});
  }
  world.on("POST /v1:batch?dryRun=server", Json{{"items", items}});
  world.on("POST /v1:batch", Json{{"items", items}});
  world.terminal.in = text;
  const auto ran = world.terminal.run("apply -f -");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, StartsWith("150 objects: 150 created"));
  ASSERT_EQ(world.seen().size(), 2U) << "checked as a whole first";
  EXPECT_EQ(world.body_of(1)["atomic"], false);
}

TEST(Apply, TextErrorsSendNothing) {
  World world;
  const Folder folder;
  folder.write("d/1.yaml", "kind: Tenant\nkind: User\n");
  folder.write("d/2.yml", "- a\n");
  folder.write("d/3.txt", "{{{");
  folder.write("d/e/4.json", "{\"kind\": ");
  auto ran = world.terminal.run("apply -f " + folder.path() + "/d");
  EXPECT_EQ(ran.exit, 6);
  EXPECT_THAT(ran.err, HasSubstr("1.yaml:2:1  \"kind\" is already there"));
  EXPECT_THAT(ran.err, HasSubstr("2.yml:1:1  an object was expected"));
  EXPECT_THAT(ran.err, Not(HasSubstr("4.json")));
  EXPECT_THAT(world.terminal.run("apply -R -f " + folder.path() + "/d").err, HasSubstr("4.json"));
  EXPECT_EQ(world.terminal.run("apply -f /nonexistent.yaml").exit, 3);
  EXPECT_EQ(world.seen().size(), 0U);
}

TEST(Apply, ListsOfGetCanBeAppliedAgain) {
  World world;
  world.on("POST /v1:batch", Json::parse(R"({"items":[{"outcome":{}},{"outcome":{}}]})"));
  world.terminal.in =
      R"({"kind":"List","items":[{"kind":"Tenant","metadata":{"name":"a"}},{"kind":"Tenant","metadata":{"name":"b"}}]})";
  EXPECT_THAT(world.terminal.run("apply -f -").out,
              StartsWith("2 objects: 0 created, 0 updated, 2 unchanged"));
}

TEST(Apply, DeadlineNamesLaggards) {
  World world;
  world.terminal.in = "kind: Tenant\nmetadata: {name: a}\n";
  world.on(
      "POST /v1:batch?wait=applied",
      Json::parse(R"({"items":[{"outcome":{"change":"CREATED"}}],"outcome":{"deadlinePassed":true,
    "rollout":{"hosts":3,"applied":1,"waiting":[{"host":"h2","state":"UNREACHABLE"},{"host":"h3","state":"FAILED","message":"map full"}]}}})"));
  auto ran = world.terminal.run("apply --wait -f -");
  EXPECT_EQ(ran.exit, 7);
  EXPECT_THAT(ran.out, HasSubstr("  h2 not applied: no session with the server\n  h3 not applied: "
                                 "map full\napplied on 1 of 3 hosts; the deadline passed\n"));
  world.on("POST /v1:batch?wait=applied",
           Json::parse(R"({"items":[{"outcome":{"change":"CREATED"}}],"outcome":{
    "rollout":{"hosts":2,"applied":1,"gaveUp":1,"waiting":[{"host":"h3","state":"FAILED","message":"no kernel support","gaveUp":true}]}}})"));
  ran = world.terminal.run("apply --wait -f -");
  EXPECT_EQ(ran.exit, 8) << "the server gave up before the deadline";
  EXPECT_THAT(ran.out, HasSubstr("  h3 not applied: no kernel support\n"));
  EXPECT_THAT(ran.out, HasSubstr("it is tried again when something about it changes.\nTry: "));
}

TEST(Patch, SendsAMergePatchWithItsMediaType) {
  World world;
  world.on("PATCH /v1/tenants/acme/vms/web-1",
           Json::parse(R"({"outcome":{"change":"UPDATED","revision":"9"}})"));
  auto ran = world.terminal.run(
      R"(patch vm/acme/web-1 --exit-code -p '{"spec": {"power": "STOPPED", "owner": null}}')");
  EXPECT_EQ(ran.exit, 10) << ran.err;
  EXPECT_EQ(ran.out, "vm acme/web-1 changed\n");
  EXPECT_EQ(world.body_of(0), Json::parse(R"({"spec":{"power":"STOPPED","owner":null}})"));
  EXPECT_EQ(world.seen().at(0).content_type, "application/merge-patch+json");
  world.terminal.in = "spec:\n  power: RUNNING\n";
  ran = world.terminal.run("patch vm/acme/web-1 --patch-file -");
  EXPECT_EQ(world.body_of(1), Json::parse(R"({"spec":{"power":"RUNNING"}})"));
  EXPECT_EQ(world.terminal.run("patch vm/acme/web-1 -p '[1]'").exit, 6);
  EXPECT_EQ(world.terminal.run("patch vm/acme/web-1 -p '{a: [}'").exit, 6);
  EXPECT_EQ(world.terminal.run("patch vm/acme/web-1").exit, 2);
  EXPECT_EQ(world.seen().size(), 2u) << "what is no patch is not sent";
}

TEST(Label, SetsRemovesAndShows) {
  World world;
  const Json changed = Json::parse(R"({"outcome":{"change":"UPDATED"}})");
  world.on("PATCH /v1/tenants/acme/vms/web-1", changed);
  world.on("PATCH /v1/tenants/acme/vms/web-2", changed);
  Json old = vm("acme", "web-1", kReady);
  old["metadata"]["labels"] = {{"old", "1"}};
  world.on("GET /v1/tenants/acme/vms/web-1", old);
  world.on("GET /v1/tenants/acme/vms/web-2", vm("acme", "web-2", kReady));
  auto ran = world.terminal.run("label vm acme/web-1 acme/web-2 acme/gone role=db old-");
  EXPECT_EQ(ran.exit, 3) << "one is not there";
  EXPECT_EQ(ran.out,
            "vm acme/web-1 labelled: role=db, old removed\n"
            "vm acme/web-2 labelled: role=db, old was not there\n");
  EXPECT_EQ(world.body_of(1), Json::parse(R"({"metadata":{"labels":{"role":"db","old":null}}})"));
  Json labelled = vm("acme", "web-1", kReady);
  labelled["metadata"]["labels"] = {{"role", "db"}};
  world.on("GET /v1/tenants/acme/vms/web-1", labelled);
  EXPECT_EQ(world.terminal.run("label vm/acme/web-1").out, "vm acme/web-1: role=db\n");
  EXPECT_EQ(world.terminal.run("label vm/acme/web-1 a=1 a-").exit, 2);
  EXPECT_EQ(world.terminal.run("label a=1").exit, 2);
}

TEST(Diff, ServerSaysWhatWouldBecome) {
  World world;
  Json now = vm("acme", "web-1", kReady), then = now;
  now["spec"] = Json::parse(
      R"({"owner":"user:ann","nics":[{"name":"eth0","network":"blue"},{"name":"eth1","network":"red"}]})");
  then["spec"] = Json::parse(R"({"nics":[{"name":"eth0","network":"green"}],"power":"STOPPED"})");
  then["metadata"]["generation"] = "9";
  world.on("GET /v1/tenants/acme/vms/web-1", now);
  world.on("POST /v1:batch?dryRun=server",
           Json{{"items",
                 {{{"outcome", {{"change", "UPDATED"}}}, {"object", then}},
                  {{"outcome", {{"change", "CREATED"}}}, {"object", vm("acme", "new", kReady)}}}}});
  world.terminal.in =
      "kind: VirtualMachine\nmetadata: {name: web-1, tenant: acme}\n---\nkind: "
      "VirtualMachine\nmetadata: {name: new, tenant: acme}\n";
  auto ran = world.terminal.run("diff -f -");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out,
            "2 of 2 objects differ\n"
            "~ VirtualMachine/acme/web-1\n"
            "    - spec.owner: \"user:ann\"\n"
            "    ~ spec.nics[eth0].network: \"blue\" -> \"green\"\n"
            "    - spec.nics[eth1]: {\"name\":\"eth1\",\"network\":\"red\"}\n"
            "    + spec.power: \"STOPPED\"\n"
            "+ VirtualMachine/acme/new would be created\n");
  world.on("POST /v1:batch?dryRun=server", Json{{"items", {{{"object", now}}}}});
  world.terminal.in = "kind: VirtualMachine\nmetadata: {name: web-1, tenant: acme}\n";
  EXPECT_EQ(world.terminal.run("diff -f -").exit, 0);
}

TEST(Delete, ByNameAndByFile) {
  World world;
  world.on("DELETE /v1/tenants/acme/networks/blue?cascade=true", Json::parse(R"({"deleted":[
    {"kind":"VirtualMachine","tenant":"acme","name":"web-1"},{"kind":"VirtualNetwork","tenant":"acme","name":"blue"}]})"));
  world.on("DELETE /v1/tenants/acme/networks/blue",
           failure(412, {{"code", "failed_precondition"},
                         {"message", "network blue is in use by vm acme/web-1"}}));
  world.on("DELETE /v1/tenants/acme/networks/blue?dryRun=server&cascade=true", Json::object());
  world.on("DELETE /v1/tenants/corp",
           failure(412, {{"code", "failed_precondition"}, {"message", "tenant corp is in use"}}));
  world.on("DELETE /v1/tenants/corp?dryRun=server&cascade=true",
           failure(412, {{"code", "failed_precondition"},
                         {"message", "tenant corp is used by User carol"},
                         {"hint", "remove it there first"}}));
  auto ran = world.terminal.run("delete network acme/blue --cascade");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "network acme/blue deleted\n  with it: vm acme/web-1\n");
  ran = world.terminal.run("delete network acme/blue");
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("Try: penstock delete network/acme/blue --cascade"));
  ran = world.terminal.run("delete tenant corp");
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("used by User carol"));
  EXPECT_THAT(ran.err, Not(HasSubstr("Try:"))) << "--cascade would be refused as well";
  EXPECT_EQ(world.terminal.run("delete vm acme/none").exit, 3);
  EXPECT_EQ(world.terminal.run("delete vm acme/none --ignore-not-found").exit, 0);
  EXPECT_EQ(world.terminal.run("delete").exit, 2);

  world.on("DELETE /v1/tenants/a", Json::object());
  world.on("DELETE /v1/tenants/b", Json::object());
  world.terminal.in =
      "kind: Tenant\nmetadata: {name: a}\n---\nkind: Tenant\nmetadata: {name: gone}\n---\nkind: "
      "Tenant\nmetadata: {name: b}\n";
  ran = world.terminal.run("delete -f -");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "tenant b deleted\ntenant gone is not there\ntenant a deleted\n")
      << "last applied, first deleted";
}

TEST(Enable, ObserveAndEnforceAreAsked) {
  World world;
  world.on("POST /v1/tenants/acme:enable",
           Json::parse(R"({"outcome":{"change":"UPDATED"},"enablement":{"kind":"Enablement",
             "metadata":{"name":"e","tenant":"acme"},"spec":{"level":"basic","observe":true},"status":{"vms":1}}})"));
  auto ran = world.terminal.run("enable fw --observe --on vm/acme/web-1");
  EXPECT_EQ(world.body_of(0), Json::parse(R"({"vm":"web-1","profile":"fw","observe":true})"));
  EXPECT_THAT(ran.out, StartsWith("fw (basic, observing) on vm acme/web-1: changed, 1 VM\n"));
  EXPECT_THAT(ran.out, HasSubstr("not protected"));
  world.terminal.run("enable fw --enforce --on vm/acme/web-1");
  EXPECT_EQ(world.body_of(1), Json::parse(R"({"vm":"web-1","profile":"fw","observe":false})"));
  EXPECT_EQ(world.terminal.run("enable fw --enforce --observe --on vm/acme/web-1").exit, 2);
}

// What would be cut, as the server says it.
const Json kCuts = Json::parse(R"({"outcome":{"change":"CREATED","effect":{"hosts":1,"ports":1,
  "flows":"12","flowsCut":"2","examples":[{"kind":"FlowRecord","vm":"web-1","nic":"eth0","direction":"OUT",
  "outcome":"DENY","profile":"fw","level":"basic","rule":"no-ssh","ruleNumber":3,"protocol":"tcp",
  "source":{"address":"10.0.1.5","port":50112,"vm":"web-1"},"destination":{"address":"10.0.2.7","port":22}}],
  "incomplete":["host h3 is away"]}},
  "enablement":{"kind":"Enablement","metadata":{"name":"e","tenant":"acme"},"spec":{"level":"basic"}}})");

TEST(Enable, ADryRunSaysWhatWouldBeCut) {
  World world;
  world.on("POST /v1/tenants/acme:enable?dryRun=server", kCuts);
  const auto ran = world.terminal.run("enable fw --on vm/acme/web-1 --dry-run=server");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, StartsWith("would enable fw (basic) on vm acme/web-1: 1 port on 1 host; 12 "
                                  "live flows judged again, 2 would be cut:\n"
                                  "  web-1:50112 -> 10.0.2.7:22 "));
  EXPECT_THAT(ran.out, HasSubstr("out of web-1/eth0  fw#3 \"no-ssh\"\n  and 1 more\n"));
  EXPECT_THAT(ran.out, HasSubstr("not known: host h3 is away\n"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock enable fw --observe --on vm/acme/web-1\n"));
  const auto json =
      Json::parse(world.terminal.run("enable fw --on vm/acme/web-1 --dry-run=server -o json").out);
  EXPECT_EQ(at(json, "outcome", "effect", "flowsCut"), "2");
}

TEST(Enable, NothingIsAskedUnlessFlowsWouldBeCutAndSomebodyWantsTo) {
  World world;
  world.on("POST /v1/tenants/acme:enable?dryRun=server", kCuts);
  world.on("POST /v1/tenants/acme:enable", kCuts);
  EXPECT_EQ(world.terminal.run("enable fw --on vm/acme/web-1").exit, 0);
  EXPECT_EQ(world.seen().size(), 1u) << "without --confirm nothing is looked at first";

  auto ran = world.terminal.run("enable fw --on vm/acme/web-1 --confirm");
  EXPECT_EQ(ran.exit, 1) << "nobody can be asked";
  EXPECT_THAT(ran.out, HasSubstr("2 would be cut:\n"));
  EXPECT_THAT(ran.out, EndsWith("nothing was changed\n"));
  EXPECT_EQ(world.seen().size(), 2u);
  world.terminal.answer = "";
  ran = world.terminal.run("enable fw --on vm/acme/web-1 --confirm");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("Go on? [y/N]"));
  EXPECT_EQ(world.seen().size(), 3u);
  world.terminal.answer = "y";
  EXPECT_EQ(world.terminal.run("enable fw --on vm/acme/web-1 --confirm").exit, 0);
  EXPECT_EQ(world.seen().size(), 5u);

  auto harmless = kCuts;
  harmless["outcome"]["effect"]["flowsCut"] = "0";
  world.on("POST /v1/tenants/acme:enable?dryRun=server", harmless);
  world.terminal.answer.reset();
  EXPECT_EQ(world.terminal.run("enable fw --on vm/acme/web-1 --confirm").exit, 0);
}

TEST(Write, EveryDryRunSaysItsEffect) {
  World world;
  world.on("POST /v1/tenants/acme:disable?dryRun=server", kCuts);
  EXPECT_THAT(world.terminal.run("disable fw --on vm/acme/web-1 --dry-run=server").out,
              StartsWith("would disable fw on vm acme/web-1: 1 port on 1 host; 12 live flows"));
  world.on("DELETE /v1/tenants/acme/vms/web-1?dryRun=server", kCuts);
  EXPECT_THAT(world.terminal.run("delete vm acme/web-1 --dry-run=server").out,
              StartsWith("vm acme/web-1 would be deleted: 1 port on 1 host; 12 live flows"));
  world.on("PATCH /v1/tenants/acme/vms/web-1?dryRun=server", kCuts);
  EXPECT_THAT(
      world.terminal.run({"patch", "vm/acme/web-1", "-p", "{spec: {}}", "--dry-run=server"}).out,
      StartsWith("vm acme/web-1 would be changed: 1 port on 1 host; 12 live flows"));
  auto batch = kCuts;
  batch["items"] = Json::array({{{"outcome", {{"change", "CREATED"}}}}});
  world.on("POST /v1:batch?dryRun=server", batch);
  world.terminal.in = "kind: Tenant\nmetadata: {name: a}\n";
  EXPECT_THAT(
      world.terminal.run("apply -f - --dry-run=server").out,
      StartsWith("dry run: 1 object: 1 created, 0 updated, 0 unchanged; 1 port on 1 host; "));
}

TEST(Enable, TargetsAndOutcome) {
  World world;
  const Json enablement = Json::parse(
      R"({"kind":"Enablement","metadata":{"name":"web-ips","tenant":"acme"},"spec":{"level":"gold"},"status":{"vms":40}})");
  world.on("POST /v1/tenants/acme:enable",
           Json{{"enablement", enablement}, {"outcome", {{"change", "CREATED"}}}});
  auto ran = world.terminal.run("enable ips --level gold --on pool/acme/web");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out,
            "ips (gold) on pool acme/web: enabled, 40 VMs\nTry: penstock wait "
            "enablement/acme/web-ips --for=applied\n");
  EXPECT_EQ(world.body_of(0), Json::parse(R"({"pool":"web","profile":"ips","level":"gold"})"));
  world.terminal.run("enable ips --on nic/web-1/eth0 -t acme");
  EXPECT_EQ(world.body_of(1),
            Json::parse(R"({"nic":{"vm":"web-1","nic":"eth0"},"profile":"ips"})"));
  world.on("POST /v1/tenants/acme:enable?wait=applied&deadline=10s",
           Json{{"enablement", enablement},
                {"outcome", Json::parse(R"({"deadlinePassed":true,"rollout":{"hosts":3,"applied":2,
             "waiting":[{"host":"h3","state":"FAILED","message":"map full"}]}})")}});
  ran = world.terminal.run("enable ips --on pool/acme/web --wait --deadline 10s");
  EXPECT_EQ(ran.exit, 7);
  EXPECT_THAT(ran.out, HasSubstr("h3 not applied: map full"));
  EXPECT_THAT(ran.out, HasSubstr("Try: penstock explain enablement/acme/web-ips\n"));
  world.on(
      "POST /v1/tenants/acme:disable",
      Json::parse(R"({"outcome":{"change":"DELETED"},"warnings":["still on through pool web"]})"));
  ran = world.terminal.run("disable ips --on vm/acme/web-1");
  EXPECT_EQ(ran.out, "ips on vm acme/web-1: disabled\nwarning: still on through pool web\n");
}

TEST(Definition, PartsAndSubmission) {
  World world;
  const Folder folder;
  const auto part = folder.write("p.yaml", "levels:\n  - name: gold\n    limit: 1\n");
  world.on("POST /v1/definitions/ips:add", Json::parse(R"({"outcome":{"change":"UPDATED"}})"));
  auto ran = world.terminal.run("definition add ips -f " + part);
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(world.body_of(0)["part"]["levels"][0]["name"], "gold");
  world.on("POST /v1/definitions/ips:add",
           failure(400, Json::parse(R"({"code":"invalid_argument","message":"1 error",
    "details":[{"field":"part.levels[0].limit","message":"unknown field","hint":"did you mean \"limits\"?"}]})")));
  ran = world.terminal.run("definition add ips -f " + part);
  EXPECT_EQ(ran.exit, 6);
  EXPECT_THAT(ran.err, HasSubstr("p.yaml:3:5  "));
  // With "spec:" around it, or as a whole definition.
  const auto whole = folder.write("q.yaml", "spec:\n  levels:\n    - name: gold\n      limit: 1\n");
  ran = world.terminal.run("definition add ips -f " + whole);
  EXPECT_THAT(ran.err, HasSubstr("q.yaml:4:7  "));
  EXPECT_EQ(Json::parse(world.seen().back().body)["part"]["levels"][0]["name"], "gold");
  world.on("POST /v1/definitions/ips:submit",
           Json::parse(R"({"object":{"spec":{"version":"2.1"}}})"));
  EXPECT_THAT(world.terminal.run("definition submit ips").out,
              StartsWith("definition ips submitted, version 2.1\n"));
}

}  // namespace
}  // namespace penstock::cli
