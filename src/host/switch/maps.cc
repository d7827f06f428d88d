// Map access of the switch.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "host/switch/switch.h"
#include "penstock_switch_bpf.skel.h"

namespace penstock::host {
namespace {

Status check_sizes(int fd, const bpf_map* map, std::size_t key, std::optional<std::size_t> value) {
  if (fd < 0) return fail(Code::kInternal, "no such map");
  if (key != bpf_map__key_size(map) || (value && *value != bpf_map__value_size(map)))
    return fail(Code::kInternal,
                fmt::format("key or value of {} has the wrong size", bpf_map__name(map)));
  return {};
}

// Sums one element of a per-CPU array.
template <typename T>
Result<T> sum_of_cpus(const bpf_map* map, std::uint32_t index) {
  static_assert(sizeof(T) % 8 == 0);
  constexpr std::size_t kWords = sizeof(T) / 8;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail_errno(-cpus, "count CPUs");
  std::vector<std::uint64_t> words(kWords * static_cast<std::size_t>(cpus));
  if (bpf_map_lookup_elem(bpf_map__fd(map), &index, words.data()) != 0)
    return fail_errno(errno, fmt::format("read {}", bpf_map__name(map)));
  std::array<std::uint64_t, kWords> sums{};
  for (std::size_t i = 0; i < words.size(); ++i) sums[i % kWords] += words[i];
  T value;
  std::memcpy(&value, sums.data(), sizeof(T));
  return value;
}

const bpf_map* map_of(const penstock_switch_bpf& object, Map map) {
  switch (map) {
    case Map::kPortSlots:
      return object.maps.ps_port_slots;
    case Map::kAddresses:
      return object.maps.ps_addresses;
    case Map::kEndpoints:
      return object.maps.ps_endpoints;
    case Map::kNeighbors:
      return object.maps.ps_neighbors;
    case Map::kFlood:
      return object.maps.ps_flood;
    case Map::kGroups:
      return object.maps.ps_groups;
    case Map::kFlows:
      return object.maps.ps_flows;
    case Map::kOverlay:
      return object.maps.ps_overlay;
  }
  return nullptr;
}

}  // namespace

int Switch::map_fd(Map map) const {
  const auto* m = map_of(*object_, map);
  return m ? bpf_map__fd(m) : -1;
}

Status Switch::map_put(Map map, ByteView key, ByteView value) {
  const auto* m = map_of(*object_, map);
  PENSTOCK_CHECK(check_sizes(map_fd(map), m, key.size(), value.size()));
  if (bpf_map_update_elem(map_fd(map), key.data(), value.data(), BPF_ANY) != 0) {
    if (errno == E2BIG)
      return fail(Code::kResourceExhausted, fmt::format("map {} is full ({} entries)",
                                                        bpf_map__name(m), bpf_map__max_entries(m)));
    return fail_errno(errno, fmt::format("write {}", bpf_map__name(m)));
  }
  return {};
}

Status Switch::map_erase(Map map, ByteView key) {
  const auto* m = map_of(*object_, map);
  PENSTOCK_CHECK(check_sizes(map_fd(map), m, key.size(), {}));
  if (bpf_map_delete_elem(map_fd(map), key.data()) != 0 && errno != ENOENT)
    return fail_errno(errno, fmt::format("erase from {}", bpf_map__name(m)));
  return {};
}

Result<std::optional<Bytes>> Switch::map_get(Map map, ByteView key) {
  const auto* m = map_of(*object_, map);
  PENSTOCK_CHECK(check_sizes(map_fd(map), m, key.size(), {}));
  Bytes value(bpf_map__value_size(m));
  if (bpf_map_lookup_elem(map_fd(map), key.data(), value.data()) != 0) {
    if (errno == ENOENT) return std::optional<Bytes>();
    return fail_errno(errno, fmt::format("read {}", bpf_map__name(m)));
  }
  return std::optional(std::move(value));
}

Result<std::vector<std::pair<Bytes, Bytes>>> Switch::map_dump(Map map) {
  const auto* m = map_of(*object_, map);
  std::vector<std::pair<Bytes, Bytes>> entries;
  Bytes key(bpf_map__key_size(m)), value(bpf_map__value_size(m));
  // A hash map walked while it changes may start over; more steps than twice its size means that it
  // does not end.
  const std::size_t most = std::size_t{bpf_map__max_entries(m)} * 2;
  const void* previous = nullptr;
  for (std::size_t steps = 0; steps < most; ++steps) {
    Bytes next(key.size());
    if (bpf_map_get_next_key(map_fd(map), previous, next.data()) != 0) {
      if (errno != ENOENT) return fail_errno(errno, fmt::format("walk {}", bpf_map__name(m)));
      break;
    }
    key = std::move(next);
    previous = key.data();
    if (bpf_map_lookup_elem(map_fd(map), key.data(), value.data()) == 0)
      entries.emplace_back(key, value);
  }
  std::ranges::sort(entries);
  const auto twins = std::ranges::unique(entries, {}, &std::pair<Bytes, Bytes>::first);
  entries.erase(twins.begin(), twins.end());
  return entries;
}

// BPF_MAP_LOOKUP_BATCH (Linux 5.6) goes by whole buckets and says in 4 bytes where it stopped.
Result<Kernel::MapPart> Switch::map_part(Map map, ByteView after, std::size_t most) {
  const auto* m = map_of(*object_, map);
  if (map_fd(map) < 0) return fail(Code::kInternal, "no such map");
  const auto key_size = bpf_map__key_size(m), value_size = bpf_map__value_size(m);
  std::uint32_t from = 0, end = 0;
  if (!after.empty() && after.size() != sizeof(from))
    return fail(Code::kInvalidArgument, "no end of a part of a map");
  std::memcpy(&from, after.data(), after.size());
  auto count = static_cast<__u32>(std::max<std::size_t>(most, 1));
  Bytes keys, values;
  int failed = 0;
  // ENOSPC: the first bucket alone holds more.
  do {
    keys.resize(std::size_t{count} * key_size);
    values.resize(std::size_t{count} * value_size);
    const auto room = count;
    failed = bpf_map_lookup_batch(map_fd(map), after.empty() ? nullptr : &from, &end, keys.data(),
                                  values.data(), &count, nullptr) != 0
                 ? errno
                 : 0;
    if (failed == ENOSPC) count = room * 2;
  } while (failed == ENOSPC && count <= bpf_map__max_entries(m) * 2);
  if (failed != 0 && failed != ENOENT)
    return fail_errno(failed, fmt::format("walk {}", bpf_map__name(m)));
  Kernel::MapPart part;
  part.entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto key = keys.begin() + static_cast<std::ptrdiff_t>(i * key_size);
    const auto value = values.begin() + static_cast<std::ptrdiff_t>(i * value_size);
    part.entries.emplace_back(Bytes(key, key + key_size), Bytes(value, value + value_size));
  }
  if (failed == 0) {
    part.end.resize(sizeof(end));
    std::memcpy(part.end.data(), &end, sizeof(end));
  }
  return part;
}

