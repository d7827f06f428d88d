// One switch with ports, in network and mount namespaces of its own, for tests that send packets in
// and look at what comes out: through BPF_PROG_TEST_RUN, so a packet takes the real programs but no
// wire.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "compile/policy/rules.h"
#include "host/switch/switch.h"
#include "host/switch/trace_switch.h"
#include "tests/packets/packet.h"

struct tunnelled;

namespace penstock::packets {

struct PortSpec {
  std::uint32_t id = 1;  // also the number in its device's name
  std::uint32_t vni = 100;
  std::string mac;
  std::vector<std::string> addresses;
  std::uint32_t flags = 0;
  std::uint16_t mtu = 0;
};

struct Outcome {
  std::string action;  // "drop", "redirect", "pass"
  std::string reason;  // of the drop (name of abi/reasons.h); empty when none was counted
  Frame frame;         // as the program left it
  std::string text() const { return action == "drop" ? "drop " + reason : action; }
};

class World {
 public:
  // Moves the calling process into namespaces of its own. Sizes are small unless `tunables` says
  // otherwise.
  static Result<std::unique_ptr<World>> make(Tunables tunables = small());
  ~World();
  static Tunables small();
  // From now on each packet is traced before it is run; the two must agree, and tracing may have no
  // effect. On from the start with PENSTOCK_TRACE_EVERY_PACKET in the environment.
  void trace_every_packet();

  // A veth pair vm<id>/vm<id>x, an entry in every map, and a slot. Attached only when `attach`.
  void add_port(const PortSpec&, bool attach = false);
  // The same for a device that is there.
  void add_port_on(const std::string& device, const PortSpec&, bool attach = false);
  // `also`: the host it was behind a moment ago.
  void add_remote(std::uint32_t vni, const std::string& mac, const std::string& ip,
                  const std::string& host, const std::string& also = {});
  void add_gateway(std::uint32_t vni, const std::string& mac, const std::string& ip);
  // Everybody in the network, from what was added.
  void fill_flood(std::uint32_t vni);

  // Compiles the rules, writes them into the arena, returns the line of a step list with this one
  // filter.
  std::uint32_t policy(const policy::RuleSet&, std::uint8_t step_flags = 0,
                       std::uint32_t profile = 77);
  std::uint32_t steps(const std::vector<ps_step>&, std::uint16_t required);
  std::uint32_t image(const policy::RuleSet&);
  // Points a port's direction at a step list, under a new generation; 0 for none.
  void enable(std::uint32_t port, ps_direction, std::uint32_t line);

  // Limits of a port, as a service of that number would set them; 0: none.
  struct Limits {
    std::uint64_t bits_per_second = 0;
    std::uint32_t connections = 0, connections_per_second = 0;
    std::uint32_t profile = 77;
  };
  void limit(std::uint32_t port, const Limits&);
  // Frames that are run from now on say of themselves that they are so many segments.
  std::uint32_t gso_segments = 0;

  Outcome run(host::Program, int ifindex, const Frame&, std::uint32_t mark = 0);
  Outcome run(int program_fd, int ifindex, const Frame&, std::uint32_t mark = 0);
  Outcome from_vm(std::uint32_t port, const Frame& frame) {
    return run(host::Program::kFromPort, ifindex(port), frame);
  }
  Outcome to_vm(std::uint32_t port, const Frame& frame, std::uint32_t mark = 0) {
    return run(host::Program::kToPort, ifindex(port), frame, mark);
  }
  // From the host `sender`, in a tunnel of network `vni`; an empty sender: without tunnel data.
  Outcome from_overlay(std::uint32_t vni, const std::string& sender, const Frame&);
  // As from_overlay, for time_ns: a program that gives the frame its tunnel data first.
  int overlay_program(std::uint32_t vni, const std::string& sender, int next);
  // The same without sending anything.
  Result<host::TraceRecord> trace(host::Program, int ifindex, const Frame&,
                                  std::vector<std::byte> flows = {},
                                  std::optional<host::TraceRun::Tunnel> tunnel = {});
  // What the switch remembers and counts, as text: equal texts, nothing happened.
  std::string effects();
  // Nanoseconds a run, mean of `repeat`.
  double time_ns(int program_fd, int ifindex, const Frame&, int repeat);

  int ifindex(std::uint32_t port) const { return ports_.at(port).ifindex; }
  std::uint32_t slot(std::uint32_t port) const { return ports_.at(port).slot; }
  ps_port& entry(std::uint32_t port);
  host::Switch& the_switch() { return *switch_; }
  // As when the daemon dies and starts again: the switch is opened anew on the same directory.
  Status restart(host::AttachMethod method = host::AttachMethod::kBest);
  static std::uint32_t index_of(const std::string& device);
  std::uint64_t counter(ps_counter);
  std::size_t flows();
  std::optional<ps_flow> flow(
      std::uint32_t port);  // the only one of the port, if it has exactly one
  // Makes every remembered fragment that much older: the kernel's clock cannot be moved.
  void age_fragments(std::uint64_t seconds);
  const std::string& directory() const { return directory_; }

 private:
  World();
  std::uint32_t place(std::span<const std::byte>);
  Outcome traced(host::Program, int ifindex, const Frame&,
                 const std::optional<host::TraceRun::Tunnel>&,
                 const std::function<Outcome()>& send);

  struct Port {
    PortSpec spec;
    int ifindex = 0;
    std::uint32_t slot = 0;
  };
  Tunables tunables_;
  std::string root_, directory_;
  NullLog log_;
  std::unique_ptr<host::Switch> switch_;
  std::unique_ptr<tunnelled, void (*)(tunnelled*)> tunnelled_;
  std::unique_ptr<host::TraceSwitch> tracer_;
  bool trace_every_packet_ = false;
  std::map<std::uint32_t, Port> ports_;
  std::map<std::uint32_t, std::vector<IpAddress>> remotes_;
  std::uint32_t next_line_ = 1, generation_ = 0;
};

// Runs a shell command; false when it failed. For tests only.
bool shell(const std::string& command);

}  // namespace penstock::packets
