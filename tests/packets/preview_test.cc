// What a preview foretells and what the switch then does: random services and live flows, an order,
// then the change itself and one packet more of each flow. Both must be the same, flow by flow
// counted.
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include <chrono>
#include <filesystem>
#include <random>

#include <fmt/format.h>

#include "base/real_runtime.h"
#include "host/linux/linux_kernel.h"
#include "host/preview.h"
#include "host/sim/items.h"
#include "tests/packets/two_ports.h"

namespace penstock::packets {
namespace {

using namespace host;

constexpr std::uint32_t kVni = 1;

// Instances whose devices are there already.
class Devices final : public Hypervisor {
 public:
  explicit Devices(Runtime& runtime) : runtime_(runtime) {}
  Result<std::vector<InstanceInfo>> list() override {
    std::vector<InstanceInfo> out;
    for (const auto& [id, info] : instances_) out.push_back(info);
    return out;
  }
  void ensure_instance(const InstanceSpec& spec,
                       std::function<Status(const InstanceInfo&)> devices_ready,
                       Done done) override {
    runtime_.post([this, spec, devices_ready = std::move(devices_ready), done = std::move(done)] {
      InstanceInfo info{spec.id, true, {}};
      for (const auto& nic : spec.nics)
        info.ports.push_back(
            {nic.port, static_cast<int>(World::index_of(fmt::format("vm{}", nic.port.value))),
             false});
      instances_[spec.id] = info;
      done(devices_ready(info));
    });
  }
  void remove_instance(const std::string& id, Done done) override {
    instances_.erase(id);
    runtime_.post([done = std::move(done)] { done({}); });
  }
  void on_changed(std::function<void()>) override {}

 private:
  Runtime& runtime_;
  std::map<std::string, InstanceInfo> instances_;
};

// An agent's inside on a real switch: two VMs of one network.
class Host {
 public:
  Host(const std::string& directory, const Tunables& tunables) : runtime(tunables) {
    for (int id = 1; id <= 2; ++id)
      EXPECT_TRUE(shell(
          fmt::format("ip link add vm{0} type veth peer name vm{0}x && ip link set vm{0} up", id)));
    auto links = LinkNetlink::open(runtime, log);
    auto programs = Switch::open({.directory = directory}, tunables, log);
    EXPECT_TRUE(links && programs) << programs.error().text();
    kernel = std::make_unique<LinuxKernel>(runtime, log, std::move(*links), std::move(*programs));
    devices = std::make_unique<Devices>(runtime);
    reconciler = std::make_unique<Reconciler>(runtime, log, *kernel,
                                              Instances::Drivers{{"netns", devices.get()}}, intent);
    EXPECT_TRUE(reconciler->start());
    preview = std::make_unique<Preview>(runtime, *kernel, intent, *reconciler,
                                        [this](const v1::PreviewReport& report) {
                                          answer = report;
                                          runtime.stop();
                                        });
  }

  static v1::IntentItem port(std::uint32_t id) {
    auto item = items::port(id, fmt::format("vm-{}", id), kVni);
    for (int i = 0; i < 4; ++i)
      item.mutable_port()->add_addresses(fmt::format("10.1.{}.{}", i + 10, id));
    for (int i = 0; i < 3; ++i)
      item.mutable_port()->add_addresses(fmt::format("fd00:{}::{}", i, id));
    return item;
  }
  void start() {
    holds = {items::network(kVni), items::vm("vm-1", {1}), items::vm("vm-2", {2}), port(1),
             port(2)};
    accept(intent, items::full({"i", ++revision, 1}, holds));
    reconciler->apply_all();
    settle();
    EXPECT_TRUE(reconciler->ports().live(PortId{1}) && reconciler->ports().live(PortId{2}));
  }
  void change(const std::vector<v1::IntentItem>& put) {
    const auto before = revision++;
    const auto taken = accept(intent, items::delta(before, {"i", revision, 1}, put));
    EXPECT_EQ(taken.kind, Acceptance::Kind::kTaken) << taken.why;
    reconciler->apply(taken.changed);
    settle();
    for (const auto& [key, why] : reconciler->troubles()) ADD_FAILURE() << key << why.message;
  }
  v1::PreviewReport ask(const std::vector<v1::IntentItem>& put) {
    v1::PreviewOrder order;
    order.set_id(1);
    order.set_examples(5);
    for (const auto& item : put) *order.add_put() = item;
    answer = {};
    runtime.post([&] { preview->take(order); });
    runtime.run();
    return answer;
  }
  void settle() {
    runtime.after(std::chrono::milliseconds(20), [this] { runtime.stop(); });
    runtime.run();
  }
  // True: not dropped.
  bool send(std::uint32_t from, const Frame& frame) {
    std::array<std::uint8_t, 4096> out{};
    __sk_buff context{};
    context.ifindex = context.ingress_ifindex = World::index_of(fmt::format("vm{}", from));
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.data_out = out.data();
    options.data_size_out = out.size();
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    EXPECT_EQ(bpf_prog_test_run_opts(kernel->programs().program_fd(Program::kFromPort), &options),
              0);
    return options.retval != TC_ACT_SHOT;
  }
  using Flows = std::map<Bytes, ps_flow>;
  Flows flows() {
    Flows out;
    const auto entries = kernel->map_dump(Map::kFlows);
    for (const auto& [key, value] : *entries) out.emplace(key, *value_of<ps_flow>(value));
    return out;
  }

