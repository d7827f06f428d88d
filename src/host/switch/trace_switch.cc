#include "host/switch/trace_switch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "host/switch/verifier_log.h"
#include "penstock_trace_bpf.skel.h"

namespace penstock::host {
namespace {

// Maps that a described run only reads. Any other, also one that comes later, is its own:
// forgetting one here can make a trace blind, but never gives it an effect.
constexpr std::array kReadOnly{"ps_port_slots", "ps_ports",     "ps_addresses",
                               "ps_endpoints",  "ps_neighbors", "ps_flood",
                               "ps_groups",     "ps_arena",     "ps_overlay"};

// Flow entries of one trace: both sides of both directions, and those of quoted packets.
constexpr std::uint32_t kOwnFlows = 64;
// What the kernel takes for a frame of a test run is less than a page.
constexpr std::size_t kFrameRoom = 4096;

struct FlowEntry {
  ps_flow_key key;
  ps_flow flow;
};

Status share(bpf_object* object, const char* name, int fd) {
  auto* map = bpf_object__find_map_by_name(object, name);
  if (!map || fd < 0) return fail(Code::kInternal, fmt::format("no map {} to trace with", name));
  if (bpf_map__reuse_fd(map, fd) != 0) return fail_errno(errno, fmt::format("share {}", name));
  return {};
}

}  // namespace

TraceSwitch::~TraceSwitch() {
  records_.reset();
  punts_.reset();
  events_.reset();
  penstock_trace_bpf__destroy(object_);
}

Result<std::unique_ptr<TraceSwitch>> TraceSwitch::open(const Switch& base, const Tunables& tunables,
                                                       Kind kind) {
  std::unique_ptr<TraceSwitch> self(new TraceSwitch);
  auto status = self->load(base, tunables, kind);
  if (!status) return std::unexpected(std::move(status.error()).in("load the tracing programs"));
  return self;
}

Status TraceSwitch::load(const Switch& base, const Tunables& tunables, Kind kind) {
  VerifierLog log;
  auto options = log.options();
  object_ = penstock_trace_bpf__open_opts(&options);
  if (!object_) return fail_errno(errno, "open the BPF object");
  auto* rodata = object_->rodata;
  *reinterpret_cast<ps_config*>(const_cast<void*>(static_cast<const void*>(&rodata->ps_config))) =
      switch_config(tunables);
  *const_cast<__u32*>(&rodata->ps_trace_live) = kind == Kind::kLive;
  bpf_program__set_autoload(object_->progs.sweep, false);
  bpf_program__set_autoload(object_->progs.place, false);
  bpf_program__set_autoload(object_->progs.empty, false);

  std::vector<const char*> shared(kReadOnly.begin(), kReadOnly.end());
  if (kind == Kind::kLive)
    shared = {
#define PS_SHARED_MAP(name, key, value, help) #name,
        PS_MAPS(PS_SHARED_MAP)
#undef PS_SHARED_MAP
    };
  else
    bpf_map__set_max_entries(object_->maps.ps_flows, kOwnFlows);
  for (const auto* name : shared)
    PENSTOCK_CHECK(share(object_->obj, name, base.map_fd_by_name(name)));
  PENSTOCK_CHECK(share(object_->obj, "ps_real_flows", base.map_fd_by_name("ps_flows")));
  PENSTOCK_CHECK(share(object_->obj, "ps_real_port_flows", base.map_fd_by_name("ps_port_flows")));
  if (const int error = penstock_trace_bpf__load(object_); error != 0) return log.refused(error);
  if (kind == Kind::kLive) return {};
  records_ = PENSTOCK_TRY(open_records([this](const ps_trace& said) { last_ = said; }));
  const auto ignore = [](std::span<const std::byte>) {};
  punts_ = PENSTOCK_TRY(Ring::open(bpf_map__fd(object_->maps.ps_punt), ignore));
  events_ = PENSTOCK_TRY(Ring::open(bpf_map__fd(object_->maps.ps_events), ignore));
  return {};
}

int TraceSwitch::program_fd(Program program) const {
  switch (program) {
    case Program::kFromPort:
      return bpf_program__fd(object_->progs.from_port);
    case Program::kToPort:
      return bpf_program__fd(object_->progs.to_port);
    case Program::kFromOverlay:
      return bpf_program__fd(object_->progs.from_overlay);
  }
  return -1;
}

Status TraceSwitch::watch_for(const ps_trace_order& order) {
  const std::uint32_t zero = 0;
  if (bpf_map_update_elem(bpf_map__fd(object_->maps.ps_trace_orders), &zero, &order, BPF_ANY) != 0)
    return fail_errno(errno, "say what to trace");
  return {};
}

Result<std::unique_ptr<Ring>> TraceSwitch::open_records(std::function<void(const ps_trace&)> sink) {
  return Ring::open(bpf_map__fd(object_->maps.ps_trace_ring),
                    [sink = std::move(sink)](std::span<const std::byte> bytes) {
                      if (const auto record = value_of<ps_trace>(bytes)) sink(*record);
                    });
}

Status TraceSwitch::replace_flows(std::span<const std::byte> wanted) {
  const int map = bpf_map__fd(object_->maps.ps_flows);
  ps_flow_key key{};
  // The first key, again and again: each is deleted before the next is asked for.
  while (bpf_map_get_next_key(map, nullptr, &key) == 0)
    if (bpf_map_delete_elem(map, &key) != 0) return fail_errno(errno, "forget flows of a trace");
  if (wanted.size() % sizeof(FlowEntry) != 0)
    return fail(Code::kInvalidArgument, "the flow entries of the trace are of another build",
                "trace again");
  for (std::size_t at = 0; at < wanted.size(); at += sizeof(FlowEntry)) {
    FlowEntry entry;
    std::memcpy(&entry, wanted.data() + at, sizeof(entry));
    if (bpf_map_update_elem(map, &entry.key, &entry.flow, BPF_ANY) != 0)
      return fail_errno(errno, "take over flows of a trace");
  }
  return {};
}

Result<std::vector<std::byte>> TraceSwitch::flows() const {
  const int map = bpf_map__fd(object_->maps.ps_flows);
  std::vector<std::byte> out;
  FlowEntry entry{};
  const void* previous = nullptr;
  ps_flow_key last{};
  while (bpf_map_get_next_key(map, previous, &entry.key) == 0) {
    if (bpf_map_lookup_elem(map, &entry.key, &entry.flow) != 0)
      return fail_errno(errno, "read flows of a trace");
    const auto bytes = std::as_bytes(std::span(&entry, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
    last = entry.key;
    previous = &last;
  }
  return out;
}

Result<TraceRecord> TraceSwitch::run(const TraceRun& wanted) {
  PENSTOCK_CHECK(replace_flows(wanted.flows));
  ps_trace_order order{};
  order.order = 1;
  if (wanted.tunnel) {
    order.vni = wanted.tunnel->vni.value;
    order.sender = vtep(wanted.tunnel->sender);
  }
  PENSTOCK_CHECK(watch_for(order));
  TraceRecord record;
  record.frame.resize(kFrameRoom);
  __sk_buff context{};
  context.ifindex = static_cast<__u32>(wanted.ifindex);
  context.ingress_ifindex = static_cast<__u32>(wanted.ifindex);
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = wanted.frame.data();
  options.data_size_in = static_cast<__u32>(wanted.frame.size());
  options.data_out = record.frame.data();
  options.data_size_out = static_cast<__u32>(record.frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  if (const int error = bpf_prog_test_run_opts(program_fd(wanted.program), &options); error != 0)
    return fail_errno(
        -error, fmt::format("run {} on device {} with a frame of {} bytes", name(wanted.program),
                            wanted.ifindex, wanted.frame.size()));
  last_.reset();
  for (auto* ring : {records_.get(), punts_.get(), events_.get()}) PENSTOCK_TRY(ring->consume());
  if (!last_) return fail(Code::kInternal, "the tracing program left no record");
  record.said = *last_;
  record.frame.resize(options.data_size_out);
  record.flows = PENSTOCK_TRY(flows());
  return record;
}

ps_trace_order trace_order(const TraceFilter& filter, std::uint32_t number) {
  ps_trace_order order{};
  order.order = number;
  order.left = filter.most;
  order.vni = filter.vni.value;
  order.protocol = filter.protocol;
  order.family = static_cast<std::uint8_t>(filter.family);
  for (const auto end : {0, 1}) {
    const auto at = static_cast<std::size_t>(end);
    if (filter.address[at]) std::memcpy(order.addresses[end], filter.address[at]->bytes.data(), 16);
    order.ports[end] = filter.port[at];
  }
  return order;
}

}  // namespace penstock::host
