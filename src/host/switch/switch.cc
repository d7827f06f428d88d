#include "host/switch/switch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "host/switch/verifier_log.h"
#include "penstock_switch_bpf.skel.h"

namespace penstock::host {
namespace {

namespace fs = std::filesystem;

Status make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail_errno(error.value(), fmt::format("make directory {}", path));
  return {};
}

Status check_bpffs(const std::string& path) {
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return fail_errno(errno, fmt::format("look at {}", path));
  if (info.f_type != BPF_FS_MAGIC)
    return fail(Code::kFailedPrecondition,
                fmt::format("{} is not on a bpffs, so nothing can be pinned there", path),
                "mount one: mount -t bpf bpf /sys/fs/bpf");
  return {};
}

constexpr std::string_view kMaps = "maps-v", kFlows = "flows-v";

// Folders of maps of other versions, the newest first.
std::vector<std::string> other_maps(const std::string& directory, const std::string& own) {
  std::vector<std::pair<int, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(kMaps) && entry.path() != own)
      found.emplace_back(std::atoi(name.c_str() + kMaps.size()), entry.path());
  }
  std::ranges::sort(found, std::greater());
  std::vector<std::string> paths;
  for (auto& [version, path] : found) paths.push_back(std::move(path));
  return paths;
}

// Sizes that depend on the host's tunables.
void set_sizes(penstock_switch_bpf& object, const Tunables& t) {
  const auto size = [](bpf_map* map, std::int64_t entries) {
    bpf_map__set_max_entries(map, static_cast<std::uint32_t>(entries));
  };
  auto& maps = object.maps;
  size(maps.ps_port_slots, t.ports_max);
  size(maps.ps_ports, t.ports_max);
  size(maps.ps_port_flows, t.ports_max);
  size(maps.ps_port_stats, t.ports_max);
  size(maps.ps_port_drops, t.ports_max * 8);  // a port has few reasons at a time
  size(maps.ps_rule_counts, t.rule_counters / PS_RULES_PER_BLOCK);
  size(maps.ps_addresses, t.ports_max * 16);
  // Endpoints, neighbours and groups are of whole networks, most of them on other hosts; not
  // preallocated.
  size(maps.ps_endpoints, 1 << 18);
  size(maps.ps_neighbors, 1 << 20);
  size(maps.ps_groups, 1 << 20);
  size(maps.ps_flood, 1 << 14);
  size(maps.ps_flows, t.flow_entries);
  size(maps.ps_arena, t.policy_arena_kib * 1024 / PS_LINE_BYTES);
}

struct NamedMap {
  const char* name;
  bpf_map* map;
};

std::vector<NamedMap> pinned_maps(const penstock_switch_bpf& object) {
  return {
#define PS_NAMED_MAP(name, key, value, help) {#name, object.maps.name},
      PS_MAPS(PS_NAMED_MAP)
#undef PS_NAMED_MAP
  };
}

// Takes over the map pinned at `path`, if one is there and its layout is ours.
Result<bool> reuse(bpf_map* map, const std::string& path, Log& log) {
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) {
    if (errno == ENOENT) return false;
    return fail_errno(errno, fmt::format("open pinned map {}", path));
  }
  bpf_map_info info{};
  __u32 length = sizeof(info);
  Status status;
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
    status = fail_errno(errno, fmt::format("look at pinned map {}", path));
  } else if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
             info.value_size != bpf_map__value_size(map)) {
    if (info.type != BPF_MAP_TYPE_RINGBUF)
      status =
          fail(Code::kInternal,
               fmt::format("pinned map {} has another layout under the same ABI version", path),
               "stop the host agent and run: penstock-hostd --cleanup");
  }
  if (status && info.max_entries != bpf_map__max_entries(map))
    log.warning("switch: {} keeps its size of {} entries ({} configured) until the host is drained",
                path, info.max_entries, bpf_map__max_entries(map));
  if (status && bpf_map__reuse_fd(map, fd) != 0)
    status = fail_errno(errno, fmt::format("take over {}", path));
  ::close(fd);
  PENSTOCK_CHECK(status);
  return true;
}

std::size_t array_bytes(const bpf_map* map) {
  return std::size_t{bpf_map__value_size(map)} * bpf_map__max_entries(map);
}

Result<std::span<std::byte>> map_array(const bpf_map* map) {
  const auto bytes = array_bytes(map);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
  if (memory == MAP_FAILED)
    return fail_errno(errno, fmt::format("map {} into memory", bpf_map__name(map)));
  return std::span(static_cast<std::byte*>(memory), bytes);
}

}  // namespace

