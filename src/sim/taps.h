// The seams of a simulated program, each with a listener: every operation goes into the trace and
// is followed by a look at the invariants. The planted defects sit here too.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "host/sim/fake_hypervisor.h"
#include "host/sim/fake_kernel.h"
#include "sim/defect.h"
#include "sim/trace.h"
#include "store/store.h"

namespace penstock::sim {

class TappedKernel final : public host::Kernel {
 public:
  // `look` runs after everything that packets could notice.
  TappedKernel(host::FakeKernel& kernel, SimClock& clock, Trace& trace, std::string who,
               Defect defect, std::function<void()> look);

  Result<std::vector<host::Link>> links() override { return kernel_.links(); }
  Result<host::Link> create_vxlan(const host::VxlanSpec&) override;
  Status delete_link(int ifindex) override;
  Status set_link_up(int ifindex, bool up) override;
  Status set_link_mtu(int ifindex, int mtu) override;
  void on_links_changed(std::function<void()> callback) override {
    kernel_.on_links_changed(std::move(callback));
  }
  Status attach(host::Attachment) override;
  Status detach(host::Attachment) override;
  Result<std::vector<host::Attachment>> attachments() override { return kernel_.attachments(); }
  Status map_put(host::Map, host::ByteView key, host::ByteView value) override;
  Status map_erase(host::Map, host::ByteView key) override;
  Result<std::optional<host::Bytes>> map_get(host::Map map, host::ByteView key) override {
    return kernel_.map_get(map, key);
  }
  Result<std::vector<std::pair<host::Bytes, host::Bytes>>> map_dump(host::Map map) override {
    return kernel_.map_dump(map);
  }
  Result<MapPart> map_part(host::Map map, host::ByteView after, std::size_t most) override {
    return kernel_.map_part(map, after, most);
  }
  Result<std::vector<std::pair<host::Bytes, host::Bytes>>> flows_of(
      std::span<const PortId> ports) override {
    return kernel_.flows_of(ports);
  }
  Result<bool> place_flow(host::ByteView key, host::ByteView flow) override {
    return kernel_.place_flow(key, flow);
  }
  Status forget_flows(PortId port) override { return kernel_.forget_flows(port); }
  Result<std::span<std::byte>> arena(std::size_t offset, std::size_t bytes) override {
    return kernel_.arena(offset, bytes);
  }
  std::size_t arena_bytes() const override { return kernel_.arena_bytes(); }
  std::span<std::byte> ports() override { return kernel_.ports(); }
  Status synchronize() override;
  Status take_over() override { return kernel_.take_over(); }
  Result<host::SwitchCounters> counters() override { return kernel_.counters(); }
  std::size_t rule_counters() const override { return kernel_.rule_counters(); }
  Result<std::vector<ps_rule_count>> rule_counts(std::uint32_t first,
                                                 std::uint32_t count) override {
    return kernel_.rule_counts(first, count);
  }
  Status set_rule_counts(std::uint32_t first, std::span<const ps_rule_count> counts) override {
    return kernel_.set_rule_counts(first, counts);
  }
  Status forget_port_counts(PortId port, std::uint32_t slot) override {
    return kernel_.forget_port_counts(port, slot);
  }
  void count(host::CountsWanted wanted, std::function<void(Result<host::Counts>)> done) override {
    kernel_.count(std::move(wanted), std::move(done));
  }
  void trace(host::TraceRun run, std::function<void(Result<host::TraceRecord>)> done) override {
    kernel_.trace(std::move(run), std::move(done));
  }
  void watch(host::TraceWatch wanted) override { kernel_.watch(std::move(wanted)); }
  void end_watch() override { kernel_.end_watch(); }

 private:
  Status note(std::string what, Status);

  host::FakeKernel& kernel_;
  SimClock& clock_;
  Trace& trace_;
  std::string who_;
  Defect defect_;
  std::function<void()> look_;
};

class TappedHypervisor final : public host::Hypervisor {
 public:
  TappedHypervisor(host::Hypervisor& driver, Trace& trace, std::string who)
      : driver_(driver), trace_(trace), who_(std::move(who)) {}

  Result<std::vector<host::InstanceInfo>> list() override { return driver_.list(); }
  void ensure_instance(const host::InstanceSpec&,
                       std::function<Status(const host::InstanceInfo&)> devices_ready,
                       Done) override;
  void remove_instance(const std::string& id, Done) override;
  void on_changed(std::function<void()> callback) override {
    driver_.on_changed(std::move(callback));
  }
  void depart(const std::string& id, std::function<void()> silent, Handed) override;
  void arrive(const host::InstanceSpec&, const std::string& handle,
              std::function<Status(const host::InstanceInfo&)> devices_ready, Done) override;
  void take_back(const host::InstanceSpec&,
                 std::function<Status(const host::InstanceInfo&)> devices_ready, Done) override;

 private:
  host::Hypervisor& driver_;
  Trace& trace_;
  std::string who_;
};

class TappedStore final : public Store {
 public:
  TappedStore(Store& store, SimClock& clock, Trace& trace, Defect defect)
      : store_(store), clock_(clock), trace_(trace), defect_(defect) {}

  const std::string& incarnation() const override { return store_.incarnation(); }
  void commit(std::vector<Txn> batch, CommitDone done) override;
  void read(std::string key, ReadDone done) override {
    store_.read(std::move(key), std::move(done));
  }
  void scan(std::string prefix, ScanDone done) override {
    store_.scan(std::move(prefix), std::move(done));
  }
  WatchId watch(std::string prefix, Revision from, WatchSink sink) override {
    return store_.watch(std::move(prefix), from, std::move(sink));
  }
  void cancel(WatchId id) override { store_.cancel(id); }

 private:
  Store& store_;
  SimClock& clock_;
  Trace& trace_;
  Defect defect_;
};

}  // namespace penstock::sim
