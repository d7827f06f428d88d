// Words to exit codes: the parser, the server's address and failures, login, schema, completion.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/http/client.h"
#include "cli/testing/world.h"
#include "model/kinds.h"

namespace penstock::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Words, EveryVerbHasAnExampleThatParses) {
  CommandLine line({});
  ASSERT_GT(line.verbs.all().size(), 15U);
  for (const auto& verb : line.verbs.all()) {
    EXPECT_FALSE(verb->examples.empty()) << verb->app->get_name();
    EXPECT_THAT(verb->app->help(), HasSubstr("Example")) << verb->app->get_name();
    for (const auto& example : verb->examples) {
      EXPECT_THAT(example, HasSubstr("penstock "));
      // The part after a pipe is a command of its own.
      std::string rest = example;
      for (auto bar = rest.find(" | "); bar != std::string::npos; bar = rest.find(" | ")) {
        expect_parses(rest.substr(0, bar), example);
        rest.erase(0, bar + 3);
      }
      expect_parses(rest, example);
    }
  }
}

TEST(Words, MistypedVerbOrOptionIsUsageWithASuggestion) {
  const Terminal terminal;
  auto ran = terminal.run("aply -f x");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean \"apply\"?"));
  ran = terminal.run("get vms --selectr a=b");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean \"--selector\"?"));
  EXPECT_THAT(ran.err, HasSubstr("Try: penstock get --help"));
  EXPECT_EQ(terminal.run("").exit, 2);
  EXPECT_EQ(terminal.run("auth").exit, 2);
  EXPECT_EQ(terminal.run("auth whoamy").exit, 2);
  EXPECT_EQ(terminal.run("get").exit, 2);
  EXPECT_EQ(terminal.run("enable ips").exit, 2) << "--on is needed";
  EXPECT_EQ(terminal.run("get vmz").exit, 2);
  EXPECT_THAT(terminal.run("get vmz").err, HasSubstr("did you mean"));
  EXPECT_EQ(terminal.run("get vms -o jsn").exit, 2);
  EXPECT_EQ(terminal.run("get vms --columns NAM").exit, 2);
  EXPECT_EQ(terminal.run("describe vm web-1").exit, 2) << "of which tenant?";
  EXPECT_EQ(terminal.run("describe host acme/h1").exit, 2) << "hosts have no tenant";
  EXPECT_EQ(terminal.run("wait vm acme/web-1 --for=glory").exit, 2);
  EXPECT_EQ(terminal.run("wait vm acme/web-1 --deadline soon").exit, 2);
  EXPECT_EQ(terminal.run("enable ips --on host/h1").exit, 2);
  EXPECT_EQ(terminal.run("apply -f x --dry-run=client").exit, 2);
  EXPECT_EQ(terminal.run("apply -f x --deadline 1s").exit, 2) << "--deadline without --wait";
  EXPECT_EQ(terminal.run("completion tcsh").exit, 2);
}

TEST(Words, SwappedLettersAndKindsAreKnown) {
  const Terminal terminal;
  EXPECT_THAT(terminal.run("gte vms").err, HasSubstr("did you mean \"get\"?"));
  EXPECT_THAT(terminal.run("get VirtualMachin").err, HasSubstr("did you mean \"VirtualMachine\"?"));
  EXPECT_THAT(terminal.run("describe vm web-1").err,
              HasSubstr("of which tenant? write TENANT/web-1"));
  for (const auto* verb : {"describe", "explain", "wait", "patch -p {}"})
    EXPECT_EQ(terminal.run(std::string(verb) + " vm acme/a acme/b").exit, 2) << verb;
  EXPECT_THAT(terminal.run("describe --help").out, Not(HasSubstr("object TEXT ...")));
}

TEST(Words, HelpNamesTheGlobalOptions) {
  CommandLine line({});
  for (const auto& verb : line.verbs.all()) {
    const auto help = verb->app->help();
    for (const auto* option : {"--server", "--token", "--tenant"})
      EXPECT_THAT(help, HasSubstr(option)) << verb->app->get_name();
  }
}

