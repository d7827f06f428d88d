// The kernel as the host agent sees it: links, the switch's programs, the switch's maps, and the
// two memory-mapped arrays. Operation-level, so that the simulation's kernel holds the same bytes
// the real one would and survives a simulated crash of the daemon, as the real one survives a real
// crash.
//
// Threading: called on the strand only. Every call is one or a few system calls that do not wait
// for the network. Errors: kNotFound when the object is gone (a device unplugged under us),
// kResourceExhausted when a map is full, kUnimplemented when this kernel cannot do it; after an
// error the object is as it was before the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/counts.h"
#include "host/trace_run.h"
#include "net/address.h"

namespace penstock::host {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

struct Link {
  int ifindex = 0;
  std::string name;
  std::string kind;   // "veth", "vxlan", "tun", "" for physical
  std::string alias;  // IFLA_IFALIAS; ours start with "penstock:"; a link without it is foreign
  Mac mac;
  int mtu = 0;
  bool up = false;
  bool operator==(const Link&) const = default;
};

struct VxlanSpec {
  std::string name;
  std::string alias;
  std::uint16_t udp_port = 4789;  // RFC 7348
  int mtu = 0;
};

// The programs of the switch, by the traffic they see.
enum class Program {
  kFromPort,     // ingress of a port's device: what the VM sends
  kToPort,       // egress of a port's device: what reaches the VM without having come through our
                 // programs
  kFromOverlay,  // ingress of the vxlan device: what other hosts send
};

struct Attachment {
  int ifindex = 0;
  Program program{};
  auto operator<=>(const Attachment&) const = default;
};

// The maps that user space writes or reads by key. Layouts of keys and values: bpf/abi/.
enum class Map {
  kPortSlots,  // ifindex -> slot in the ports array
  kAddresses,  // {port id, address} -> allowed source address of the port
  kEndpoints,  // {vni, mac} -> where the endpoint is: local slot or remote VTEP
  kNeighbors,  // {vni, ip} -> mac, for answering ARP and ND
  kFlood,      // vni -> local slots and remote VTEPs that get broadcast and multicast
  kGroups,     // {vni, ip} -> groups the address belongs to
  kFlows,      // the flow table
  kOverlay,    // 0 -> ifindex of the vxlan device; absent or 0: nothing leaves the host
};

struct SwitchCounters {
  std::vector<std::uint64_t>
      drops;                // packets by enum ps_drop_reason, of all CPUs, since the maps were made
  std::uint64_t flows = 0;  // entries of the flow table
};

class Kernel {
 public:
  virtual ~Kernel() = default;

  // --- links of the host's own network namespace
  virtual Result<std::vector<Link>> links() = 0;
  // A vxlan device in collect_md mode, up. kAlreadyExists / kUnavailable (UDP port taken by a
  // foreign device).
  virtual Result<Link> create_vxlan(const VxlanSpec&) = 0;
  virtual Status delete_link(int ifindex) = 0;
  virtual Status set_link_up(int ifindex, bool up) = 0;
  virtual Status set_link_mtu(int ifindex, int mtu) = 0;
  // Called on the strand after links came, went or changed; nullptr ends it. Coalesced: says only
  // "look again".
  virtual void on_links_changed(std::function<void()>) = 0;

  // --- programs; attaching what is attached, or detaching what is not, changes nothing
  virtual Status attach(Attachment) = 0;
  virtual Status detach(Attachment) = 0;
  virtual Result<std::vector<Attachment>> attachments() = 0;  // ours only, sorted

  // --- maps
  virtual Status map_put(Map, ByteView key, ByteView value) = 0;
  virtual Status map_erase(Map, ByteView key) = 0;  // an absent key is no error
  virtual Result<std::optional<Bytes>> map_get(Map, ByteView key) = 0;
  virtual Result<std::vector<std::pair<Bytes, Bytes>>> map_dump(Map) = 0;  // sorted by key bytes
  // About `most` entries of a big map at a time, so that the strand can do other things in between.
  // `after`: what the part before this one ended with; empty: from the beginning. Entries that come
  // or go meanwhile may be missed, none comes twice.
  struct MapPart {
    std::vector<std::pair<Bytes, Bytes>> entries;
    Bytes end;  // empty: that was all
  };
  virtual Result<MapPart> map_part(Map, ByteView after, std::size_t most) = 0;

  // --- flow entries of ports that move
  // All entries of these ports, as bytes of ps_flow_key and ps_flow, in one walk of the table.
  virtual Result<std::vector<std::pair<Bytes, Bytes>>> flows_of(std::span<const PortId>) = 0;
  // Puts an entry in and counts it for its port, in place of one with the same key. False: there
  // was one. kResourceExhausted: table or quota are full.
  virtual Result<bool> place_flow(ByteView key, ByteView flow) = 0;
  // Deletes every entry of the port. Walks the table.
  virtual Status forget_flows(PortId) = 0;

  // --- memory shared with the programs; valid as long as the Kernel
  // Compiled policy, lines of 64 bytes (bpf/abi/policy.h). A part at a time, because pages that are
  // within reach count as the agent's memory whether they hold anything or not. kInvalidArgument:
  // not within arena_bytes().
  virtual Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes) = 0;
  virtual std::size_t arena_bytes() const = 0;
  virtual std::span<std::byte> ports() = 0;  // struct ps_port by slot (bpf/abi/port.h)
  // Returns once no program that started before the call is still running: after it, memory that
  // nothing points to may be reused (membarrier(2) MEMBARRIER_CMD_GLOBAL waits for an RCU grace
  // period).
  virtual Status synchronize() = 0;
  // Every map holds what it should: devices that still run the programs of an agent of another
  // version, with its maps, get ours. Again: nothing, or what failed before.
  virtual Status take_over() = 0;

  // Runs a frame through the tracing build of a program: nothing is sent, counted or remembered.
  // Answers on the strand, never within the call; the first one takes about a second longer (the
  // verifier). Reads what the switch holds at that moment.
  virtual void trace(TraceRun, std::function<void(Result<TraceRecord>)> done) = 0;

  // Puts the tracing build in place of the attached programs until end_watch(), without a moment in
  // which none is attached; packets go their way as ever. One watch at a time: kUnavailable.
  // Callbacks come on the strand, never within the call; none after end_watch(). A daemon that dies
  // leaves the tracing build attached until the next one opens the switch.
  virtual void watch(TraceWatch) = 0;
  virtual void end_watch() = 0;

  // --- counts of rules (struct ps_rule_count by index) and ports
  virtual std::size_t rule_counters() const = 0;  // how many there are
  // As they stand, without what live flows have carried since the last sweep.
  virtual Result<std::vector<ps_rule_count>> rule_counts(std::uint32_t first,
                                                         std::uint32_t count) = 0;
  // `first` is a multiple of PS_RULES_PER_BLOCK; the rest of the last block becomes zero. A program
  // that counts there meanwhile may be overwritten.
  virtual Status set_rule_counts(std::uint32_t first, std::span<const ps_rule_count>) = 0;
  // The slot's and the port's counts begin at zero.
  virtual Status forget_port_counts(PortId, std::uint32_t slot) = 0;
  // Walks the flow table. Answers on the strand, never within the call.
  virtual void count(CountsWanted, std::function<void(Result<Counts>)> done) = 0;

  // Cheap enough for every heartbeat.
  virtual Result<SwitchCounters> counters() = 0;
};

}  // namespace penstock::host
