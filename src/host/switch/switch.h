// The eBPF switch of one host: programs loaded, maps pinned, devices attached. The switch half of
// the Kernel seam (host/kernel.h), plus what only the real switch has: counters, flow sweeps, ring
// buffers.
//
// Lifetime of kernel objects: maps are pinned in <directory>/maps-v<ABI version>, the flow table in
// <directory>/flows-v<its layout>, tcx links in <directory>/links, so all outlive this object and a
// crash. `open` on a directory in use takes its maps over with all their contents and switches
// every attached link to the newly loaded programs, without a moment in which none is attached.
// Maps of another ABI version are left alone: a new set is made beside them, and the old programs
// go on with the old one, on every device, until `take_over`. Only the flow table is shared by
// both, and the agent's mark (line 0 of the arena) is carried over.
//
// Threading: the strand's. Calls are a few system calls each, except `open` (the verifier: about a
// second) and `synchronize` (an RCU grace period).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/tunables.h"
#include "host/kernel.h"
#include "host/switch/reach.h"
#include "host/switch/ring.h"
#include "host/switch/switch_abi.h"

struct penstock_switch_bpf;

namespace penstock::host {

enum class AttachMethod {
  kBest,    // tcx when this kernel has it
  kTcx,     // links, Linux 6.6
  kClsact,  // classic tc filters, replaced in place
};

struct SwitchOptions {
  std::string directory;  // below a bpffs mount, this host's own; made when missing
  AttachMethod method = AttachMethod::kBest;
};

class Switch {
 public:
  // kFailedPrecondition: the directory is not on a bpffs. kPermissionDenied: no CAP_BPF.
  // kUnimplemented: the kernel's verifier refuses the programs (its last lines are in the message).
  // The log outlives the switch.
  static Result<std::unique_ptr<Switch>> open(const SwitchOptions&, const Tunables&, Log&);
  ~Switch();
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

  // See host/kernel.h.
  Status attach(Attachment);  // of a device with an older version's program: counts as done
  Status detach(Attachment);
  Result<std::vector<Attachment>> attachments();
  Status map_put(Map, ByteView key, ByteView value);
  Status map_erase(Map, ByteView key);
  Result<std::optional<Bytes>> map_get(Map, ByteView key);
  Result<std::vector<std::pair<Bytes, Bytes>>> map_dump(Map);
  Result<Kernel::MapPart> map_part(Map, ByteView after, std::size_t most);
  Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes);
  std::size_t arena_bytes() const;
  std::span<std::byte> ports();
  Status synchronize();
  Status take_over();

  // Replaces the attached program by another of the same kind, in one step, until take_back();
  // attachments() goes on naming it. kNotFound: nothing of ours is attached there.
  Status lend(Attachment, int program_fd);
  Status take_back(Attachment);

  // Sums over all CPUs since the maps were made.
  Result<std::vector<std::uint64_t>> counters();  // by enum ps_counter
  Result<std::vector<ps_drop_count>> drops();     // by enum ps_drop_reason
  Result<ps_port_stats> port_stats(std::uint32_t slot);
  Status clear_port_stats(std::uint32_t slot);
  std::size_t rule_counters() const;
  Result<std::vector<ps_rule_count>> rule_counts(std::uint32_t first, std::uint32_t count);
  Status set_rule_counts(std::uint32_t first, std::span<const ps_rule_count>);
  Result<PortCounts> port_counts(PortId, std::uint32_t slot);
  Status forget_port(PortId, std::uint32_t slot);  // when a slot gets a new port, or loses it
  // After a sweep. Any thread.
  Result<Counts> count(const CountsWanted&);

  // Deletes expired flow entries; the decision is taken in BPF, after a second look. Walks the
  // whole table.
  Result<ps_sweep> sweep();
  // As if it were this time (CLOCK_MONOTONIC).
  Result<ps_sweep> sweep_at(std::uint64_t now_ns);
  // Deletes every entry of one port.
  Result<ps_sweep> forget_flows(PortId);
  // See host/kernel.h.
  Result<std::vector<std::pair<Bytes, Bytes>>> flows_of(std::span<const PortId>);
  Result<bool> place_flow(ByteView key, ByteView flow);

  // Frames to answer, and log events. `consume` of the ring calls back on the strand; wait on its
  // fd.
  Result<std::unique_ptr<Ring>> open_punts(std::function<void(const ps_punted&)>);
  Result<std::unique_ptr<Ring>> open_events(std::function<void(const ps_event&)>);

  AttachMethod method() const { return method_; }
  // Negative: no such map. For the tracing build, which shares maps.
  int map_fd_by_name(const char*) const;
  // For measurements and tests.
  int program_fd(Program) const;
  int empty_program_fd() const;
  // Instructions the verifier walked for each program, by name.
  Result<std::map<std::string, std::uint32_t>> verified_instructions() const;

  // Takes away everything below `directory`: links (their devices pass packets unjudged from then
  // on), maps, the directory itself. For a host that leaves, and labs.
  static Status remove_all(const std::string& directory);

 private:
  Switch(SwitchOptions, Log&);
  Status load(const Tunables&);
  Status map_memory();
  Status adopt_links();
  Status adopt_mark();
  Status remove_old();
  bool has_older_maps() const;
  bool waits(Attachment at) const { return older_.contains(at); }
  int map_fd(Map) const;
  std::string map_directory() const;
  std::string pin_path(std::string_view map) const;
  std::string link_path(Attachment) const;
  Status attach_tcx(Attachment);
  Status attach_clsact(Attachment);
  Status put_clsact(Attachment, int program_fd);
  Result<std::vector<Attachment>> attachments_tcx();
  Result<std::vector<Attachment>> attachments_clsact(bool of_earlier_runs);
  Result<ps_sweep> run_sweep(ps_sweep);

  SwitchOptions options_;
  Log& log_;
  AttachMethod method_ = AttachMethod::kTcx;
  penstock_switch_bpf* object_ = nullptr;
  Reach arena_;
  std::span<std::byte> ports_;
  std::set<Attachment> older_;  // that run an older version's program until take_over()
  bool taken_over_ = false;
  std::map<Attachment, std::uint32_t> lent_;  // to the program with this id
};

std::string_view name(Program);

}  // namespace penstock::host