TEST(Words, HelpGoesToOutAndIsDone) {
  const Terminal terminal;
  EXPECT_EQ(terminal.run("help apply").out, terminal.run("apply --help").out);
  EXPECT_EQ(terminal.run("help auth whoami").out, terminal.run("auth whoami --help").out);
  EXPECT_EQ(terminal.run("help").out, terminal.run("--help").out);
  EXPECT_EQ(terminal.run("help aply").exit, 2);
  EXPECT_THAT(terminal.run("help aply").err, HasSubstr("did you mean \"apply\"?"));
  EXPECT_EQ(terminal.run("--version").out, terminal.run("version").out);
  const auto ran = terminal.run("apply --help");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, HasSubstr("--dry-run"));
  EXPECT_THAT(terminal.run("--help").out, HasSubstr("catalog"));
  EXPECT_EQ(terminal.run("version").exit, 0);
}

TEST(Words, ExitCodesAreThoseOfTheDocument) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/cli.md");
  std::stringstream text;
  text << file.rdbuf();
  std::set<int> numbers;
  for (const auto& row : exit_table()) {
    EXPECT_THAT(text.str(), HasSubstr("| " + std::to_string(static_cast<int>(row.exit)) + " | " +
                                      std::string(row.meaning) + " |"));
    EXPECT_TRUE(numbers.insert(static_cast<int>(row.exit)).second);
  }
  CommandLine line({});
  for (const auto& verb : line.verbs.all()) {
    std::string name = verb->app->get_name();
    for (auto* parent = verb->app->get_parent(); parent->get_parent();
         parent = parent->get_parent()) {
      name = parent->get_name() + " " + name;
    }
    EXPECT_THAT(text.str(), HasSubstr("`" + name)) << "not in docs/cli.md";
  }
}

TEST(Server, UnreachableIsExit9) {
  Terminal terminal;
  terminal.env["PENSTOCK_SERVER"] = "http://127.0.0.1:1";
  const auto ran = terminal.run("status");
  EXPECT_EQ(ran.exit, 9);
  EXPECT_THAT(ran.err, HasSubstr("http://127.0.0.1:1"));
  EXPECT_THAT(ran.err, HasSubstr("is penstockd running"));
  EXPECT_THAT(ran.err, Not(HasSubstr("Try: penstock login"))) << "that would fail the same way";
  EXPECT_EQ(ran.out, "");
}

TEST(Server, BadAddressIsRefused) {
  const Terminal terminal;
  EXPECT_EQ(terminal.run("status --server https://x").exit, 6);
  EXPECT_THAT(terminal.run("status --server https://x").err, HasSubstr("unix:/"));
  EXPECT_EQ(terminal.run("status --server http://x:y").exit, 6);
  EXPECT_EQ(terminal.run("status --server ::1").exit, 6);
  EXPECT_EQ(parse_server("[::1]:9")->text(), "http://[::1]:9");
  EXPECT_EQ(parse_server("http://h/")->text(), "http://h:7780");
}

TEST(Server, FailureKeepsItsWordsAndDecidesTheExit) {
  World world;
  const auto exit_for = [&](int status, const char* code) {
    world.on("GET /v1:status",
             failure(status, {{"code", code}, {"message", "no"}, {"hint", "penstock get hosts"}}));
    const auto ran = world.terminal.run("status");
    EXPECT_THAT(ran.err, HasSubstr("Try: penstock get hosts"));
    return ran.exit;
  };
  EXPECT_EQ(exit_for(404, "not_found"), 3);
  EXPECT_EQ(exit_for(403, "permission_denied"), 4);
  EXPECT_EQ(exit_for(401, "unauthenticated"), 4);
  EXPECT_EQ(exit_for(409, "conflict"), 5);
  EXPECT_EQ(exit_for(412, "failed_precondition"), 5);
  EXPECT_EQ(exit_for(400, "invalid_argument"), 6);
  EXPECT_EQ(exit_for(504, "deadline_exceeded"), 7);
  EXPECT_EQ(exit_for(500, "internal"), 8);
  EXPECT_EQ(exit_for(503, "unavailable"), 9);
  world.on("GET /v1:status", ScriptedAnswer{.status = 502, .body = "<html>"});
  EXPECT_EQ(world.terminal.run("status").exit, 9);
  world.on("GET /v1:status", ScriptedAnswer{.body = "<html>"});
  EXPECT_EQ(world.terminal.run("status").exit, 8) << "an answer that is no JSON";
  EXPECT_EQ(world.seen()[0].authorization, "Bearer secret");
}

