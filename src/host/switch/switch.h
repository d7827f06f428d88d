// The eBPF switch of one host: programs loaded, maps pinned, devices attached. The switch half of
// the Kernel seam (host/kernel.h), plus what only the real switch has: counters, flow sweeps, ring
// buffers.
//
// Lifetime of kernel objects: maps are pinned in <directory>/maps-v<ABI version>, tcx links in
// <directory>/links, so both outlive this object and a crash. `open` on a directory in use takes
// its maps over with all their contents and switches every attached link to the newly loaded
// programs, without a moment in which none is attached. Maps of another ABI version are left alone:
// a new set is made beside them, the old programs go on with the old one until `attach` switches
// the device over; `remove_old` takes the old set away then.
//
// Threading: the strand's. Calls are a few system calls each, except `open` (the verifier: about a
// second) and `synchronize` (an RCU grace period).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
  Status attach(Attachment);
  Status detach(Attachment);
  Result<std::vector<Attachment>> attachments();
  Status map_put(Map, ByteView key, ByteView value);
  Status map_erase(Map, ByteView key);
  Result<std::optional<Bytes>> map_get(Map, ByteView key);
  Result<std::vector<std::pair<Bytes, Bytes>>> map_dump(Map);
  Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes);
  std::size_t arena_bytes() const;
  std::span<std::byte> ports();
  Status synchronize();

  // Sums over all CPUs since the maps were made.
  Result<std::vector<std::uint64_t>> counters();  // by enum ps_counter
  Result<std::vector<ps_drop_count>> drops();     // by enum ps_drop_reason
  Result<ps_port_stats> port_stats(std::uint32_t slot);
  Status clear_port_stats(std::uint32_t slot);  // when a slot gets a new port

  // Deletes expired flow entries; the decision is taken in BPF, after a second look. Walks the
  // whole table.
  Result<ps_sweep> sweep();
  // As if it were this time (CLOCK_MONOTONIC).
  Result<ps_sweep> sweep_at(std::uint64_t now_ns);
  // Deletes every entry of one port.
  Result<ps_sweep> forget_flows(PortId);

  // Frames to answer, and log events. `consume` of the ring calls back on the strand; wait on its
  // fd.
  Result<std::unique_ptr<Ring>> open_punts(std::function<void(const ps_punted&)>);
  Result<std::unique_ptr<Ring>> open_events(std::function<void(const ps_event&)>);

  AttachMethod method() const { return method_; }
  // For measurements and tests.
  int program_fd(Program) const;
  int empty_program_fd() const;
  // Instructions the verifier walked for each program, by name.
  Result<std::map<std::string, std::uint32_t>> verified_instructions() const;

  // Takes the pinned maps of other ABI versions away.
  Status remove_old();
  // Takes away everything below `directory`: links (their devices pass packets unjudged from then
  // on), maps, the directory itself. For a host that leaves, and labs.
  static Status remove_all(const std::string& directory);

 private:
  Switch(SwitchOptions, Log&);
  Status load(const Tunables&);
  Status map_memory();
  Status adopt_links();
  int map_fd(Map) const;
  std::string map_directory() const;
  std::string link_path(Attachment) const;
  Status attach_tcx(Attachment);
  Status attach_clsact(Attachment);
  Result<std::vector<Attachment>> attachments_tcx();
  Result<std::vector<Attachment>> attachments_clsact(bool of_earlier_runs);
  Result<ps_sweep> run_sweep(ps_sweep);

  SwitchOptions options_;
  Log& log_;
  AttachMethod method_ = AttachMethod::kTcx;
  penstock_switch_bpf* object_ = nullptr;
  Reach arena_;
  std::span<std::byte> ports_;
};

std::string_view name(Program);

}  // namespace penstock::host
