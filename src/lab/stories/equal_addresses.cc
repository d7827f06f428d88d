// Two tenants chose the same private addresses, on the same hosts. Neither sees the other.
#include <fmt/format.h>

#include "lab/stories/story.h"

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;

Status web(Stage& stage, const std::string& tenant) {
  // An answer in a loop: a server that needs no file.
  return stage.start(
      "web-" + tenant, tenant + "/web",
      fmt::format("while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nthis is {}\\n' | "
                  "busybox nc -l -p 80; done",
                  tenant));
}

std::string asked(Stage& stage, const std::string& vm, const std::string& address) {
  return stage.run(vm, fmt::format("curl -s --max-time 1 http://{}/", address), 3'000).text;
}

}  // namespace

Status tell_equal_addresses(Stage& stage) {
  auto& teller = stage.teller;
  teller.say(
      "Two tenants, each with a network 10.0.0.0/24 and VMs web and client, on the same two hosts");
  PENSTOCK_CHECK(stage.up_file(shipped("examples/two-tenants.yaml")));
  const auto acme = stage.address("acme/web"), globex = stage.address("globex/web");
  teller.detail(fmt::format("acme/web is {}, globex/web is {}", acme, globex));
  teller.check(!acme.empty() && acme == globex, "both web servers have the same address");
  for (const auto* tenant : {"acme", "globex"}) PENSTOCK_CHECK(web(stage, tenant));

  teller.say("Each client asks that address; the clients are on the other host");
  for (const std::string tenant : {"acme", "globex"}) {
    std::string heard;
    Stage::soon([&] { return !(heard = asked(stage, tenant + "/client", acme)).empty(); }, 5s);
    teller.check(heard == "this is " + tenant + "\n",
                 fmt::format("{}/client hears its own tenant's server", tenant));
  }

  teller.say("acme's server goes; globex has no part in it");
  auto admin = PENSTOCK_TRY(stage.lab().api());
  PENSTOCK_CHECK(admin.remove({"vms", "acme", "web"}, true, {false, true, 10s}));
  teller.check(asked(stage, "acme/client", acme).empty(),
               "nobody answers acme/client at that address any more");
  teller.check(asked(stage, "globex/client", acme) == "this is globex\n",
               "globex/client still hears globex");

  teller.say("An address that only globex has");
  const auto lonely = stage.address("globex/lonely");
  teller.detail(fmt::format("globex/lonely is {}", lonely));
  teller.check(stage.pings("globex/client", lonely), "globex/client reaches it");
  teller.check(!stage.pings("acme/client", lonely), "acme/client does not");

  teller.say("What each owner may see");
  auto owner = PENSTOCK_TRY(stage.lab().api(PENSTOCK_TRY(stage.lab().token_of("alice"))));
  const auto foreign = owner.list({"vms", "globex", ""}, "");
  teller.check(!foreign || foreign->empty(), "alice of acme sees no VM of globex");
  const auto own = owner.list({"vms", "acme", ""}, "");
  teller.check(own && own->size() == 1, "alice sees the one that acme still has");
  return {};
}

}  // namespace penstock::lab