  RealRuntime runtime;
  NullLog log;
  std::unique_ptr<LinuxKernel> kernel;
  std::unique_ptr<Devices> devices;
  Intent intent;
  std::unique_ptr<Reconciler> reconciler;
  std::unique_ptr<Preview> preview;
  v1::PreviewReport answer;
  std::vector<v1::IntentItem> holds;
  std::int64_t revision = 0;
};

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }
  template <typename T>
  T pick(std::initializer_list<T> from) {
    return *(from.begin() + below(static_cast<std::uint32_t>(from.size())));
  }
  std::string address(std::uint32_t id) {
    const auto item = Host::port(id);
    const auto& all = item.port().addresses();
    return all[static_cast<int>(below(static_cast<std::uint32_t>(all.size())))];
  }

  v1::IntentItem group(std::uint64_t id) {
    std::vector<std::pair<std::uint32_t, std::string>> members;
    for (int i = 0; i < 5; ++i) members.emplace_back(kVni, address(1 + below(2)));
    std::ranges::sort(members);
    members.erase(std::unique(members.begin(), members.end()), members.end());
    return items::group(id, members);
  }
  v1::IntentItem policy(std::uint64_t id) {
    auto item = items::firewall(id, 80);
    auto& filter = *item.mutable_policy()->mutable_filter();
    filter.clear_rules();
    const auto any = [&] { return pick({v1::ALLOW, v1::ALLOW, v1::DENY, v1::REJECT}); };
    filter.set_default_out(any());
    filter.set_default_in(any());
    const auto count = 1 + below(8);
    for (std::uint32_t i = 0; i < count; ++i) rule(i, *filter.add_rules());
    return item;
  }
  v1::IntentItem port(std::uint32_t id) {
    auto item = Host::port(id);
    const auto first = 1 + below(4), count = 1 + below(3);
    for (std::uint32_t i = 0; i < count; ++i) {
      auto& step = *item.mutable_port()->add_steps();
      step.set_policy(1 + (first + i) % 4);
      step.set_kind("filter");
      step.set_profile(fmt::format("firewall-{}", step.policy()));
      step.set_enablement("acme/e");
      step.set_observe(one_in(4));
    }
    return item;
  }

 private:
  void peer(v1::ResolvedPeer& out) {
    switch (below(5)) {
      case 0:
        return out.set_group(1 + below(2));
      case 1:
        return out.set_self(true);
      case 2:
        return out.set_cidr(pick({"10.1.0.0/16", "10.1.10.0/23", "fd00:1::/32", "0.0.0.0/0"}));
      default:
        return out.set_cidr(address(1 + below(2)));
    }
  }
  void rule(std::uint32_t index, v1::ResolvedRule& out) {
    out.set_index(index);
    out.set_name(fmt::format("r{}", index));
    out.set_direction(pick({v1::FilterRule::IN, v1::FilterRule::OUT, v1::FilterRule::BOTH}));
    out.set_action(pick({v1::ALLOW, v1::DENY, v1::REJECT}));
    for (auto i = below(3); i > 0; --i) peer(*out.add_from());
    for (auto i = below(3); i > 0; --i) peer(*out.add_to());
    switch (below(4)) {
      case 0:
        out.add_protocols(pick({1u, 58u}));
        break;
      case 1:
        return;
      default:
        out.add_protocols(pick({6u, 17u}));
        if (one_in(2)) return;
        auto& span = *out.add_ports();
        span.set_low(80 + below(6));
        span.set_high(span.low() + below(3));
    }
  }
  std::mt19937_64 random_;
};

