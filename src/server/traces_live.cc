// Live traces: the hosts of both ends watch for the next packet between them; what they saw is put
// together when all of it is there, or when no more is to be expected.
#include <algorithm>

#include <fmt/format.h>

#include "server/trace_walk.h"

namespace penstock {
namespace {

// Of one conversation; the first each way counts.
constexpr std::uint32_t kRecordsMost = 16;

}  // namespace

void Traces::begin_live(const WalkPtr& walk) {
  auto& live = walk->live.emplace();
  const auto& packet = walk->request.packet();
  const auto& tenant = walk->request.tenant();
  const auto destination = IpAddress::parse(packet.destination());
  const auto& network = walk->network->metadata().name();
  if (const auto port =
          destination ? walk->snapshot.address_user(tenant, network, *destination) : 0) {
    if (const auto nic = walk->snapshot.nic_of_port(port)) {
      const auto vm = walk->snapshot.find<v1::VirtualMachine>(nic->tenant, nic->vm);
      live.far_port = port;
      live.far_host = vm ? host_of(*vm) : "";
    }
  }
  v1::TraceOrder order;
  order.set_id(walk->id);
  auto& watch = *order.mutable_watch();
  watch.set_vni(static_cast<std::uint32_t>(walk->network->spec().vni()));
  *watch.mutable_packet() = packet;
  watch.set_most(kRecordsMost);
  watch.mutable_deadline()->set_seconds(walk->limit.count() / 1'000'000'000 + 1);
  if (!live.far_host.empty() && live.far_host != walk->origin_host) {
    watch.add_port_ids(live.far_port);
    if (!sessions_.order(live.far_host, order)) live.failed[live.far_host] = "is away";
    watch.clear_port_ids();
  } else if (live.far_port != 0) {
    watch.add_port_ids(live.far_port);
  }
  watch.add_port_ids(walk->origin_port);
  if (!sessions_.order(walk->origin_host, order))
    stuck(walk, v1::UNKNOWN, walk->origin_host, "is away: nothing can be watched there");
}

void Traces::live_reported(const WalkPtr& walk, const std::string& host,
                           const v1::TraceReport& report) {
  auto& live = *walk->live;
  if (host != walk->origin_host && host != live.far_host) return;
  note_revision(walk, host, report);
  if (!report.failure().empty()) {
    live.failed[host] = "cannot watch: " + report.failure();
    if (host == walk->origin_host) stuck(walk, v1::UNKNOWN, host, live.failed[host]);
    return;
  }
  if (report.watching()) return;
  const bool forward = report.packet().source() == walk->request.packet().source();
  auto& seen = forward ? live.forward : live.reply;
  // Answers of an earlier packet, seen before the watch met a packet of the forward way, are none.
  if (!forward && live.forward.empty()) return;
  if (!seen.emplace(host, report).second) return;
  const auto done = [&](const auto& way, const std::string& from, const std::string& to) {
    const auto first = way.find(from);
    if (first == way.end()) return false;
    if (first->second.end() != v1::TraceReport::SENT_ON) return true;
    return way.contains(to);
  };
  if (done(live.forward, walk->origin_host, live.far_host)) {
    const auto arrived = live.forward.find(live.far_host);
    const auto& last =
        arrived != live.forward.end() ? arrived->second : live.forward.at(walk->origin_host);
    if (last.end() != v1::TraceReport::DELIVERED ||
        done(live.reply, live.far_host, walk->origin_host))
      return live_over(walk);
  }
  if (!live.grace)
    live.grace = runtime_.after(std::chrono::milliseconds(runtime_.tunables().trace_grace_ms),
                                [this, id = walk->id] {
                                  const auto found = open_.find(id);
                                  if (found == open_.end()) return;
                                  const auto walk = found->second;
                                  walk->live->grace.reset();
                                  live_over(walk);
                                });
}

void Traces::put_together(const WalkPtr& walk, const std::string& from, const v1::TraceReport* sent,
                          const std::string& to, const v1::TraceReport* arrived) {
  for (const auto& step : sent->steps()) walk->add(step, from);
  walk->set([&](auto& way) { *way.mutable_packet() = sent->packet(); });
  if (sent->end() != v1::TraceReport::SENT_ON) return settle(walk, from, *sent);
  if (arrived) {
    v1::TraceStep step;
    if (!walk->steps().empty()) {
      step.set_port(walk->steps().rbegin()->port());
      step.set_dir(walk->steps().rbegin()->dir());
    }
    step.set_component("underlay");
    step.set_action("passed");
    step.set_text("to " + to);
    step.set_next_hop(to);
    step.set_evidence("observed");
    step.set_folded(true);
    walk->add(std::move(step), from);
    for (const auto& step : arrived->steps()) walk->add(step, to);
    return settle(walk, to, *arrived);
  }
  const auto& failed = walk->live->failed;
  if (to.empty()) {
    walk->set([&](auto& way) {
      way.set_disposition(v1::HANDED_TO_REMOTE);
      way.set_at(sent->vtep());
    });
  } else if (const auto why = failed.find(to); why != failed.end()) {
    add_stuck(walk, v1::UNKNOWN, to, "host_unknown", why->second);
  } else {
    add_stuck(walk, v1::LOST, to, "not_arrived",
              fmt::format("did not get it: it was sent on and did not arrive within {} ms",
                          runtime_.tunables().trace_grace_ms));
  }
}

void Traces::live_over(const WalkPtr& walk) {
  auto& live = *walk->live;
  const auto find = [](const auto& way, const std::string& host) {
    const auto found = way.find(host);
    return found == way.end() ? nullptr : &found->second;
  };
  const auto* sent = find(live.forward, walk->origin_host);
  if (!sent) {
    walk->trace.set_disposition(v1::UNKNOWN);
    walk->trace.set_code("not_seen");
    walk->trace.set_reason("no such packet was sent before the deadline");
    walk->trace.set_no_reply("not reached");
    return finish(walk);
  }
  put_together(walk, walk->origin_host, sent, live.far_host,
               live.far_host == walk->origin_host ? nullptr : find(live.forward, live.far_host));
  if (walk->trace.disposition() != v1::DELIVERED) {
    walk->trace.set_no_reply("not reached");
    return finish(walk);
  }
  const auto* answer = find(live.reply, live.far_host);
  if (!answer) {
    walk->trace.set_no_reply(
        fmt::format("no answer was seen within {} ms", runtime_.tunables().trace_grace_ms));
    return finish(walk);
  }
  walk->phase = Phase::kReply;
  walk->trace.mutable_reply()->set_from(walk->trace.at());
  put_together(walk, live.far_host, answer, walk->origin_host,
               live.far_host == walk->origin_host ? nullptr : find(live.reply, walk->origin_host));
  finish(walk);
}

void Traces::end_live(const WalkPtr& walk) {
  auto& live = *walk->live;
  if (live.grace) runtime_.cancel(*live.grace);
  v1::TraceOrder order;
  order.set_id(walk->id);
  order.set_end(true);
  for (const auto* host : {&walk->origin_host, &live.far_host})
    if (!host->empty()) sessions_.order(*host, order);
}

}  // namespace penstock