Result<std::vector<std::pair<Bytes, Bytes>>> Switch::flows_of(std::span<const PortId> ports) {
  constexpr std::size_t kBatch = 4096;
  std::vector<std::pair<Bytes, Bytes>> found;
  for (Bytes after;;) {
    auto part = PENSTOCK_TRY(map_part(Map::kFlows, after, kBatch));
    for (auto& entry : part.entries) {
      ps_flow_key key;
      std::memcpy(&key, entry.first.data(), sizeof(key));
      if (std::ranges::find(ports, PortId(key.port_id)) != ports.end())
        found.push_back(std::move(entry));
    }
    after = std::move(part.end);
    if (after.empty()) break;
  }
  std::ranges::sort(found);
  return found;
}

Result<std::vector<std::uint64_t>> Switch::counters() {
  std::vector<std::uint64_t> values;
  for (std::uint32_t i = 0; i < PS_COUNTER_COUNT; ++i)
    values.push_back(PENSTOCK_TRY(sum_of_cpus<std::uint64_t>(object_->maps.ps_counters, i)));
  return values;
}

Result<std::vector<ps_drop_count>> Switch::drops() {
  std::vector<ps_drop_count> values;
  for (std::uint32_t i = 0; i < PS_DROP_REASON_COUNT; ++i)
    values.push_back(PENSTOCK_TRY(sum_of_cpus<ps_drop_count>(object_->maps.ps_drops, i)));
  return values;
}

Result<ps_port_stats> Switch::port_stats(std::uint32_t slot) {
  return sum_of_cpus<ps_port_stats>(object_->maps.ps_port_stats, slot);
}

Status Switch::clear_port_stats(std::uint32_t slot) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail_errno(-cpus, "count CPUs");
  const std::vector<ps_port_stats> zeros(static_cast<std::size_t>(cpus));
  if (bpf_map_update_elem(bpf_map__fd(object_->maps.ps_port_stats), &slot, zeros.data(), BPF_ANY) !=
      0)
    return fail_errno(errno, "clear port counters");
  return {};
}

}  // namespace penstock::host