TEST(Server, ConnectionIsKeptAndReplacedWhenItDied) {
  World world;
  const Json page1{{"items", {vm("acme", "a", kReady)}}, {"continue", "x/1"}, {"revision", "9"}};
  const Json page2{{"items", {vm("acme", "b", kReady)}}, {"revision", "9"}};
  world.on("GET /v1/tenants/acme/vms", page1);
  world.on("GET /v1/tenants/acme/vms?continue=x%2F1", page2);
  EXPECT_THAT(world.terminal.run("get vms -t acme -o name").out, "vm/acme/a\nvm/acme/b\n");
  EXPECT_EQ(world.connections(), 1);
  world.on("GET /v1/tenants/acme/vms", ScriptedAnswer{.body = page1.dump(), .close_after = true});
  EXPECT_THAT(world.terminal.run("get vms -t acme -o name").out, "vm/acme/a\nvm/acme/b\n");
  EXPECT_EQ(world.connections(), 3);
  world.on("GET /v1/tenants/acme/vms", ScriptedAnswer{.hang_up = true});
  EXPECT_EQ(world.terminal.run("get vms -t acme").exit, 9);
  EXPECT_EQ(world.connections(), 4) << "a new connection that breaks is not tried again and again";
}

TEST(Login, StoresForLaterAndNeverWhatDoesNotWork) {
  World world;
  const Folder folder;
  Terminal terminal;
  terminal.env["HOME"] = folder.path();
  const std::string file = folder.path() + "/.config/penstock/config.json";
  auto ran = terminal.run({"login", "--server", world.url(), "--token", "bad"});
  EXPECT_EQ(ran.exit, 3);
  world.on("GET /v1:whoami", failure(401, {{"code", "unauthenticated"},
                                           {"message", "no valid token"},
                                           {"hint", "log in: penstock login"}}));
  ran = terminal.run({"login", "--server", world.url(), "--token", "bad"});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_THAT(ran.err, HasSubstr("does not take this token"));
  EXPECT_THAT(ran.err, Not(HasSubstr("Try: penstock login"))) << "that is what was tried";
  EXPECT_FALSE(std::filesystem::exists(file));
  world.on(
      "GET /v1:whoami",
      Json::parse(
          R"({"user":"ann","roles":[{"role":"TENANT_ADMINISTRATOR","tenant":"acme"}],"groups":["net"]})"));
  terminal.in = "good\n";
  ran = terminal.run({"login", "--server", world.url(), "--token-stdin", "--tenant", "acme"});
  EXPECT_EQ(ran.exit, 3) << "no such tenant";
  EXPECT_FALSE(std::filesystem::exists(file));
  world.on("GET /v1/tenants/acme", Json{{"kind", "Tenant"}, {"metadata", {{"name", "acme"}}}});
  ran = terminal.run({"login", "--server", world.url(), "--token-stdin", "--tenant", "acme"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("as ann: TENANT_ADMINISTRATOR of acme; groups net"));
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(terminal.run("auth whoami").exit, 0);
  EXPECT_EQ(world.seen().back().authorization, "Bearer good");
  world.on("GET /v1/tenants/acme/vms", Json{{"items", {vm("acme", "a", kReady)}}});
  EXPECT_EQ(terminal.run("get vms -o name").out, "vm/acme/a\n");
  terminal.env["PENSTOCK_TOKEN"] = "other";
  terminal.run("auth whoami");
  EXPECT_EQ(world.seen().back().authorization, "Bearer other")
      << "the environment goes over the file";
  folder.write(".config/penstock/config.json", "{\"sever\": \"x\"}");
  EXPECT_EQ(terminal.run("status").exit, 6);
  EXPECT_EQ(terminal.run({"login", "--server", world.url()}).exit, 0) << "login mends the file";
  EXPECT_EQ(terminal.run("auth whoami").exit, 0);
}

TEST(Schema, OfEveryKind) {
  const Terminal terminal;
  for (const auto& kind : kinds()) {
    const auto ran = terminal.run({"schema", kind.name});
    EXPECT_EQ(ran.exit, 0);
    const Json schema = Json::parse(ran.out);
    EXPECT_EQ(schema["properties"]["kind"]["const"], kind.name);
    EXPECT_EQ(schema["$defs"]["Metadata"]["properties"].contains("tenant"), kind.tenant_scoped)
        << kind.name;
    EXPECT_THAT(ran.out, Not(HasSubstr("_UNSPECIFIED")));
    // Every reference leads somewhere.
    const auto text = ran.out;
    constexpr std::string_view kRef = "\"#/$defs/";
    for (auto at = text.find(kRef); at != std::string::npos; at = text.find(kRef, at + 1)) {
      const auto start = at + kRef.size();
      EXPECT_TRUE(schema["$defs"].contains(text.substr(start, text.find('"', start) - start)));
    }
  }
  const Json schema = Json::parse(terminal.run("schema definition").out);
  EXPECT_EQ(schema["$defs"]["ServiceDefinitionSpec"]["required"],
            Json::parse(R"(["vendor","serviceName","version"])"));
  EXPECT_EQ(terminal.run("schema vn").exit, 2);
}

TEST(Complete, VerbsOptionsKindsAndNames) {
  World world;
  world.on("GET /v1/tenants/acme/vms",
           Json{{"items", {vm("acme", "web-1", kReady), vm("acme", "db-1", kReady)}}});
  world.on("GET /v1/vms", Json{{"items", {vm("acme", "web-1", kReady), vm("zeta", "x", kReady)}}});
  world.on("GET /v1/hosts", Json::parse(R"({"items":[{"metadata":{"name":"h1"}}]})"));
  world.on("GET /v1/tenants/acme/catalog",
           Json::parse(R"({"entries":[{"metadata":{"name":"ips"}}]})"));
  world.on("GET /v1/profiles/ips", Json::parse(R"({"status":{"levels":["gold","silver"]}})"));
  Terminal& terminal = world.terminal;
  const auto complete = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "__complete");
    const auto ran = terminal.run(words);
    EXPECT_EQ(ran.exit, 0);
    EXPECT_EQ(ran.err, "");
    return ran.out;
  };
  EXPECT_EQ(complete({"de"}), "definition\ndelete\ndescribe\n");
  EXPECT_EQ(complete({"definition", ""}), "add\nsubmit\n");
  EXPECT_EQ(complete({"get", "vms", "--sel"}), "--selector\n");
  EXPECT_EQ(complete({"get", "v"}), "vm\n");
  EXPECT_EQ(complete({"get", "vm", ""}), "acme/web-1\nzeta/x\n") << "no default tenant: full names";
  EXPECT_EQ(complete({"describe", "vm/"}), "vm/acme/web-1\nvm/zeta/x\n");
  EXPECT_EQ(complete({"-t", "acme", "get", "vm", "w"}), "web-1\n");
  EXPECT_EQ(complete({"get", "-o", "j"}), "json\njsonpath=\n");
  EXPECT_EQ(complete({"get", "--output=ya"}), "--output=yaml\n");
  EXPECT_EQ(complete({"explain", "vm", "x", "--host", ""}), "h1\n");
  terminal.env["PENSTOCK_TENANT"] = "acme";
  EXPECT_EQ(complete({"enable", ""}), "ips\n");
  EXPECT_EQ(complete({"enable", "ips", "--level", "g"}), "gold\n");
  EXPECT_EQ(complete({"enable", "ips", "--on", ""}), "network/\nnic/\npool/\nvm/\n");
  EXPECT_EQ(complete({"enable", "ips", "--on", "vm/d"}), "vm/db-1\n");
  EXPECT_EQ(complete({"nonsense", ""}), complete({""}));
  EXPECT_EQ(complete({"enable", "ips", ""}), "") << "one profile, not two";
  EXPECT_EQ(complete({"describe", "vm", "web-1", ""}), "");
  EXPECT_EQ(complete({"describe", "vm/acme/web-1", ""}), "");
  EXPECT_EQ(complete({"get", "vm", "web-1", "d"}), "db-1\n") << "any number of names";
  terminal.env["PENSTOCK_SERVER"] = "http://127.0.0.1:1";
  EXPECT_EQ(complete({"get", "vm", ""}), "") << "a server that is away knows no names";
}

TEST(Complete, BashScriptAsksTheProgram) {
  const Folder folder;
  const Terminal terminal;
  const auto script = folder.write("complete.bash", terminal.run("completion bash").out);
  const auto program = folder.write("penstock", "#!/bin/sh\nshift\necho \"<$*>\"\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const std::string command = "bash -c '. " + script + "; COMP_WORDS=(" + program +
                              " get vm \"\"); COMP_CWORD=3; _penstock; echo \"${COMPREPLY[0]}\"'";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char line[256] = {};
  EXPECT_NE(::fgets(line, sizeof line, pipe), nullptr);
  ::pclose(pipe);
  EXPECT_STREQ(line, "<get vm >\n");
}

}  // namespace
}  // namespace penstock::cli
