#include "tests/packets/world.h"

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/ensure.h"
#include "compile/policy/build.h"
#include "tests/tunnelled/tunnelled.h"
#include "tunnelled.skel.h"

namespace penstock::packets {
namespace {

using namespace host;

Mac mac(const std::string& text) {
  const auto parsed = Mac::parse(text);
  ensure(parsed, "test MAC address");
  return *parsed;
}

IpAddress address(const std::string& text) {
  const auto parsed = IpAddress::parse(text);
  ensure(parsed, "test IP address");
  return *parsed;
}

std::string action_text(std::uint32_t action) {
  switch (static_cast<int>(action)) {
    case TC_ACT_OK:
      return "pass";
    case TC_ACT_SHOT:
      return "drop";
    case TC_ACT_REDIRECT:
      return "redirect";
    default:
      return fmt::format("action {}", static_cast<int>(action));
  }
}

std::vector<std::byte> bytes_of_frame(const Frame& frame) {
  const auto bytes = std::as_bytes(std::span(frame));
  return {bytes.begin(), bytes.end()};
}

// As counted: of the last drop.
std::string reason_of(const ps_trace& said) {
  std::string reason;
  for (std::uint32_t i = 0; i < said.notes_count && i < PS_TRACE_NOTES; ++i)
    if (said.notes[i].kind == PS_NOTE_DROP) reason = drop_reasons()[said.notes[i].a].name;
  return reason;
}

}  // namespace

bool shell(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

World::World() : tunnelled_(nullptr, tunnelled__destroy) {}

Tunables World::small() {
  Tunables tunables;
  tunables.flow_entries = 1024;
  tunables.policy_arena_kib = 1024;
  tunables.ports_max = 64;
  return tunables;
}

Result<std::unique_ptr<World>> World::make(Tunables tunables) {
  std::unique_ptr<World> world(new World);
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return fail_errno(errno, "make namespaces");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno(errno, "make mounts private");
  char root[] = "/tmp/penstock-world-XXXXXX";
  if (!mkdtemp(root)) return fail_errno(errno, "make a folder");
  world->root_ = root;
  world->tunables_ = tunables;
  if (mount("bpf", root, "bpf", 0, nullptr) != 0) return fail_errno(errno, "mount bpffs");
  world->directory_ = world->root_ + "/switch";
  shell("ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null");
  world->switch_ = PENSTOCK_TRY(Switch::open({world->directory_}, tunables, world->log_));
  if (std::getenv("PENSTOCK_TRACE_EVERY_PACKET")) world->trace_every_packet();
  return world;
}

Status World::restart(AttachMethod method) {
  tracer_.reset();
  switch_.reset();
  switch_ = PENSTOCK_TRY(Switch::open({directory_, method}, tunables_, log_));
  return {};
}

std::uint32_t World::index_of(const std::string& device) {
  return if_nametoindex(device.c_str());
}

World::~World() {
  switch_.reset();
  umount2(root_.c_str(), MNT_DETACH);
  rmdir(root_.c_str());
}

void World::add_port(const PortSpec& spec, bool attach) {
  const auto device = fmt::format("vm{}", spec.id);
  ensure(
      shell(fmt::format(
          "ip link add {0} type veth peer name {0}x && ip link set {0} up && ip link set {0}x up",
          device)),
      "veth of a test port");
  add_port_on(device, spec, attach);
}

void World::add_port_on(const std::string& device, const PortSpec& spec, bool attach) {
  Port port{spec, static_cast<int>(if_nametoindex(device.c_str())),
            static_cast<std::uint32_t>(ports_.size())};
  const auto put = [&](Map map, const auto& key, const auto& value) {
    const auto status = switch_->map_put(map, bytes_of(key), bytes_of(value));
    ensure(status, "map entry of a test port");
  };
  const Mac m = mac(spec.mac);
  auto& entry = reinterpret_cast<ps_port*>(switch_->ports().data())[port.slot];
  entry = {};
  entry.ifindex = static_cast<std::uint32_t>(port.ifindex);
  entry.vni = spec.vni;
  entry.flags = spec.flags;
  entry.mtu = spec.mtu;
  std::memcpy(entry.mac, m.bytes.data(), 6);
  entry.port_id = spec.id;
  for (const auto& text : spec.addresses) {
    const auto a = address(text);
    // The second address of a family is found through the map alone.
    if (a.family == Family::kV4 && !entry.ip4[0]) std::memcpy(entry.ip4, a.bytes.data(), 4);
    if (a.family == Family::kV6 && !entry.ip6[0]) std::memcpy(entry.ip6, a.bytes.data(), 16);
    put(Map::kAddresses, allowed_key(PortId(spec.id), a), ps_allowed{});
    put(Map::kNeighbors, network_key(Vni(spec.vni), a), neighbor(m, false));
  }
  put(Map::kEndpoints, endpoint_key(Vni(spec.vni), m), local_endpoint(port.slot, PortId(spec.id)));
  put(Map::kPortSlots, static_cast<std::uint32_t>(port.ifindex), port.slot);
  if (attach)
    for (const auto program : {Program::kFromPort, Program::kToPort})
      ensure(switch_->attach({port.ifindex, program}), "attach a test port");
  ports_[spec.id] = port;
}

void World::add_remote(std::uint32_t vni, const std::string& m, const std::string& ip,
                       const std::string& host, const std::string& also) {
  auto endpoint = remote_endpoint(PortId(9999), address(host));
  if (!also.empty()) endpoint.also = vtep(address(also));
  ensure(switch_->map_put(Map::kEndpoints, bytes_of(endpoint_key(Vni(vni), mac(m))),
                          bytes_of(endpoint)),
         "remote endpoint");
  ensure(switch_->map_put(Map::kNeighbors, bytes_of(network_key(Vni(vni), address(ip))),
                          bytes_of(neighbor(mac(m), false))),
         "remote neighbour");
  remotes_[vni].push_back(address(host));
}

void World::add_gateway(std::uint32_t vni, const std::string& m, const std::string& ip) {
  ensure(switch_->map_put(Map::kEndpoints, bytes_of(endpoint_key(Vni(vni), mac(m))),
                          bytes_of(gateway_endpoint())),
         "gateway endpoint");
  ensure(switch_->map_put(Map::kNeighbors, bytes_of(network_key(Vni(vni), address(ip))),
                          bytes_of(neighbor(mac(m), true))),
         "gateway neighbour");
}

void World::fill_flood(std::uint32_t vni) {
  std::vector<std::uint32_t> slots;
  for (const auto& [id, port] : ports_)
    if (port.spec.vni == vni) slots.push_back(port.slot);
  const auto list = flood(slots, remotes_[vni]);
  ensure(list && switch_->map_put(Map::kFlood, bytes_of(vni), bytes_of(*list)), "flood list");
}

std::uint32_t World::place(std::span<const std::byte> bytes) {
  const std::uint32_t line = next_line_;
  const auto place = switch_->arena(std::size_t{line} * 64, bytes.size());
  ensure(place, "room in the arena");
  std::memcpy(place->data(), bytes.data(), bytes.size());
  next_line_ += static_cast<std::uint32_t>((bytes.size() + 63) / 64);
  return line;
}

std::uint32_t World::image(const policy::RuleSet& rules) {
  const auto built = policy::build_policy(rules);
  ensure(built, "rules of the test compile");
  return place(built->bytes());
}

std::uint32_t World::steps(const std::vector<ps_step>& list, std::uint16_t required) {
  const auto bytes = step_list(list, required);
  ensure(bytes, "step list of the test");
  return place(*bytes);
}

std::uint32_t World::policy(const policy::RuleSet& rules, std::uint8_t step_flags,
                            std::uint32_t profile) {
  ps_step step{};
  step.line = image(rules);
  step.profile = profile;
  step.kind = PS_STEP_FILTER;
  step.flags = step_flags;
  return steps({step}, 1);
}

ps_port& World::entry(std::uint32_t port) {
  return reinterpret_cast<ps_port*>(switch_->ports().data())[slot(port)];
}

void World::enable(std::uint32_t port, ps_direction direction, std::uint32_t line) {
  store_policy(entry(port), direction, PS_POLICY(++generation_, line));
}

void World::limit(std::uint32_t port, const Limits& limits) {
  StepLimits given;
  given.bits_per_second = limits.bits_per_second;
  given.connections = limits.connections;
  given.connections_per_second = limits.connections_per_second;
  PortLimits all;
  all.add(given, limits.profile);
  store_limits(entry(port), all);
}

int World::overlay_program(std::uint32_t vni, const std::string& sender, int next) {
  if (!tunnelled_) {
    tunnelled_.reset(tunnelled__open_and_load());
    ensure(tunnelled_ != nullptr, "the program that tunnels");
  }
  ps_tunnelled& tunnel = tunnelled_->bss->tunnel;
  tunnel = {};
  tunnel.vni = vni;
  if (!sender.empty()) {
    const auto from = address(sender);
    tunnel.family = static_cast<std::uint32_t>(from.family);
    for (int i = 0; i < 4; ++i) tunnel.sender4 = tunnel.sender4 << 8 | from.bytes[i];
    std::memcpy(tunnel.sender6, from.bytes.data(), 16);
  }
  const std::uint32_t zero = 0;
  ensure(bpf_map_update_elem(bpf_map__fd(tunnelled_->maps.ps_next), &zero, &next, BPF_ANY) == 0,
         "what follows the tunnel");
  return bpf_program__fd(tunnelled_->progs.tunnelled);
}

Outcome World::from_overlay(std::uint32_t vni, const std::string& sender, const Frame& frame) {
  const int lo = static_cast<int>(index_of("lo"));
  std::optional<TraceRun::Tunnel> tunnel;
  if (!sender.empty()) tunnel = TraceRun::Tunnel{Vni(vni), address(sender)};
  return traced(Program::kFromOverlay, lo, frame, tunnel, [&] {
    return run(overlay_program(vni, sender, switch_->program_fd(Program::kFromOverlay)), lo, frame);
  });
}

Outcome World::run(Program program, int ifindex, const Frame& frame, std::uint32_t mark) {
  const auto send = [&] { return run(switch_->program_fd(program), ifindex, frame, mark); };
  return mark == 0 ? traced(program, ifindex, frame, {}, send) : send();
}

Outcome World::traced(Program program, int ifindex, const Frame& frame,
                      const std::optional<TraceRun::Tunnel>& tunnel,
                      const std::function<Outcome()>& send) {
  if (!trace_every_packet_) return send();
  const auto before = effects();
  const auto traced = trace(program, ifindex, frame, {}, tunnel);
  EXPECT_EQ(effects(), before) << "tracing had an effect: " << describe(frame);
  const auto limited = counter(PS_COUNT_REJECT_LIMITED);
  auto outcome = send();
  if (outcome.action.starts_with("error")) {
    EXPECT_FALSE(traced) << describe(frame);
    return outcome;
  }
  EXPECT_TRUE(traced) << traced.error().text();
  // What tracing leaves out on purpose: fragments under way, and the rate of answers.
  const bool fragment = outcome.reason.starts_with("fragment") ||
                        (traced && reason_of(traced->said).starts_with("fragment"));
  if (!traced || fragment || counter(PS_COUNT_REJECT_LIMITED) != limited) return outcome;
  EXPECT_EQ(action_text(static_cast<std::uint32_t>(traced->said.action)), outcome.action)
      << describe(frame);
  EXPECT_EQ(reason_of(traced->said), outcome.reason) << describe(frame);
  EXPECT_EQ(std::vector(traced->frame), bytes_of_frame(outcome.frame)) << describe(frame);
  return outcome;
}

void World::trace_every_packet() {
  trace_every_packet_ = true;
}

Result<TraceRecord> World::trace(Program program, int ifindex, const Frame& frame,
                                 std::vector<std::byte> flows,
                                 std::optional<TraceRun::Tunnel> tunnel) {
  if (!tracer_)
    tracer_ = PENSTOCK_TRY(TraceSwitch::open(*switch_, tunables_, TraceSwitch::Kind::kDescribed));
  return tracer_->run({program, ifindex, bytes_of_frame(frame), tunnel, std::move(flows)});
}

std::string World::effects() {
  std::string out;
  const auto counters = switch_->counters();
  const auto drops = switch_->drops();
  const auto flows = switch_->map_dump(Map::kFlows);
  ensure(counters && drops && flows, "what the switch counts can be read");
  for (std::size_t i = 0; i < counters->size(); ++i)
    out += fmt::format("{} {}\n", switch_counters()[i].name, (*counters)[i]);
  for (std::size_t i = 0; i < drops->size(); ++i)
    out +=
        fmt::format("{} {} {}\n", drop_reasons()[i].name, (*drops)[i].packets, (*drops)[i].bytes);
  const auto hex = [](const host::Bytes& bytes) {
    std::string text;
    for (const auto byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
    return text;
  };
  for (const auto& [key, value] : *flows) out += fmt::format("flow {} {}\n", hex(key), hex(value));
  for (const auto& [id, port] : ports_) {
    const auto stats = switch_->port_stats(port.slot);
    ensure(stats, "what a port counts can be read");
    out += fmt::format("port {} {}\n", id, hex(host::bytes_of(*stats)));
  }
  return out;
}

Outcome World::run(int program_fd, int ifindex, const Frame& frame, std::uint32_t mark) {
  const auto before = switch_->drops();
  std::array<std::uint8_t, 4096> out{};
  __sk_buff context{};
  context.ifindex = static_cast<__u32>(ifindex);
  context.ingress_ifindex = static_cast<__u32>(ifindex);
  context.gso_segs = gso_segments;
  context.gso_size = gso_segments != 0 ? 1000 : 0;
  context.mark = mark;
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = out.data();
  options.data_size_out = out.size();
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  const int error = bpf_prog_test_run_opts(program_fd, &options);
  if (error != 0) return {fmt::format("error {}", error), {}, {}};
  Outcome outcome{
      action_text(options.retval), {}, Frame(out.data(), out.data() + options.data_size_out)};
  const auto after = switch_->drops();
  ensure(before && after, "drop counters can be read");
  for (std::size_t i = 0; i < after->size(); ++i)
    if ((*after)[i].packets != (*before)[i].packets) outcome.reason = drop_reasons()[i].name;
  return outcome;
}

double World::time_ns(int program_fd, int ifindex, const Frame& frame, int repeat) {
  __sk_buff context{};
  context.ifindex = static_cast<__u32>(ifindex);
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  options.repeat = repeat;
  ensure(bpf_prog_test_run_opts(program_fd, &options) == 0, "timed run");
  return options.duration;
}

std::uint64_t World::counter(ps_counter which) {
  const auto values = switch_->counters();
  ensure(values, "counters can be read");
  return (*values)[which];
}

std::size_t World::flows() {
  return switch_->map_dump(Map::kFlows)->size();
}

std::optional<ps_flow> World::flow(std::uint32_t port) {
  std::optional<ps_flow> found;
  const auto entries = switch_->map_dump(Map::kFlows);
  ensure(entries, "the flow table can be read");
  for (const auto& [key, value] : *entries) {
    if (value_of<ps_flow_key>(key)->port_id != port) continue;
    if (found) return {};
    found = *value_of<ps_flow>(value);
  }
  return found;
}

void World::age_fragments(std::uint64_t seconds) {
  std::filesystem::path pin;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_))
    if (entry.path().filename() == "ps_fragments") pin = entry.path();
  const int map = bpf_obj_get(pin.c_str());
  ensure(map >= 0, "the map of fragments can be opened");
  std::vector<ps_fragment_key> keys;
  ps_fragment_key key{};
  for (const void* last = nullptr; bpf_map_get_next_key(map, last, &key) == 0; last = &keys.back())
    keys.push_back(key);
  for (const auto& one : keys) {
    ps_fragment fragment{};
    ensure(bpf_map_lookup_elem(map, &one, &fragment) == 0, "a fragment's entry");
    fragment.seen_ns -= seconds * 1'000'000'000;
    ensure(bpf_map_update_elem(map, &one, &fragment, BPF_EXIST) == 0, "a fragment's entry");
  }
  close(map);
}

}  // namespace penstock::packets