class PreviewAndReality : public testing::Test {
 protected:
  void start(const Tunables& tunables) {
    auto made = World::make(World::small());
    ASSERT_TRUE(made) << made.error().text();
    world = std::move(*made);
    const auto directory = std::filesystem::path(world->directory()).parent_path() / "agent";
    host = std::make_unique<Host>(directory.string(), tunables);
    host->start();
  }

  Packet packet(std::uint32_t from, const std::string& source, const std::string& destination) {
    const auto other = 3 - from;
    return Packet(Host::port(from).port().mac() + " > " + Host::port(other).port().mac())
        .ip(source + " > " + destination);
  }
  // Opens a flow that somebody begins with; refused or not.
  void open(Chance& chance) {
    const auto from = 1 + chance.below(2), to = 3 - from;
    const auto source = chance.address(from);
    auto destination = chance.address(to);
    while ((destination.find(':') == destination.npos) != (source.find(':') == source.npos))
      destination = chance.address(to);
    const auto client = static_cast<std::uint16_t>(20'000 + chance.below(20'000));
    const auto server = static_cast<std::uint16_t>(79 + chance.below(9));
    const auto there = [&] { return packet(from, source, destination); };
    const auto back = [&] { return packet(to, destination, source); };
    const auto kind = chance.below(4);
    if (kind == 0) {
      const bool v6 = source.find(':') != source.npos;
      const auto id = std::uint32_t{client} << 16;
      if (host->send(from, there().icmp(v6 ? 128 : 8, 0, id).frame()))
        host->send(to, back().icmp(v6 ? 129 : 0, 0, id).frame());
    } else if (kind == 1) {
      if (host->send(from, there().udp(client, server).frame()) && chance.one_in(2))
        host->send(to, back().udp(server, client).frame());
    } else if (host->send(from, there().tcp(client, server, SYN).frame())) {
      if (chance.one_in(5)) return;
      host->send(to, back().tcp(server, client, SYN | ACK).frame());
      host->send(from, there().tcp(client, server, ACK).frame());
      if (!chance.one_in(6)) return;
      host->send(from, there().tcp(client, server, FIN | ACK).frame());
      if (chance.one_in(2)) host->send(to, back().tcp(server, client, FIN | ACK).frame());
    }
  }
  // A packet of the entry's own VM.
  void go_on(const Bytes& bytes, const ps_flow& flow) {
    const auto key = *value_of<ps_flow_key>(bytes);
    const auto text = [&](const std::uint8_t* address) {
      IpAddress out;
      out.family = key.family == 6 ? Family::kV6 : Family::kV4;
      std::copy(address, address + 16, out.bytes.begin());
      return out.text();
    };
    auto next = packet(key.port_id, text(key.local), text(key.remote));
    if (key.protocol == 6)
      next.tcp(key.local_port, key.remote_port, ACK);
    else if (key.protocol == 17)
      next.udp(key.local_port, key.remote_port);
    else
      next.icmp(
          static_cast<std::uint8_t>((key.family == 6 ? 128 : 8) + (flow.initiator == PS_OUT ? 0
                                                                   : key.family == 6        ? 1
                                                                                            : -8)),
          0, std::uint32_t{key.local_port} << 16);
    host->send(key.port_id, next.frame());
  }

  std::unique_ptr<World> world;
  std::unique_ptr<Host> host;
};

