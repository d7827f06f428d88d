// One host in simulated time: what survives a crash of its agent, and the agent's present life.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/sim_files.h"
#include "base/sim_runtime.h"
#include "host/agent.h"
#include "host/sim/fake_hypervisor.h"
#include "host/sim/fake_kernel.h"
#include "host/sim/fake_link.h"

namespace penstock::host {

struct HostWorld {
  explicit HostWorld(std::uint64_t seed = 1, Tunables t = {})
      : clock(seed), tunables(t), kernel(t.policy_arena_kib * 1024, t.ports_max), machines(kernel) {
    Link uplink;
    uplink.name = "up0";
    uplink.up = true;
    uplink.mtu = 1500;
    kernel.add_link(uplink);
  }

  SimClock clock;
  Tunables tunables;
  NullLog log;
  FakeKernel kernel;
  FakeMachines machines;
  SimFolder disk;
  FakeServerEnd server;

  struct Life {
    SimRuntime runtime;
    SimFiles files;
    FakeLink link;
    FakeHypervisor driver;
    Agent agent;
    explicit Life(HostWorld& world)
        : runtime(world.clock, world.tunables),
          files(runtime, world.disk),
          link(runtime, world.server),
          driver(runtime, world.machines),
          agent(runtime, world.log, world.kernel, {{"netns", &driver}}, files, link,
                {.name = "h1",
                 .state_dir = "/state",
                 .version = "test",
                 .kernel = "sim",
                 .boot_id = "boot"}) {}
  };
  std::unique_ptr<Life> life;

  Status start() {
    life = std::make_unique<Life>(*this);
    return life->agent.start();
  }
  void crash() { life.reset(); }
  void run(Duration time) { clock.run_until(clock.now() + time); }
  Agent& agent() { return life->agent; }

  // The newest ack since the server's `heard` was cleared.
  std::optional<v1::Ack> last_ack() const {
    for (auto message = server.heard.rbegin(); message != server.heard.rend(); ++message)
      if (message->has_ack()) return message->ack();
    return std::nullopt;
  }
};

}  // namespace penstock::host
