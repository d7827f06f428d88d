#include "lab/links/link_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/random.h>

#include <memory>

#include <fmt/format.h>

#include "net/linux/fd.h"
#include "penstock_link_bpf.skel.h"

namespace penstock::lab {
namespace {

using linux_net::Fd;

constexpr std::uint32_t kPriority = 1;
constexpr std::uint32_t kHandle = 1;

bpf_tc_hook hook_of(int ifindex, bpf_tc_attach_point point) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = ifindex;
  hook.attach_point = point;
  return hook;
}

bpf_tc_opts options_of(std::uint32_t flags = 0) {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = kHandle;
  options.priority = kPriority;
  options.flags = flags;
  return options;
}

constexpr auto kBothPoints = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);

Status add_clsact(int ifindex) {
  auto hook = hook_of(ifindex, kBothPoints);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
    return fail_errno(-error, fmt::format("put clsact on link {}", ifindex));
  return {};
}

Status attach(int ifindex, bpf_tc_attach_point point, const bpf_program* program) {
  const auto hook = hook_of(ifindex, point);
  auto options = options_of(BPF_TC_F_REPLACE);
  options.prog_fd = bpf_program__fd(program);
  if (const int error = bpf_tc_attach(&hook, &options); error != 0)
    return fail_errno(-error,
                      fmt::format("attach {} to link {}", bpf_program__name(program), ifindex));
  return {};
}

// The map of that name which the program of a link holds.
Result<Fd> held_map(int ifindex, const std::string& name) {
  const auto hook = hook_of(ifindex, BPF_TC_INGRESS);
  auto options = options_of();
  if (const int error = bpf_tc_query(&hook, &options); error != 0) {
    if (error == -ENOENT || error == -EINVAL) return Fd();  // no program, or no clsact
    return fail_errno(-error, fmt::format("look at link {}", ifindex));
  }
  const Fd program(bpf_prog_get_fd_by_id(options.prog_id));
  std::array<std::uint32_t, 8> ids{};
  bpf_prog_info info{};
  info.nr_map_ids = ids.size();
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  std::uint32_t length = sizeof info;
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0)
    return fail_errno(errno, fmt::format("look at the program of link {}", ifindex));
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(info.nr_map_ids, ids.size()); ++i) {
    Fd map(bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info map_info{};
    length = sizeof map_info;
    if (map && bpf_obj_get_info_by_fd(map.get(), &map_info, &length) == 0 && name == map_info.name)
      return map;
  }
  return Fd();
}

Result<std::uint64_t> drawn_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return fail_errno(errno, "draw a seed");
  return seed;
}

struct Destroy {
  void operator()(penstock_link_bpf* skeleton) const { penstock_link_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<penstock_link_bpf, Destroy>;

// With the maps that are there already, so that counters and dice go on.
Result<Skeleton> load(int port) {
  libbpf_set_print(nullptr);  // it tells of clsact being there already as of an error
  Skeleton skeleton(penstock_link_bpf__open());
  if (!skeleton) return fail_errno(errno, "open the programs of links");
  const auto ways = PENSTOCK_TRY(held_map(port, "link_ways"));
  const auto counts = PENSTOCK_TRY(held_map(port, "link_counts"));
  if (ways && counts &&
      (bpf_map__reuse_fd(skeleton->maps.link_ways, ways.get()) != 0 ||
       bpf_map__reuse_fd(skeleton->maps.link_counts, counts.get()) != 0))
    return fail_errno(errno, "take over the maps of a link");
  if (const int error = penstock_link_bpf__load(skeleton.get()); error != 0)
    return fail_errno(-error, "load the programs of links");
  return skeleton;
}

Status set_way(const Skeleton& skeleton, const LinkSeat& seat, std::uint32_t direction,
               const Impairment& impairment, bool restart_dice) {
  link_way way{};
  way.loss = impairment.loss.ppm;
  way.duplicate = impairment.duplicate.ppm;
  way.relay = static_cast<std::uint32_t>(seat.relays[direction]);
  way.port = static_cast<std::uint32_t>(seat.port);
  // The two directions do not lose the same numbers.
  way.seed = impairment.seed ? impairment.seed * LINK_WAYS + direction : PENSTOCK_TRY(drawn_seed());
  const int ways = bpf_map__fd(skeleton->maps.link_ways);
  const int counts = bpf_map__fd(skeleton->maps.link_counts);
  if (restart_dice) {
    const link_count none{};
    if (bpf_map_update_elem(counts, &direction, &none, BPF_ANY) != 0)
      return fail_errno(errno, "reset the counters of a link");
  }
  if (bpf_map_update_elem(ways, &direction, &way, BPF_ANY) != 0)
    return fail_errno(errno, "set a link");
  return {};
}

}  // namespace

Status prepare_link_port(int port) {
  libbpf_set_print(nullptr);
  return add_clsact(port);
}

Status set_link_program(const LinkSeat& seat, const Impairments& impairments, bool restart_dice) {
  const auto skeleton = PENSTOCK_TRY(load(seat.port));
  PENSTOCK_CHECK(set_way(skeleton, seat, LINK_IN, impairments.in, restart_dice));
  PENSTOCK_CHECK(set_way(skeleton, seat, LINK_OUT, impairments.out, restart_dice));
  const auto& programs = skeleton->progs;
  for (const int device : {seat.port, seat.relays[LINK_IN], seat.relays[LINK_OUT]})
    if (device != 0) PENSTOCK_CHECK(add_clsact(device));
  // The way back first: whoever is sent to the relay can come home.
  if (seat.relays[LINK_IN])
    PENSTOCK_CHECK(attach(seat.relays[LINK_IN], BPF_TC_INGRESS, programs.link_in_back));
  if (seat.relays[LINK_OUT])
    PENSTOCK_CHECK(attach(seat.relays[LINK_OUT], BPF_TC_INGRESS, programs.link_out_back));
  PENSTOCK_CHECK(attach(seat.port, BPF_TC_EGRESS, programs.link_in));
  return attach(seat.port, BPF_TC_INGRESS, programs.link_out);
}

Status remove_link_program(int port) {
  libbpf_set_print(nullptr);
  for (const auto point : {BPF_TC_INGRESS, BPF_TC_EGRESS}) {
    const auto hook = hook_of(port, point);
    const auto options = options_of();
    const int error = bpf_tc_detach(&hook, &options);
    if (error != 0 && error != -ENOENT && error != -EINVAL)
      return fail_errno(-error, fmt::format("take the program off link {}", port));
  }
  return {};
}

Result<std::optional<std::array<link_count, LINK_WAYS>>> link_counts(int port) {
  libbpf_set_print(nullptr);
  const auto map = PENSTOCK_TRY(held_map(port, "link_counts"));
  if (!map) return std::nullopt;
  std::array<link_count, LINK_WAYS> counts{};
  for (std::uint32_t way = 0; way < LINK_WAYS; ++way)
    if (bpf_map_lookup_elem(map.get(), &way, &counts[way]) != 0)
      return fail_errno(errno, "read the counters of a link");
  return counts;
}

}  // namespace penstock::lab
