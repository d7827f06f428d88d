// Counts of rules and ports.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "host/switch/switch.h"
#include "penstock_switch_bpf.skel.h"

namespace penstock::host {
namespace {

Result<std::size_t> cpus() {
  const int found = libbpf_num_possible_cpus();
  if (found < 0) return fail_errno(-found, "count CPUs");
  return static_cast<std::size_t>(found);
}

void add(ps_rule_count& sum, const ps_rule_count& more) {
  sum.flows += more.flows;
  sum.would_deny += more.would_deny;
  sum.last_ns = std::max(sum.last_ns, more.last_ns);
  sum.packets += more.packets;
  sum.bytes += more.bytes;
}

}  // namespace

std::size_t Switch::rule_counters() const {
  return std::size_t{bpf_map__max_entries(object_->maps.ps_rule_counts)} * PS_RULES_PER_BLOCK;
}

Result<std::vector<ps_rule_count>> Switch::rule_counts(std::uint32_t first, std::uint32_t count) {
  std::vector<ps_rule_count> sums(count);
  std::vector<ps_rule_block> blocks(PENSTOCK_TRY(cpus()));
  std::uint32_t held = ~0u;  // the block that was read
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t at = (first + i) / PS_RULES_PER_BLOCK;
    if (at != held &&
        bpf_map_lookup_elem(bpf_map__fd(object_->maps.ps_rule_counts), &at, blocks.data()) != 0)
      return fail_errno(errno, fmt::format("read counts of rules at {}", first + i));
    held = at;
    for (const auto& block : blocks) add(sums[i], block.count[(first + i) % PS_RULES_PER_BLOCK]);
  }
  return sums;
}

Status Switch::set_rule_counts(std::uint32_t first, std::span<const ps_rule_count> counts) {
  if (first % PS_RULES_PER_BLOCK != 0)
    return fail(Code::kInternal, "counts of rules are written by whole blocks");
  std::vector<ps_rule_block> blocks(PENSTOCK_TRY(cpus()));
  for (std::size_t done = 0; done < counts.size(); done += PS_RULES_PER_BLOCK) {
    const auto part =
        counts.subspan(done, std::min<std::size_t>(PS_RULES_PER_BLOCK, counts.size() - done));
    blocks.front() = {};
    std::ranges::copy(part, blocks.front().count);
    const auto at = (first + static_cast<std::uint32_t>(done)) / PS_RULES_PER_BLOCK;
    if (bpf_map_update_elem(bpf_map__fd(object_->maps.ps_rule_counts), &at, blocks.data(),
                            BPF_ANY) != 0)
      return fail_errno(errno, fmt::format("write counts of rules at {}", first + done));
  }
  return {};
}

Result<PortCounts> Switch::port_counts(PortId port, std::uint32_t slot) {
  PortCounts out;
  const auto stats = PENSTOCK_TRY(port_stats(slot));
  for (const auto direction : {PS_OUT, PS_IN}) {
    out.packets[direction] = stats.packets[direction];
    out.bytes[direction] = stats.bytes[direction];
  }
  std::vector<ps_drop_count> drops(PENSTOCK_TRY(cpus()));
  for (std::uint32_t reason = 0; reason < PS_DROP_REASON_COUNT; ++reason) {
    const ps_port_drop_key key{.port_id = port.value, .reason = reason};
    if (bpf_map_lookup_elem(bpf_map__fd(object_->maps.ps_port_drops), &key, drops.data()) != 0) {
      if (errno == ENOENT) continue;
      return fail_errno(errno, "read drops of a port");
    }
    for (const auto& drop : drops) out.drops[reason] += drop.packets;
  }
  ps_port_flows held{};
  if (bpf_map_lookup_elem(bpf_map__fd(object_->maps.ps_port_flows), &slot, &held) != 0)
    return fail_errno(errno, "read the number of flows of a port");
  if (held.port_id == port.value) out.flows = held.entries;
  return out;
}

Status Switch::forget_port(PortId port, std::uint32_t slot) {
  for (std::uint32_t reason = 0; reason < PS_DROP_REASON_COUNT; ++reason) {
    const ps_port_drop_key key{.port_id = port.value, .reason = reason};
    if (bpf_map_delete_elem(bpf_map__fd(object_->maps.ps_port_drops), &key) != 0 && errno != ENOENT)
      return fail_errno(errno, "forget drops of a port");
  }
  return clear_port_stats(slot);
}

Result<Counts> Switch::count(const CountsWanted& wanted) {
  PENSTOCK_TRY(sweep());  // what live flows have carried is taken over by it
  Counts out;
  for (const auto& range : wanted.rules)
    out.rules.push_back(PENSTOCK_TRY(rule_counts(range.first, range.count)));
  for (const auto& port : wanted.ports)
    out.ports.push_back(PENSTOCK_TRY(port_counts(port.port, port.slot)));
  return out;
}

}  // namespace penstock::host
