// The Kernel seam on a real Linux: links by netlink, everything else by the eBPF switch.
#pragma once

#include <memory>

#include "host/kernel.h"
#include "host/linux/count_reader.h"
#include "host/linux/flow_sweeper.h"
#include "host/linux/link_netlink.h"
#include "host/linux/trace_runner.h"
#include "host/switch/switch.h"

namespace penstock::host {

class LinuxKernel final : public Kernel {
 public:
  // Runtime and log must outlive it. Expired flows are swept from now on.
  LinuxKernel(Runtime& runtime, Log& log, std::unique_ptr<LinkNetlink> links,
              std::unique_ptr<Switch> programs)
      : links_(std::move(links)),
        switch_(std::move(programs)),
        sweeper_(runtime, log, *switch_),
        counts_(runtime, *switch_),
        tracing_(runtime, log, *switch_) {}

  // What only the real switch has: ring buffers, counters, sweeps.
  Switch& programs() { return *switch_; }

  Result<std::vector<Link>> links() override { return links_->links(); }
  Result<Link> create_vxlan(const VxlanSpec& spec) override { return links_->create_vxlan(spec); }
  Status delete_link(int ifindex) override { return links_->delete_link(ifindex); }
  Status set_link_up(int ifindex, bool up) override { return links_->set_link_up(ifindex, up); }
  Status set_link_mtu(int ifindex, int mtu) override { return links_->set_link_mtu(ifindex, mtu); }
  void on_links_changed(std::function<void()> changed) override {
    links_->on_links_changed(std::move(changed));
  }

  Status attach(Attachment attachment) override { return switch_->attach(attachment); }
  Status detach(Attachment attachment) override { return switch_->detach(attachment); }
  Result<std::vector<Attachment>> attachments() override { return switch_->attachments(); }

  Status map_put(Map map, ByteView key, ByteView value) override {
    return switch_->map_put(map, key, value);
  }
  Status map_erase(Map map, ByteView key) override { return switch_->map_erase(map, key); }
  Result<std::optional<Bytes>> map_get(Map map, ByteView key) override {
    return switch_->map_get(map, key);
  }
  Result<std::vector<std::pair<Bytes, Bytes>>> map_dump(Map map) override {
    return switch_->map_dump(map);
  }
  Result<MapPart> map_part(Map map, ByteView after, std::size_t most) override {
    return switch_->map_part(map, after, most);
  }

  Result<std::vector<std::pair<Bytes, Bytes>>> flows_of(std::span<const PortId> ports) override {
    return switch_->flows_of(ports);
  }
  Result<bool> place_flow(ByteView key, ByteView flow) override {
    return switch_->place_flow(key, flow);
  }
  Status forget_flows(PortId port) override {
    PENSTOCK_TRY(switch_->forget_flows(port));
    return {};
  }

  Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes) override {
    return switch_->arena(offset, bytes);
  }
  std::size_t arena_bytes() const override { return switch_->arena_bytes(); }
  std::span<std::byte> ports() override { return switch_->ports(); }
  Status synchronize() override { return switch_->synchronize(); }
  Status take_over() override { return switch_->take_over(); }

  void trace(TraceRun run, std::function<void(Result<TraceRecord>)> done) override {
    tracing_.run(std::move(run), std::move(done));
  }
  void watch(TraceWatch wanted) override { tracing_.watch(std::move(wanted)); }
  void end_watch() override { tracing_.end_watch(); }

  std::size_t rule_counters() const override { return switch_->rule_counters(); }
  Result<std::vector<ps_rule_count>> rule_counts(std::uint32_t first,
                                                 std::uint32_t count) override {
    return switch_->rule_counts(first, count);
  }
  Status set_rule_counts(std::uint32_t first, std::span<const ps_rule_count> counts) override {
    return switch_->set_rule_counts(first, counts);
  }
  Status forget_port_counts(PortId port, std::uint32_t slot) override {
    return switch_->forget_port(port, slot);
  }
  void count(CountsWanted wanted, std::function<void(Result<Counts>)> done) override {
    counts_.ask(std::move(wanted), std::move(done));
  }

  Result<SwitchCounters> counters() override {
    SwitchCounters counters;
    for (const auto& drop : PENSTOCK_TRY(switch_->drops())) counters.drops.push_back(drop.packets);
    counters.flows = sweeper_.entries();
    return counters;
  }

 private:
  std::unique_ptr<LinkNetlink> links_;
  std::unique_ptr<Switch> switch_;
  FlowSweeper sweeper_;
  CountReader counts_;
  TraceRunner tracing_;
};

}  // namespace penstock::host
