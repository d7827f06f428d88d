// penstock trace end to end: the real command, two real hosts, and the real packet beside each
// trace.
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "tests/scenarios/lab_fixture.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;
using Json = cli::Json;

class Trace : public LabTest {
 protected:
  void furnish() {
    up(R"(
networks: [{name: a, subnet: 192.0.2.0/24}, {name: b, subnet: 198.51.100.0/24}]
hosts: [{name: h1, network: a}, {name: h2, network: b}]
tunables: [flow_entries=4096, policy_arena_kib=1024]
tenants:
  - name: acme
    networks: [{name: blue, subnets: [10.0.0.0/24, "fd00::/64"]}]
    vms: [{name: web, network: blue, host: h1}, {name: near, network: blue, host: h1}, {name: far, network: blue, host: h2}]
)");
    if (HasFatalFailure()) return;
    ASSERT_TRUE(
        lab().apply_file(std::string(PENSTOCK_SOURCE_DIR) + "/services/firewall/definition.yaml"));
    ASSERT_TRUE(
        lab().apply_file(std::string(PENSTOCK_SOURCE_DIR) + "/services/firewall/profile.yaml"));
    ASSERT_TRUE(
        put({{"kind", "Enablement"},
             {"metadata", {{"tenant", "acme"}, {"name", "web-fw"}}},
             {"spec", {{"profile", "office-firewall"}, {"level", "basic"}, {"vm", "web"}}}}));
    for (const auto* vm : {"web", "far"})
      for (const bool v6 : {false, true})
        for (const auto* port : {"22", "23", "25"}) listen(vm, v6, port);
  }
  void listen(const std::string& vm, bool v6, const std::string& port) {
    auto spec = lab().enter("acme/" + vm);
    ASSERT_TRUE(spec);
    spec->words = {"nc", v6 ? "-6" : "-4", "-lk", address_of("acme", vm, v6), port};
    const auto name = fmt::format("nc-{}-{}-{}", vm, v6 ? 6 : 4, port);
    spec->log = lab().folder().path("logs/" + name);
    ASSERT_TRUE(start_daemon(lab().folder(), name, *spec));
  }
  Output penstock(const std::string& words) {
    return run(
        "router",
        {"sh", "-c",
         fmt::format("PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {}) PENSTOCK_TENANT=acme {} {} 2>&1",
                     lab().folder().server_url(), lab().folder().admin_token_file(),
                     built("penstock"), words)},
        30'000);
  }
  Json trace(const std::string& words) {
    const auto output = penstock("trace " + words + " -o json");
    auto json = Json::parse(output.text, nullptr, false);
    EXPECT_TRUE(json.is_object()) << words << ": " << output.text;
    return json;
  }
  // What a real packet meets: "DELIVERED" (and answered), "DROPPED", "REJECTED".
  std::string real(const std::string& from, const std::string& address, const std::string& port) {
    if (port.empty()) return pings("acme/" + from, address) ? "DELIVERED" : "DROPPED";
    const auto output =
        run("acme/" + from, {"sh", "-c", "nc -zv -w 1 " + address + " " + port + " 2>&1"});
    if (output.status == 0) return "DELIVERED";
    return output.text.find("refused") != std::string::npos ||
                   output.text.find("prohibited") != std::string::npos
               ? "REJECTED"
               : "DROPPED";
  }
  void expect_golden(const std::string& name, const std::string& words) {
    const auto output = penstock("trace " + words + " --minimal");
    const auto path = std::string(PENSTOCK_SOURCE_DIR) + "/tests/golden/trace/" + name + ".txt";
    if (std::getenv("PENSTOCK_UPDATE_GOLDEN")) {
      std::ofstream(path) << output.text;
      return;
    }
    std::ifstream file(path);
    std::stringstream wanted;
    wanted << file.rdbuf();
    EXPECT_EQ(output.text, wanted.str()) << "penstock trace " << words;
  }
};

TEST_F(Trace, SaysWhatRealPacketsMeet) {
  furnish();
  if (HasFatalFailure()) return;
  for (const bool v6 : {false, true}) {
    const auto web = address_of("acme", "web", v6), far = address_of("acme", "far", v6);
    const auto destination = [&](const std::string& address, const std::string& port) {
      if (port.empty()) return address;
      return (v6 ? "[" + address + "]" : address) + ":" + port + "/tcp";
    };
    struct Case {
      std::string from, to, port, name;
    };
    for (const auto& one : std::initializer_list<Case>{{"near", web, "22", "local-allowed"},
                                                       {"far", web, "22", "remote-allowed"},
                                                       {"near", web, "23", "local-denied"},
                                                       {"far", web, "23", "remote-denied"},
                                                       {"web", far, "25", "rejected"},
                                                       {"web", far, "23", "out-allowed"},
                                                       {"far", web, "", "echo"},
                                                       {"near", far, "25", "no-service"}}) {
      const auto words = "acme/" + one.from + " " + destination(one.to, one.port);
      SCOPED_TRACE(words);
      // First the trace: it may leave nothing behind that the packet would meet.
      const auto traced = trace(words);
      EXPECT_EQ(cli::text_at(cli::at(traced, "disposition")), real(one.from, one.to, one.port));
      if (cli::text_at(cli::at(traced, "disposition")) == "DELIVERED") {
        EXPECT_EQ(cli::text_at(cli::at(traced, "reply", "disposition")), "DELIVERED");
      }
      expect_golden(one.name + (v6 ? "-v6" : ""), words);
    }
    expect_golden(v6 ? "spoofed-v6" : "spoofed",
                  fmt::format("acme/near {} --from {}", destination(web, "22"),
                              v6 ? "fd00::99" : "10.0.0.99"));
    expect_golden(v6 ? "nobody-v6" : "nobody",
                  "acme/near " + destination(v6 ? "fd00::99" : "10.0.0.99", "22"));
    expect_golden(v6 ? "no-route-v6" : "no-route",
                  "acme/near " + destination(v6 ? "2001:db8::1" : "8.8.8.8", "53"));
  }
  // Whoever asks twice gets the same.
  const auto once =
      penstock("trace acme/far " + address_of("acme", "web") + ":22 --minimal -o json");
  EXPECT_EQ(once.text,
            penstock("trace acme/far " + address_of("acme", "web") + ":22 --minimal -o json").text);
  EXPECT_EQ(once.status, 0);
  // Every printed next command works.
  const auto dropped = penstock("trace acme/near " + address_of("acme", "web") + ":23");
  EXPECT_EQ(dropped.status, 1);
  const auto hint = dropped.text.find("Try: penstock ");
  ASSERT_NE(hint, std::string::npos) << dropped.text;
  const auto next = dropped.text.substr(hint + 14, dropped.text.find('\n', hint) - hint - 14);
  EXPECT_EQ(penstock(next).status, 0) << next;
}

TEST_F(Trace, BadInputIsAnError) {
  furnish();
  if (HasFatalFailure()) return;
  const auto refused = [&](const std::string& words, int status, const char* text) {
    const auto output = penstock("trace " + words);
    EXPECT_EQ(output.status, status) << words << ": " << output.text;
    EXPECT_NE(output.text.find(text), std::string::npos) << output.text;
  };
  refused("acme/nobody 10.0.0.2:22", 3, "nobody");
  refused("acme/near nobody:22", 6, "packet.destination");
  refused("acme/near 10.0.0.2:22 --flags sin", 6, "sin");
  refused("acme/near 10.0.0.2:22 --length 10", 6, "headers");
  refused("acme/near 10.0.0.2/tcp", 6, "destinationPort");
  refused("acme/near", 2, "two ends");
}

TEST_F(Trace, AHostThatIsAwayIsWhereItEnds) {
  furnish();
  if (HasFatalFailure()) return;
  ASSERT_TRUE(lab().stop_host("h2", true));
  const auto words = "acme/web " + address_of("acme", "far") + ":22";
  ASSERT_TRUE(
      soon([&] { return trace(words)["reason"].dump().find("is away") != std::string::npos; }));
  const auto traced = trace(words);
  EXPECT_EQ(traced["disposition"], "UNKNOWN");
  EXPECT_EQ(traced["at"], "h2");
  EXPECT_EQ(traced["steps"][0]["host"], "h1");
  expect_golden("host-away", words);
  EXPECT_EQ(real("web", address_of("acme", "far"), "22"), "DELIVERED") << "the data path goes on";
}

TEST_F(Trace, LiveShowsTheNextRealPacket) {
  furnish();
  if (HasFatalFailure()) return;
  const auto watch = [&](const std::string& name, const std::string& words) {
    auto spec = lab().enter("router");
    ASSERT_TRUE(spec);
    spec->words = {
        "sh", "-c",
        fmt::format(
            "PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {}) PENSTOCK_TENANT=acme {} trace {} --live "
            "--deadline 20s; echo exit $?",
            lab().folder().server_url(), lab().folder().admin_token_file(), built("penstock"),
            words)};
    spec->log = lab().folder().path("logs/" + name);
    ASSERT_TRUE(start_daemon(lab().folder(), name, *spec));
  };
  const auto said = [&](const std::string& name) {
    return lab().folder().read("logs/" + name).value_or("");
  };
  const auto web = address_of("acme", "web");
  // Packets until the watch has begun and has seen one.
  const auto meets = [&](const std::string& name, const std::function<void()>& packet) {
    EXPECT_TRUE(soon(
        [&] {
          packet();
          return said(name).find("exit ") != std::string::npos;
        },
        30'000))
        << said(name);
    return said(name);
  };
  watch("live-echo", "acme/far " + web);
  const auto echo = meets("live-echo", [&] { pings("acme/far", web); });
  EXPECT_TRUE(echo.starts_with("DELIVERED to web/eth0 on host h1")) << echo;
  EXPECT_NE(echo.find("reply path: DELIVERED to far/eth0"), std::string::npos) << echo;
  EXPECT_NE(echo.find("exit 0"), std::string::npos) << echo;
  watch("live-denied", "acme/far " + web + ":23");
  const auto denied = meets("live-denied", [&] { (void)real("far", web, "23"); });
  EXPECT_TRUE(denied.starts_with(
      "DROPPED at web/eth0 on host h1 by the default of profile office-firewall"))
      << denied;
  // Killed while one is watched: the next agent puts its own programs back, and all goes on.
  watch("live-killed", "acme/near " + web + ":22");
  std::this_thread::sleep_for(3s);
  ASSERT_TRUE(lab().stop_host("h1", true));
  EXPECT_TRUE(pings("acme/near", web));
  ASSERT_TRUE(lab().start_host("h1"));
  EXPECT_TRUE(soon([&] { return pings("acme/near", web) && pings("acme/far", web); }));
  EXPECT_EQ(real("far", web, "23"), "DROPPED");
  EXPECT_TRUE(soon([&] { return trace("acme/near " + web)["disposition"] == "DELIVERED"; }));
}

}  // namespace
}  // namespace penstock::lab