std::string_view name(Program program) {
  switch (program) {
    case Program::kFromPort:
      return "from_port";
    case Program::kToPort:
      return "to_port";
    case Program::kFromOverlay:
      return "from_overlay";
  }
  return "unknown";
}

Switch::Switch(SwitchOptions options, Log& log) : options_(std::move(options)), log_(log) {}

Switch::~Switch() {
  if (!ports_.empty()) munmap(ports_.data(), ports_.size());
  penstock_switch_bpf__destroy(object_);
}

Result<std::unique_ptr<Switch>> Switch::open(const SwitchOptions& options, const Tunables& tunables,
                                             Log& log) {
  std::unique_ptr<Switch> self(new Switch(options, log));
  auto status = self->load(tunables);
  if (!status) return std::unexpected(std::move(status.error()).in("load the switch"));
  PENSTOCK_CHECK(self->map_memory());
  PENSTOCK_CHECK(self->adopt_mark());
  PENSTOCK_CHECK(self->adopt_links());
  return self;
}

std::string Switch::map_directory() const {
  return fmt::format("{}/{}{}", options_.directory, kMaps, PS_ABI_VERSION);
}

std::string Switch::pin_path(std::string_view map) const {
  if (map == "ps_flows")
    return fmt::format("{}/{}{}/{}", options_.directory, kFlows, PS_FLOW_LAYOUT, map);
  return fmt::format("{}/{}", map_directory(), map);
}

bool Switch::has_older_maps() const {
  return !other_maps(options_.directory, map_directory()).empty();
}

Status Switch::load(const Tunables& tunables) {
  PENSTOCK_CHECK(make_directory(options_.directory));
  PENSTOCK_CHECK(check_bpffs(options_.directory));
  PENSTOCK_CHECK(make_directory(map_directory()));
  PENSTOCK_CHECK(make_directory(fs::path(pin_path("ps_flows")).parent_path()));
  PENSTOCK_CHECK(make_directory(options_.directory + "/links"));
  VerifierLog verifier_log;
  auto open_options = verifier_log.options();
  object_ = penstock_switch_bpf__open_opts(&open_options);
  if (!object_) return fail_errno(errno, "open the BPF object");
  *reinterpret_cast<ps_config*>(const_cast<void*>(
      static_cast<const void*>(&object_->rodata->ps_config))) = switch_config(tunables);
  set_sizes(*object_, tunables);
  std::vector<NamedMap> fresh;
  for (const auto& named : pinned_maps(*object_))
    if (!PENSTOCK_TRY(reuse(named.map, pin_path(named.name), log_))) fresh.push_back(named);
  if (const int error = penstock_switch_bpf__load(object_); error != 0)
    return verifier_log.refused(error);
  for (const auto& named : fresh) {
    const auto path = pin_path(named.name);
    if (bpf_obj_pin(bpf_map__fd(named.map), path.c_str()) != 0)
      return fail_errno(errno, fmt::format("pin map {}", path));
  }
  return {};
}

Status Switch::map_memory() {
  const auto* arena = object_->maps.ps_arena;
  PENSTOCK_CHECK(arena_.open(bpf_map__fd(arena), array_bytes(arena)));
  PENSTOCK_CHECK(arena_.at(0, PS_LINE_BYTES));  // the agent's mark, wanted at any moment
  ports_ = PENSTOCK_TRY(map_array(object_->maps.ps_ports));
  return {};
}

// A fresh arena takes line 0 of the newest older one: generations go on where they were, so that no
// verdict of a shared flow passes for one of ours, and the agent sees when the switch holds
// something newer than its own file.
Status Switch::adopt_mark() {
  const auto line = PENSTOCK_TRY(arena_.at(0, PS_LINE_BYTES));
  if (std::ranges::any_of(line, [](std::byte b) { return b != std::byte{}; })) return {};
  for (const auto& folder : other_maps(options_.directory, map_directory())) {
    const int fd = bpf_obj_get((folder + "/ps_arena").c_str());
    if (fd < 0) continue;
    bpf_map_info info{};
    __u32 length = sizeof(info);
    const __u32 first = 0;
    const bool read = bpf_obj_get_info_by_fd(fd, &info, &length) == 0 &&
                      info.value_size == PS_LINE_BYTES &&
                      bpf_map_lookup_elem(fd, &first, line.data()) == 0;
    ::close(fd);
    if (read) break;
  }
  return {};
}