TEST_F(PreviewAndReality, WhatIsForetoldIsWhatHappens) {
  Tunables tunables = World::small();
  tunables.flow_entries = 8'192;
  start(tunables);
  std::int64_t all_cut = 0, all_judged = 0, all_live = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    Chance chance(static_cast<std::uint64_t>(GTEST_FLAG_GET(random_seed)) * 1'000 + round);
    std::vector<v1::IntentItem> now{chance.group(1), chance.group(2)};
    for (std::uint64_t id = 1; id <= 4; ++id) now.push_back(chance.policy(id));
    for (std::uint32_t id = 1; id <= 2; ++id) now.push_back(chance.port(id));
    host->change(now);
    for (const auto& [key, flow] : host->flows()) (void)host->kernel->map_erase(Map::kFlows, key);
    for (int i = 0; i < 300; ++i) open(chance);

    std::vector<v1::IntentItem> then;
    for (std::uint64_t id = 1; id <= 2; ++id)
      if (chance.one_in(3)) then.push_back(chance.group(id));
    for (std::uint64_t id = 1; id <= 4; ++id)
      if (chance.one_in(3)) then.push_back(chance.policy(id));
    for (std::uint32_t id = 1; id <= 2; ++id)
      if (chance.one_in(2)) then.push_back(chance.port(id));
    const auto before = host->flows();
    const auto foretold = host->ask(then);
    ASSERT_EQ(foretold.code(), "") << foretold.message();
    {
      const auto after = host->flows();
      ASSERT_EQ(after.size(), before.size());
      for (const auto& [key, flow] : before)
        ASSERT_EQ(std::memcmp(&after.at(key), &flow, sizeof(flow)), 0) << "nothing was touched";
    }
    host->change(then);
    for (const auto& [key, flow] : before) go_on(key, flow);
    const auto after = host->flows();
    std::int64_t cut = 0, judged = 0;
    for (const auto& [key, flow] : before) {
      if (flow.flags & PS_FLOW_DENIED) continue;
      if (value_of<ps_flow_key>(key)->protocol == 6 && flow.state == PS_FLOW_CLOSED) continue;
      ++all_live;
      const auto& is = after.at(key);
      judged += is.policy != flow.policy;
      cut += (is.flags & PS_FLOW_DENIED) != 0;
    }
    EXPECT_EQ(foretold.flows(), judged) << "round " << round;
    EXPECT_EQ(foretold.cut(), cut) << "round " << round;
    EXPECT_EQ(foretold.examples_size(), std::min<std::int64_t>(cut, 5));
    all_cut += cut;
    all_judged += judged;
  }
  RecordProperty("live", static_cast<int>(all_live));
  RecordProperty("judged", static_cast<int>(all_judged));
  RecordProperty("cut", static_cast<int>(all_cut));
  EXPECT_GT(all_live, 2'000);
  EXPECT_GT(all_cut, 200) << "else nothing was tested";
  EXPECT_GT(all_judged - all_cut, 200);
}

TEST_F(PreviewAndReality, AFullTableIsJudgedInAMoment) {
  Tunables tunables = World::small();
  tunables.flow_entries = 262'144;
  start(tunables);
  Chance chance(1);
  auto port = Host::port(1);
  auto& step = *port.mutable_port()->add_steps();
  step.set_policy(1);
  step.set_kind("filter");
  host->change({items::firewall(1, 80), port});
  const auto& table = host->reconciler->ports().table();
  const auto word = table.port(*table.slot_of(PortId(1))).policy[PS_IN];
  for (std::uint32_t i = 0; i < 260'000; ++i) {
    ps_flow_key key{};
    key.port_id = 1;
    key.local[0] = 10;
    std::memcpy(key.remote, &i, sizeof(i));
    key.local_port = 80;
    key.protocol = 6;
    key.family = 4;
    ps_flow flow{};
    flow.policy = word;
    flow.initiator = PS_IN;
    flow.state = PS_FLOW_ESTABLISHED;
    flow.flags = PS_FLOW_INSPECTED;
    flow.tcp_flags = SYN;
    flow.seen_ns = static_cast<std::uint64_t>(host->runtime.now().since_start.count());
    ASSERT_TRUE(host->kernel->map_put(Map::kFlows, bytes_of(key), bytes_of(flow)));
  }
  // How long others wait for the strand.
  auto longest = Duration(0);
  auto last = host->runtime.now();
  std::function<void()> others = [&] {
    const auto now = host->runtime.now();
    longest = std::max(longest, now - last);
    last = now;
    host->runtime.post([&] { others(); });
  };
  host->runtime.post([&] {
    last = host->runtime.now();
    others();
  });
  const auto begin = host->runtime.now();
  const auto report = host->ask({items::firewall(1, 443)});
  const auto took = host->runtime.now() - begin;
  EXPECT_EQ(report.flows(), 260'000);
  EXPECT_EQ(report.cut(), 260'000);
  const auto ms = [](Duration d) { return static_cast<int>(d.count() / 1'000'000); };
  RecordProperty("took_ms", ms(took));
  RecordProperty("longest_turn_ms", ms(longest));
  std::printf("260,000 entries: %d ms, longest turn %d ms\n", ms(took), ms(longest));
  // Generous: other things run on the machine of a test.
  EXPECT_LT(ms(took), 3'000);
  EXPECT_LT(ms(longest), 200);
}

}  // namespace
}  // namespace penstock::packets
