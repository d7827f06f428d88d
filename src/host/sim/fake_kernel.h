// A kernel in memory. It holds the bytes the real one would hold, and outlives the agent: a new
// agent on the same FakeKernel finds what a crashed one left. Devices come and go through the
// members below the line, as if somebody else had done it.
#pragma once

#include <map>
#include <set>
#include <string>

#include "host/kernel.h"

namespace penstock::host {

class FakeKernel final : public Kernel {
 public:
  // Sizes as the real one would take them from the tunables.
  FakeKernel(std::size_t arena_bytes, std::size_t port_slots);

  Result<std::vector<Link>> links() override;
  Result<Link> create_vxlan(const VxlanSpec&) override;
  Status delete_link(int ifindex) override;
  Status set_link_up(int ifindex, bool up) override;
  Status set_link_mtu(int ifindex, int mtu) override;
  void on_links_changed(std::function<void()>) override;
  Status attach(Attachment) override;
  Status detach(Attachment) override;
  Result<std::vector<Attachment>> attachments() override;
  Status map_put(Map, ByteView key, ByteView value) override;
  Status map_erase(Map, ByteView key) override;
  Result<std::optional<Bytes>> map_get(Map, ByteView key) override;
  Result<std::vector<std::pair<Bytes, Bytes>>> map_dump(Map) override;
  Result<MapPart> map_part(Map, ByteView after, std::size_t most) override;
  Result<std::vector<std::pair<Bytes, Bytes>>> flows_of(std::span<const PortId>) override;
  Result<bool> place_flow(ByteView key, ByteView flow) override;
  Status forget_flows(PortId) override;
  Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes) override;
  std::size_t arena_bytes() const override;
  std::span<std::byte> arena();  // all of it
  std::span<std::byte> ports() override;
  Status synchronize() override;
  Status take_over() override { return {}; }  // one version only
  std::size_t rule_counters() const override { return rule_counters_most; }
  Result<std::vector<ps_rule_count>> rule_counts(std::uint32_t first, std::uint32_t count) override;
  Status set_rule_counts(std::uint32_t first, std::span<const ps_rule_count>) override;
  Status forget_port_counts(PortId, std::uint32_t slot) override;
  void count(CountsWanted, std::function<void(Result<Counts>)>) override;
  Result<SwitchCounters> counters() override;
  // No programs run here: what `traced` says, at once; without it kUnimplemented.
  void trace(TraceRun, std::function<void(Result<TraceRecord>)>) override;
  // Held in `watching`, for the test to call back.
  void watch(TraceWatch) override;
  void end_watch() override { watching.reset(); }
  std::optional<TraceWatch> watching;

  // ---------------------------------------------------------------- for the world around it
  // A device appears; the kernel chooses the ifindex, never one it used before.
  int add_link(Link);
  // A device goes, with its programs. Nobody is asked.
  void remove_link(int ifindex);
  // The machine boots again: devices, programs, maps and memory are gone.
  void reboot();

  struct Faults {
    std::set<Map> full;           // map_put of a new key: kResourceExhausted
    std::set<int> attach_denied;  // attach on these: kPermissionDenied
    bool attach_denied_everywhere = false;
    bool vxlan_port_taken = false;  // create_vxlan: kUnavailable
    // After this many more changing calls every changing call fails with kUnavailable; negative:
    // never.
    int calls_until_failure = -1;
  };
  Faults faults;

  // Called after every changing call: invariants are looked at there.
  std::function<void()> after_change;

  std::function<Result<TraceRecord>(const TraceRun&)> traced;

  // What programs would have counted: for tests to write and read. Held sparse.
  std::map<std::uint32_t, ps_rule_count> counted_rules;
  std::map<PortId, PortCounts> counted_ports;
  std::size_t rule_counters_most = 65'536;

  struct Calls {
    int writes = 0;        // map_put and map_erase
    int attaches = 0;      // attach and detach that changed something
    int attach_calls = 0;  // also those that changed nothing
    int synchronizes = 0;
    int parts = 0;         // map_part
    int count_writes = 0;  // set_rule_counts
  };
  Calls calls;
  const std::map<int, Link>& devices() const { return links_; }

 private:
  using MapContent = std::map<Bytes, Bytes>;
  Status changing();
  void changed();

  std::map<int, Link> links_;
  std::set<Attachment> attachments_;
  std::map<Map, MapContent> maps_;
  // Words, because the agent stores policy words through it atomically.
  std::vector<std::uint64_t> arena_, ports_;
  std::function<void()> links_changed_;
  int next_ifindex_ = 10;
};

}  // namespace penstock::host
