#include "server/traces.h"

#include <algorithm>

#include <fmt/format.h>

#include "compile/view.h"
#include "net/address.h"
#include "server/authorize.h"
#include "server/trace_view.h"
#include "server/trace_walk.h"

namespace penstock {
namespace {

const v1::Nic* find_nic(const v1::VirtualMachine& vm, const std::string& name) {
  for (const auto& nic : vm.spec().nics())
    if (name.empty() || nic.name() == name) return &nic;
  return nullptr;
}

std::string first_address(const v1::Nic& nic, Family family) {
  for (const auto& text : nic.addresses())
    if (const auto address = IpAddress::parse(text); address && address->family == family)
      return text;
  return {};
}

bool link_local(const IpAddress& a) {
  return a.family == Family::kV6 && a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80;
}

// Whose MAC a VM asks for to reach the address; empty: it has no route.
std::string next_hop(const v1::VirtualNetwork& network, const IpAddress& destination) {
  if (link_local(destination)) return destination.text();
  std::string gateway;
  for (const auto& subnet : network.spec().subnets()) {
    const auto prefix = IpPrefix::parse(subnet.cidr());
    if (!prefix || prefix->address.family != destination.family) continue;
    if (prefix->contains(destination)) return destination.text();
    if (gateway.empty()) gateway = subnet.gateway();
  }
  return gateway;
}

// The answer that the packet asks for; nothing: it asks for none, and `why` says so.
std::optional<v1::TracedPacket> answer_to(const v1::TracedPacket& packet, std::string& why) {
  v1::TracedPacket out;
  out.set_source(packet.destination());
  out.set_destination(packet.source());
  out.set_protocol(packet.protocol());
  out.set_source_port(packet.destination_port());
  out.set_destination_port(packet.source_port());
  const auto has = [&](std::string_view flag) {
    return std::ranges::find(packet.tcp_flags(), flag) != packet.tcp_flags().end();
  };
  if (packet.protocol() == "tcp") {
    if (has("rst")) {
      why = "a reset is not answered";
      return {};
    }
    if (has("syn") && !has("ack")) out.add_tcp_flags("syn");
    out.add_tcp_flags("ack");
  } else if (packet.protocol() == "icmp") {
    const bool v6 = packet.destination().find(':') != std::string::npos;
    if (packet.icmp() != (v6 ? "128/0" : "8/0")) {
      why = "ICMP of this type is not answered";
      return {};
    }
    out.set_icmp(v6 ? "129/0" : "0/0");
  } else if (packet.protocol() != "udp") {
    why = fmt::format("what answers {} is not known", packet.protocol());
    return {};
  }
  return out;
}

}  // namespace

Traces::Traces(Runtime& runtime, Engine& engine, HostSessions& sessions)
    : runtime_(runtime), engine_(engine), sessions_(sessions) {}
Traces::~Traces() = default;

Result<Traces::WalkPtr> Traces::plan(const Identity& who, const v1::TraceRequest& request) const {
  auto walk = std::make_shared<Walk>();
  walk->who = who;
  walk->snapshot = engine_.head();
  walk->request = request;
  const auto& snapshot = walk->snapshot;
  const auto key = ObjectKey::of<v1::VirtualMachine>(request.tenant(), request.vm());
  const auto vm = snapshot.find<v1::VirtualMachine>(request.tenant(), request.vm());
  PENSTOCK_CHECK(authorize(snapshot, who, Action::kRead, key, vm.get()));
  if (!vm) return not_found(key);
  const auto* nic = find_nic(*vm, request.nic());
  if (!nic)
    return fail(Code::kNotFound,
                request.nic().empty()
                    ? fmt::format("{} has no NIC", key.text())
                    : fmt::format("{} has no NIC \"{}\"", key.text(), request.nic()),
                fmt::format("penstock describe vm {}", key.text()));
  walk->network = snapshot.find<v1::VirtualNetwork>(request.tenant(), nic->network());
  if (!walk->network) return fail(Code::kInternal, "the NIC's network is not there");
  walk->origin_host = host_of(*vm);
  walk->origin_port = nic->port_id();
  if (walk->origin_host.empty())
    return fail(Code::kFailedPrecondition, fmt::format("{} runs on no host", key.text()),
                fmt::format("penstock explain vm {}", key.text()));

  auto& packet = *walk->request.mutable_packet();
  auto destination = IpAddress::parse(packet.destination());
  if (!destination) {
    if (packet.destination().empty())
      return fail_field("packet.destination", "a destination is needed",
                        "an address, or the name of a VM");
    const auto slash = packet.destination().find('/');
    const auto name =
        slash == std::string::npos ? packet.destination() : packet.destination().substr(slash + 1);
    const auto to = ObjectKey::of<v1::VirtualMachine>(request.tenant(), name);
    const auto target = snapshot.find<v1::VirtualMachine>(request.tenant(), name);
    const bool foreign =
        slash != std::string::npos && packet.destination().substr(0, slash) != request.tenant();
    if (foreign || !target || !may_read(snapshot, who, to, target.get()))
      return fail_field("packet.destination",
                        fmt::format("\"{}\" is neither an address nor a VM of tenant {}",
                                    packet.destination(), request.tenant()));
    for (const auto& one : target->spec().nics())
      if (one.network() == nic->network() && one.addresses_size() > 0) {
        packet.set_destination(one.addresses(0));
        // An address of the family that the source is given in.
        if (const auto from = IpAddress::parse(packet.source()))
          packet.set_destination(first_address(one, from->family));
        break;
      }
    destination = IpAddress::parse(packet.destination());
    if (!destination)
      return fail_field("packet.destination",
                        fmt::format("{} has no address in network {}", to.text(), nic->network()));
  }
  if (packet.source().empty()) {
    packet.set_source(first_address(*nic, destination->family));
    if (packet.source().empty())
      return fail_field("packet.destination", fmt::format("{}/{} has no address of that family",
                                                          vm->metadata().name(), nic->name()));
  }
  if (const auto source = IpAddress::parse(packet.source()); !source)
    return fail_field("packet.source", source.error().message);
  if (const auto protocol =
          parse_ip_protocol(packet.protocol().empty() ? "icmp" : packet.protocol());
      !protocol)
    return fail_field("packet.protocol", protocol.error().message, protocol.error().hint);

  auto& trace = walk->trace;
  trace.set_api_version("v1");
  trace.set_kind("Trace");
  trace.set_mode(request.live() ? "live" : "described");
  trace.set_from(fmt::format("{}/{}", vm->metadata().name(), nic->name()));
  trace.mutable_as_of()->set_revision(snapshot.revision());
  *trace.mutable_packet() = packet;
  return walk;
}

void Traces::trace(const Identity& who, const v1::TraceRequest& request, Done done) {
  auto planned = plan(who, request);
  if (!planned) return done(std::unexpected(planned.error()));
  if (static_cast<std::int64_t>(open_.size()) >= runtime_.tunables().traces_max)
    return done(fail(Code::kResourceExhausted, "too many traces are under way", "try again"));
  auto& walk = *planned;
  walk->id = next_++;
  walk->done = std::move(done);
  open_[walk->id] = walk;
  const auto& tunables = runtime_.tunables();
  Duration limit = std::chrono::milliseconds(request.live() ? tunables.trace_live_deadline_ms
                                                            : tunables.trace_deadline_ms);
  if (request.has_deadline())
    limit = std::chrono::seconds(std::clamp<std::int64_t>(request.deadline().seconds(), 0, 600)) +
            std::chrono::nanoseconds(request.deadline().nanos());
  walk->deadline = runtime_.after(limit, [this, id = walk->id] {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    const auto walk = found->second;
    walk->deadline.reset();
    if (walk->live) return live_over(walk);
    stuck(walk, v1::UNKNOWN, walk->waiting_for, "did not answer in time");
  });
  walk->limit = limit;
  if (request.live()) return begin_live(walk);
  start_at(walk, walk->origin_host, walk->origin_port, walk->request.packet());
}

// --- orders

void Traces::start_at(const WalkPtr& walk, const std::string& host, std::uint64_t port_id,
                      const v1::TracedPacket& packet) {
  v1::TraceOrder order;
  auto& start = *order.mutable_start();
  start.set_port_id(port_id);
  *start.mutable_packet() = packet;
  const auto destination = IpAddress::parse(packet.destination());
  if (packet.destination_mac().empty() && destination) {
    start.set_next_hop(next_hop(*walk->network, *destination));
    const bool group = destination->bytes[0] == 0xff ||
                       (destination->family == Family::kV4 && destination->bytes[0] >> 4 == 0xe);
    if (start.next_hop().empty() && !group) {
      v1::TraceStep step;
      step.set_port(walk->trace.from());
      step.set_dir("out");
      step.set_component("guest");
      step.set_action("not sent");
      step.set_text("its network has no gateway for this address");
      step.set_evidence("inferred");
      step.set_decisive(true);
      walk->add(std::move(step), host);
      walk->set([](auto& way) {
        way.set_disposition(v1::DROPPED);
        way.set_code("no_route");
        way.set_reason("the VM has no route to the address: its network has no gateway");
        way.mutable_decided_by()->set_kind("switch");
        way.mutable_decided_by()->set_name("guest");
      });
      if (walk->phase == Phase::kForward) {
        walk->trace.set_at(walk->trace.from());
        walk->trace.set_no_reply("not reached");
      }
      return finish(walk);
    }
  }
  give(walk, host, std::move(order));
}

void Traces::give(const WalkPtr& walk, const std::string& host, v1::TraceOrder order) {
  order.set_id(walk->id);
  order.set_flows(walk->flows[host]);
  walk->waiting_for = host;
  if (!sessions_.order(host, order))
    stuck(walk, v1::UNKNOWN, host, "is away: what it does with the packet cannot be asked");
}

// --- reports

void Traces::reported(const std::string& host, const v1::TraceReport& report) {
  const auto found = open_.find(report.id());
  if (found != open_.end() && found->second->live)
    return live_reported(std::shared_ptr(found->second), host, report);
  // Late, or of a host that was not asked.
  if (found == open_.end() || found->second->waiting_for != host) return;
  const auto walk = found->second;
  walk->waiting_for.clear();
  note_revision(walk, host, report);
  for (const auto& step : report.steps()) walk->add(step, host);
  walk->flows[host] = report.flows();
  if (!report.failure().empty()) {
    const auto code = parse_code(report.failure_code()).value_or(Code::kInternal);
    if (code == Code::kInvalidArgument && walk->phase == Phase::kForward &&
        walk->trace.steps().empty()) {
      if (walk->deadline) runtime_.cancel(*walk->deadline);
      open_.erase(walk->id);
      if (!report.failure_field().empty())
        return walk->done(
            fail_field(report.failure_field(), report.failure(), report.failure_hint()));
      return walk->done(fail(code, report.failure(), report.failure_hint()));
    }
    return stuck(walk, v1::UNKNOWN, host, "cannot say: " + report.failure());
  }
  if (report.has_packet()) {
    const bool first = walk->phase != Phase::kForward ? !walk->trace.reply().has_packet()
                                                      : walk->flows.size() == 1;
    if (first) walk->set([&](auto& way) { *way.mutable_packet() = report.packet(); });
  }
  if (report.end() == v1::TraceReport::SENT_ON) return went_on(walk, host, report);
  way_over(walk, host, report);
}

// A host is told only what concerns it: one to which nothing is on its way is at the newest
// revision.
void Traces::note_revision(const WalkPtr& walk, const std::string& host,
                           const v1::TraceReport& report) {
  (*walk->trace.mutable_as_of()->mutable_hosts())[host] =
      sessions_.in_step(host) ? walk->trace.as_of().revision() : report.applied_revision();
}

// Where the host's frames of the walk's network come from: the far end compares it.
std::string Traces::tunnel_end(const Walk& walk, const std::string& host) {
  const auto there = walk.snapshot.find<v1::Host>(host);
  const auto* uplink = there ? uplink_of(*there, *walk.network) : nullptr;
  return uplink ? uplink->address() : "";
}

void Traces::went_on(const WalkPtr& walk, const std::string& from, const v1::TraceReport& report) {
  std::string host;
  walk->snapshot.each<v1::Host>([&](const v1::Host& one) {
    for (const auto& uplink : one.spec().uplinks())
      if (uplink.address() == report.vtep()) host = one.metadata().name();
  });
  if (host.empty()) {
    walk->set([&](auto& way) {
      way.set_disposition(v1::HANDED_TO_REMOTE);
      way.set_reason("it goes to a system that is none of the hosts");
      way.set_at(report.vtep());
    });
    if (walk->phase == Phase::kForward) walk->trace.set_no_reply("not known");
    return finish(walk);
  }
  v1::TraceStep step;
  if (!walk->steps().empty()) {
    step.set_port(walk->steps().rbegin()->port());
    step.set_dir(walk->steps().rbegin()->dir());
  }
  step.set_component("underlay");
  step.set_action("passed");
  step.set_text(fmt::format("to {}, not looked into", host));
  step.set_next_hop(host);
  step.set_evidence("inferred");
  step.set_folded(true);
  walk->add(std::move(step), from);
  v1::TraceOrder order;
  order.mutable_arrive()->set_vni(report.vni());
  order.mutable_arrive()->set_sender(tunnel_end(*walk, from));
  order.mutable_arrive()->set_frame(report.frame());
  give(walk, host, std::move(order));
}

namespace {

v1::TraceDisposition disposition_of(v1::TraceReport::End end) {
  switch (end) {
    case v1::TraceReport::DELIVERED:
      return v1::DELIVERED;
    case v1::TraceReport::REJECTED:
      return v1::REJECTED;
    case v1::TraceReport::CONSUMED:
      return v1::CONSUMED;
    case v1::TraceReport::DROPPED:
      return v1::DROPPED;
    default:
      return v1::UNKNOWN;
  }
}

}  // namespace

void Traces::settle(const WalkPtr& walk, const std::string& host, const v1::TraceReport& report) {
  // Where it ended: the NIC it was delivered to, else the one of the step that decided.
  std::string at = host;
  if (report.end() == v1::TraceReport::DELIVERED) {
    if (const auto nic = walk->snapshot.nic_of_port(static_cast<std::uint32_t>(report.port_id())))
      at = nic->vm + "/" + nic->nic;
  } else {
    for (const auto& step : walk->steps())
      if (step.decisive() && !step.port().empty()) at = step.port();
    if (at == host && !walk->steps().empty() && !walk->steps().rbegin()->port().empty())
      at = walk->steps().rbegin()->port();
  }
  walk->set([&](auto& way) {
    way.set_disposition(disposition_of(report.end()));
    way.set_code(report.code());
    way.set_reason(report.reason());
    way.set_at(at);
    if (report.has_decided_by()) *way.mutable_decided_by() = report.decided_by();
  });
}

void Traces::way_over(const WalkPtr& walk, const std::string& host, const v1::TraceReport& report) {
  settle(walk, host, report);
  if (walk->phase != Phase::kForward) return finish(walk);
  after_forward(walk, host, report);
}

void Traces::after_forward(const WalkPtr& walk, const std::string& host,
                           const v1::TraceReport& report) {
  if (report.end() == v1::TraceReport::REJECTED && report.answer_goes_over_overlay()) {
    walk->phase = Phase::kAnswer;
    v1::TraceOrder order;
    order.mutable_arrive()->set_vni(static_cast<std::uint32_t>(walk->network->spec().vni()));
    order.mutable_arrive()->set_sender(tunnel_end(*walk, host));
    order.mutable_arrive()->set_frame(report.frame());
    walk->trace.mutable_reply()->set_from(host);
    return give(walk, walk->origin_host, std::move(order));
  }
  if (report.end() != v1::TraceReport::DELIVERED) {
    walk->trace.set_no_reply("not reached");
    return finish(walk);
  }
  std::string why;
  const auto answer = answer_to(walk->trace.packet(), why);
  if (!answer) {
    walk->trace.set_no_reply(why);
    return finish(walk);
  }
  walk->phase = Phase::kReply;
  walk->trace.mutable_reply()->set_from(walk->trace.at());
  walk->trace.add_assumptions("the receiver answers");
  start_at(walk, host, report.port_id(), *answer);
}

void Traces::add_stuck(const WalkPtr& walk, v1::TraceDisposition disposition,
                       const std::string& host, std::string code, std::string why) {
  v1::TraceStep step;
  step.set_component("host");
  step.set_action(disposition == v1::LOST ? "lost" : "unknown");
  step.set_text(why);
  step.set_evidence("inferred");
  step.set_decisive(true);
  walk->add(std::move(step), host);
  const auto subject = walk->who.administrator() ? "host " + host : std::string("its host");
  walk->set([&](auto& way) {
    way.set_disposition(disposition);
    way.set_code(code);
    way.set_reason(subject + " " + why);
    way.set_at(walk->who.administrator() ? host : "");
  });
}

void Traces::stuck(const WalkPtr& walk, v1::TraceDisposition disposition, const std::string& host,
                   std::string why) {
  add_stuck(walk, disposition, host, "host_unknown", std::move(why));
  if (walk->phase == Phase::kForward) walk->trace.set_no_reply("not reached");
  finish(walk);
}

void Traces::finish(const WalkPtr& walk) {
  if (walk->deadline) runtime_.cancel(*walk->deadline);
  if (walk->live) end_live(walk);
  open_.erase(walk->id);
  show_trace(walk->snapshot, walk->who, walk->request.tenant(), walk->trace);
  walk->done(std::move(walk->trace));
}

}  // namespace penstock