Result<std::span<std::byte>> Switch::arena(std::size_t offset, std::size_t bytes) {
  return arena_.at(offset, bytes);
}
std::size_t Switch::arena_bytes() const {
  return arena_.bytes();
}
std::span<std::byte> Switch::ports() {
  return ports_;
}

Status Switch::synchronize() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
    return fail_errno(errno, "wait until no program uses old policy (membarrier)");
  return {};
}

int Switch::program_fd(Program program) const {
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

int Switch::map_fd_by_name(const char* name) const {
  return bpf_object__find_map_fd_by_name(object_->obj, name);
}

int Switch::empty_program_fd() const {
  return bpf_program__fd(object_->progs.empty);
}

Result<std::map<std::string, std::uint32_t>> Switch::verified_instructions() const {
  std::map<std::string, std::uint32_t> result;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object_->obj) {
    bpf_prog_info info{};
    __u32 length = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
      return fail_errno(errno, "look at a program");
    result[bpf_program__name(program)] = info.verified_insns;
  }
  return result;
}

Result<ps_sweep> Switch::run_sweep(ps_sweep order) {
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.ctx_in = &order;
  options.ctx_size_in = sizeof(order);
  if (bpf_prog_test_run_opts(bpf_program__fd(object_->progs.sweep), &options) != 0)
    return fail_errno(errno, "sweep the flow table");
  return order;
}

Result<ps_sweep> Switch::sweep() {
  return run_sweep({});
}

Result<ps_sweep> Switch::sweep_at(std::uint64_t now_ns) {
  ps_sweep order{};
  order.now_ns = now_ns;
  return run_sweep(order);
}

Result<ps_sweep> Switch::forget_flows(PortId port) {
  ps_sweep order{};
  order.port_id = port.value;
  return run_sweep(order);
}

Result<bool> Switch::place_flow(ByteView key, ByteView flow) {
  ps_place order{};
  order.key = PENSTOCK_TRY(value_of<ps_flow_key>(key));
  order.flow = PENSTOCK_TRY(value_of<ps_flow>(flow));
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.ctx_in = &order;
  options.ctx_size_in = sizeof(order);
  if (bpf_prog_test_run_opts(bpf_program__fd(object_->progs.place), &options) != 0)
    return fail_errno(errno, "place a flow entry");
  if (order.outcome == PS_PLACE_NO_ROOM)
    return fail(Code::kResourceExhausted,
                fmt::format("no room for a flow entry of port {}", order.key.port_id));
  return order.outcome == PS_PLACED;
}

namespace {

template <typename Record>
Ring::Sink records(std::function<void(const Record&)> sink) {
  return [sink = std::move(sink)](std::span<const std::byte> bytes) {
    if (const auto record = value_of<Record>(bytes)) sink(*record);
  };
}

}  // namespace

Result<std::unique_ptr<Ring>> Switch::open_punts(std::function<void(const ps_punted&)> sink) {
  return Ring::open(bpf_map__fd(object_->maps.ps_punt), records(std::move(sink)));
}

Result<std::unique_ptr<Ring>> Switch::open_events(std::function<void(const ps_event&)> sink) {
  return Ring::open(bpf_map__fd(object_->maps.ps_events), records(std::move(sink)));
}

Status Switch::take_over() {
  if (taken_over_) return {};
  const auto older = older_;
  if (!older.empty())
    log_.info("switch: {} devices go over to the programs of ABI version {}", older.size(),
              PS_ABI_VERSION);
  Status outcome;
  for (const auto at : older) {
    older_.erase(at);
    auto attached = attach(at);
    if (attached || attached.error().code == Code::kNotFound) continue;
    older_.insert(at);
    if (outcome) outcome = std::move(attached);
  }
  PENSTOCK_CHECK(outcome);
  PENSTOCK_CHECK(remove_old());
  taken_over_ = true;
  return {};
}

Status Switch::remove_old() {
  const auto flows = fs::path(pin_path("ps_flows")).parent_path();
  std::vector<fs::path> old;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.directory, error)) {
    const auto name = entry.path().filename().string();
    if ((name.starts_with(kMaps) && entry.path() != map_directory()) ||
        (name.starts_with(kFlows) && entry.path() != flows))
      old.push_back(entry.path());
  }
  for (const auto& path : old) {
    fs::remove_all(path, error);
    if (error) return fail_errno(error.value(), fmt::format("remove {}", path.string()));
  }
  return {};
}

Status Switch::remove_all(const std::string& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) return fail_errno(error.value(), fmt::format("remove {}", directory));
  return {};
}

}  // namespace penstock::host
