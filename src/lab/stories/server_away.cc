// The packet path needs neither the server nor the agent.
#include <regex>
#include <thread>

#include <fmt/format.h>

#include "lab/stories/story.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

Json firewall_definition() {
  return {{"kind", "ServiceDefinition"},
          {"metadata", {{"name", "ping-only"}}},
          {"spec",
           {{"vendor", "demo"},
            {"serviceName", "ping only"},
            {"version", "1"},
            {"insertionPoint", "VIRTUAL_SWITCH"},
            {"levels", Json::array({{{"name", "basic"}}})},
            {"filter",
             {{"defaultIn", "DENY"},
              {"rules", Json::array({{{"name", "ping"},
                                      {"direction", "IN"},
                                      {"action", "ALLOW"},
                                      {"protocols", {"icmp"}}}})}}}}}};
}

Json profile() {
  return {
      {"kind", "ServiceProfile"},
      {"metadata", {{"name", "ping-only"}}},
      {"spec",
       {{"definition", "ping-only"}, {"published", true}, {"availability", {{"everyone", true}}}}}};
}

Json enablement() {
  return {{"kind", "Enablement"},
          {"metadata", {{"tenant", "acme"}, {"name", "web-ping-only"}}},
          {"spec", {{"profile", "ping-only"}, {"vm", "web"}}}};
}

struct Pings {
  int sent = 0, received = 0;
};

// What ping(8) counts at its end.
Pings counted(const std::string& said) {
  static const std::regex kCounts("([0-9]+) packets transmitted, ([0-9]+) received");
  std::smatch match;
  if (!std::regex_search(said, match, kCounts)) return {};
  return {std::stoi(match[1]), std::stoi(match[2])};
}

}  // namespace

Status tell_server_away(Stage& stage) {
  auto& teller = stage.teller;
  teller.say(
      "Two hosts, VMs web and near on h1, far on h2; a firewall on web that lets only ping in");
  PENSTOCK_CHECK(stage.up_file(shipped("examples/figure1.yaml")));
  auto& lab = stage.lab();
  auto admin = PENSTOCK_TRY(lab.api());
  const auto web = stage.address("acme/web");
  const auto near =
      PENSTOCK_TRY(lab.enter("acme/near"));  // asked now: later nobody can say where it is
  const auto in_near = [&](const std::string& command) {
    auto spec = near;
    spec.words = {"/bin/sh", "-c", command};
    const auto output = capture_in(spec, 5'000);
    return output ? output->status : 127;
  };
  const auto http = [&] {
    return in_near(fmt::format("curl -s -m 1 -o /dev/null http://{}/", web)) == 0;
  };
  const auto blocked = [&] {
    return !http() && in_near(fmt::format("ping -c 1 -W 1 {}", web)) == 0;
  };
  PENSTOCK_CHECK(stage.start("httpd", "acme/web", "exec busybox httpd -f -p 80 -h /usr/share"));
  teller.check(Stage::soon(http, 5s), "before it is enabled HTTP passes");
  for (auto object : {firewall_definition(), profile(), enablement()})
    PENSTOCK_CHECK(stage.put(admin, std::move(object)));
  teller.check(blocked(), "enabled: ping passes, HTTP is blocked");

  teller.say("200 pings a second from both VMs, all through what follows");
  for (const auto* from : {"near", "far"})
    PENSTOCK_CHECK(stage.start(std::string("ping-") + from, std::string("acme/") + from,
                               fmt::format("exec ping -q -i 0.005 -w 8 {}", web)));
  std::this_thread::sleep_for(1s);

  teller.say("kill -9 of the management server");
  PENSTOCK_CHECK(lab.stop_server(true));
  std::this_thread::sleep_for(500ms);
  teller.check(blocked(), "without the server the policy holds");

  teller.say("kill -9 of h1's agent, under that traffic");
  PENSTOCK_CHECK(lab.stop_host("h1", true));
  std::this_thread::sleep_for(500ms);
  teller.check(blocked(), "without server and agent the policy holds");

  teller.say("The agent starts again; it has only its own file to go by");
  PENSTOCK_CHECK(lab.start_host("h1"));
  std::this_thread::sleep_for(1s);
  teller.check(blocked(), "the policy holds after the restart");

  teller.say("The server starts again");
  PENSTOCK_CHECK(lab.start_server());
  auto again = PENSTOCK_TRY(lab.api());
  teller.check(again.get({"enablements", "acme", "web-ping-only"}).has_value(),
               "it kept what it had acknowledged");
  PENSTOCK_CHECK(again.remove({"enablements", "acme", "web-ping-only"}, false, {false, true, 15s}));
  teller.check(Stage::soon(http, 10s), "and a change reaches the host again: HTTP passes");

  teller.say("What the pings saw");
  for (const std::string from : {"near", "far"}) {
    Stage::soon([&] { return counted(stage.said("ping-" + from)).sent != 0; }, 15s);
    const auto pings = counted(stage.said("ping-" + from));
    teller.detail(fmt::format("from {}: {} sent, {} came back", from, pings.sent, pings.received));
    // The last one may be on its way when ping ends.
    teller.check(pings.sent > 100 && pings.sent - pings.received <= 1,
                 fmt::format("no ping from {} was lost", from));
  }
  return {};
}

}  // namespace penstock::lab
