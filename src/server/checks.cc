#include "server/checks.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "net/address.h"

namespace penstock {
namespace {

using Check = v1::CheckResponse::Check;

constexpr std::string_view kServer = "server", kAudit = "audit-log", kDisk = "disk-space",
                           kConnected = "hosts-connected", kApplied = "hosts-applied",
                           kDigests = "hosts-digests", kLag = "hosts-lag",
                           kFlows = "hosts-flow-table", kUnderlay = "underlay-mtu";
constexpr std::string_view kAll[] = {kServer,  kAudit, kDisk,  kConnected, kApplied,
                                     kDigests, kLag,   kFlows, kUnderlay};

// What VXLAN puts around a frame of a network: Ethernet, VXLAN, UDP and IP headers (RFC 7348).
constexpr int kAroundV4 = 50, kAroundV6 = 70;
constexpr int kStandardMtu = 1500;
// Every host is probed by this many others at most: with all by all a deployment of a thousand
// hosts would send a million packets at each check.
constexpr std::size_t kMostPeers = 16;
// Revisions behind, above which a host that is connected counts as late.
constexpr std::int64_t kLagMost = 1'000;

struct End {
  std::string host;
  std::string address;
};

// Tunnel ends of all hosts, and the host of each address.
std::vector<End> tunnel_ends(const Snapshot& snapshot) {
  std::vector<End> ends;
  snapshot.each<v1::Host>([&](const v1::Host& host) {
    std::set<std::string> used;
    for (const auto& one : host.spec().switches()) used.insert(one.uplink());
    for (const auto& uplink : host.spec().uplinks()) {
      const bool first = &uplink == &host.spec().uplinks(0);
      if (used.empty() ? first : used.contains(uplink.name()))
        ends.push_back({host.metadata().name(), uplink.address()});
    }
  });
  return ends;
}

bool v6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

// The largest packet that networks put on the underlay.
int bytes_on_underlay(const Snapshot& snapshot, bool over_v6) {
  int largest = 0;
  snapshot.each<v1::VirtualNetwork>([&](const v1::VirtualNetwork& network) {
    largest = std::max(largest, network.status().mtu());
  });
  return largest == 0 ? kStandardMtu : largest + (over_v6 ? kAroundV6 : kAroundV4);
}

}  // namespace

struct Checks::Run {
  std::set<std::string, std::less<>> names;  // empty: all
  bool administrator = false;
  Done done;
  v1::CheckResponse response;
  MonoTime begun;
  // Orders that are not answered yet: by whom, and to whom they are.
  std::map<std::uint64_t, std::string> waiting;
  std::map<std::string, std::string> host_of;  // by tunnel end
  int ways = 0, bad_ways = 0;
  std::int64_t slowest_us = 0;
  std::optional<TimerId> timer;

  bool wants(std::string_view name) const { return names.empty() || names.contains(name); }
  Check& add(std::string_view name, Check::State state, std::string message, std::string hint = {},
             std::string object = {}) {
    auto& check = *response.add_checks();
    check.set_name(std::string(name));
    check.set_state(state);
    check.set_message(std::move(message));
    check.set_hint(std::move(hint));
    check.set_object(std::move(object));
    return check;
  }
};

Checks::Checks(Runtime& runtime, Engine& engine, HostSessions& sessions, Compiler& compiler,
               const Audit& audit)
    : runtime_(runtime), engine_(engine), sessions_(sessions), compiler_(compiler), audit_(audit) {}
Checks::~Checks() {
  for (const auto& [id, run] : probing_)
    if (run->timer) runtime_.cancel(*std::exchange(run->timer, std::nullopt));
}

void Checks::check(const Identity& who, const v1::CheckRequest& request, Done done) {
  for (const auto& name : request.names())
    if (std::ranges::find(kAll, name) == std::end(kAll)) {
      const std::vector<std::string> all(std::begin(kAll), std::end(kAll));
      return done(fail_field("names", fmt::format("there is no check \"{}\"", name),
                             did_you_mean(name, all)));
    }
  auto run = std::make_shared<Run>();
  run->names = {request.names().begin(), request.names().end()};
  run->administrator = who.administrator();
  run->done = std::move(done);
  run->begun = runtime_.now();
  run->response.set_revision(engine_.head().revision());
  if (run->wants(kServer)) server(*run);
  if (!run->administrator) return finish(run);
  hosts(*run);
  flow_tables(*run);
  disk(*run);
  if (!run->wants(kUnderlay)) return finish(run);
  probe_underlay(run);
}

void Checks::server(Run& run) const {
  if (engine_.serving())
    run.add(kServer, Check::PASSED, fmt::format("serves revision {}", engine_.head().revision()));
  else
    run.add(kServer, Check::FAILED, "does not write: it is starting, or another has taken over",
            "penstock status");
}

void Checks::hosts(Run& run) const {
  const auto& head = engine_.head();
  int all = 0, connected = 0, applied = 0, compared = 0, unsure = 0, late = 0;
  head.each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    const auto object = "host/" + name;
    ++all;
    const auto* view = sessions_.view(name);
    if (!view || !view->connected) {
      if (run.wants(kConnected))
        run.add(kConnected, Check::FAILED,
                view && !view->ahead.empty() ? view->ahead
                                             : fmt::format("host {} has no session", name),
                "penstock describe host " + name, object);
      return;
    }
    ++connected;
    if (view->not_ready.empty()) {
      ++applied;
    } else if (run.wants(kApplied)) {
      const auto& [key, first] = *view->not_ready.begin();
      run.add(kApplied, Check::FAILED,
              fmt::format("host {} cannot apply {} items: {}: {}", name, view->not_ready.size(),
                          key, first.message()),
              "penstock explain host " + name, object);
    }
    const auto lag = head.revision() - view->applied_revision;
    if (!sessions_.in_step(name)) {
      ++unsure;
      if (lag > kLagMost) {
        ++late;
        if (run.wants(kLag))
          run.add(kLag, Check::WARNING, fmt::format("host {} is {} revisions behind", name, lag),
                  "penstock describe host " + name, object);
      }
      return;
    }
    // Compiling what each host should hold is the expensive part; it is what the check is about.
    if (!run.wants(kDigests) || view->digest.empty()) return;
    ++compared;
    if (compiler_.compile(head, name).digest().text() != view->digest)
      run.add(kDigests, Check::FAILED,
              fmt::format("host {} holds something else than it should", name),
              "it is sent everything again by itself; if this comes back, it is a defect", object);
  });
  const auto none_of = [&](std::string_view name) {
    return run.wants(name) && std::ranges::find(run.response.checks(), name, &Check::name) ==
                                  run.response.checks().end();
  };
  if (none_of(kConnected))
    run.add(kConnected, all == 0 ? Check::SKIPPED : Check::PASSED,
            all == 0 ? "there are no hosts" : fmt::format("{} of {} hosts", connected, all));
  if (none_of(kApplied))
    run.add(kApplied, all == 0 ? Check::SKIPPED : Check::PASSED,
            all == 0 ? "there are no hosts" : fmt::format("{} of {} hosts", applied, connected));
  if (none_of(kDigests))
    run.add(kDigests, compared == 0 ? Check::SKIPPED : Check::PASSED,
            compared == 0 ? "no host has said what it holds yet"
                          : fmt::format("{} hosts hold what they should", compared));
  if (none_of(kLag))
    run.add(kLag, Check::PASSED,
            fmt::format("{} of {} hosts have changes on their way, {} are late", unsure, connected,
                        late));
}

void Checks::flow_tables(Run& run) const {
  if (!run.wants(kFlows)) return;
  const auto most = runtime_.tunables().flow_entries;
  std::int64_t fullest = 0;
  bool good = true;
  engine_.head().each<v1::Host>([&](const v1::Host& host) {
    const auto& name = host.metadata().name();
    const auto* view = sessions_.view(name);
    if (!view || !view->connected) return;
    fullest = std::max(fullest, view->flows);
    if (view->flows * 10 < most * 8) return;
    good = false;
    run.add(kFlows, view->flows * 100 < most * 95 ? Check::WARNING : Check::FAILED,
            fmt::format("{} of {} flow entries of host {} are in use", view->flows, most, name),
            "raise flow_entries, or lower flow timeouts and port quotas", "host/" + name);
  });
  if (good)
    run.add(kFlows, Check::PASSED,
            fmt::format("the fullest has {} of {} entries in use", fullest, most));
}

void Checks::disk(Run& run) const {
  if (run.wants(kAudit)) {
    const auto good = audit_.accepts();
    run.add(kAudit, good ? Check::PASSED : Check::FAILED,
            good ? fmt::format("{} records since the start", audit_.counts().records)
                 : good.error().message,
            good ? "" : good.error().hint);
  }
  if (!run.wants(kDisk)) return;
  const auto space = disk_space ? disk_space() : fail(Code::kUnimplemented, "nobody can tell");
  if (!space) {
    run.add(kDisk, Check::SKIPPED, space.error().message);
    return;
  }
  const auto mib = space->free_bytes >> 20;
  const auto state = mib < 100 ? Check::FAILED : mib < 1024 ? Check::WARNING : Check::PASSED;
  run.add(kDisk, state,
          fmt::format("{} MiB of {} MiB are free where the store is", mib, space->all_bytes >> 20),
          state == Check::PASSED ? "" : "make room; without it nothing can be changed");
}

void Checks::probe_underlay(const RunPtr& run) {
  const auto ends = tunnel_ends(engine_.head());
  for (const auto& end : ends) run->host_of.emplace(end.address, end.host);
  std::map<std::string, v1::ProbeOrder> orders;
  // Each to those that follow it in a circle: every host is reached by as many as it reaches.
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::size_t peers = 0;
    for (std::size_t j = 1; j < ends.size() && peers < kMostPeers; ++j) {
      const auto& to = ends[(i + j) % ends.size()];
      if (to.host == ends[i].host || v6(to.address) != v6(ends[i].address)) continue;
      const auto* view = sessions_.view(to.host);
      if (!view || !view->connected) continue;  // said already
      ++peers;
      auto& order = orders[ends[i].host];
      if (std::ranges::find(order.vteps(), to.address) == order.vteps().end())
        order.add_vteps(to.address);
      order.set_bytes(bytes_on_underlay(engine_.head(), v6(to.address)));
    }
  }
  for (auto& [host, order] : orders) {
    const auto id = next_++;
    order.set_id(id);
    v1::ServerMessage message;
    *message.mutable_probe() = order;
    if (!sessions_.order(host, std::move(message))) continue;
    run->waiting.emplace(id, host);
    probing_.emplace(id, run);
  }
  if (run->waiting.empty()) {
    run->add(kUnderlay, Check::SKIPPED, "there are no two connected hosts");
    return finish(run);
  }
  const auto grace = std::chrono::milliseconds(runtime_.tunables().probe_deadline_ms + 500);
  run->timer = runtime_.after(grace, [this, run] {
    run->timer.reset();
    for (const auto& [id, host] : std::exchange(run->waiting, {})) {
      probing_.erase(id);
      ++run->bad_ways;
      run->add(kUnderlay, Check::FAILED, fmt::format("host {} did not answer the order", host),
               "is its agent of this version?", "host/" + host);
    }
    finish(run);
  });
}

void Checks::reported(const std::string& host, const v1::ProbeReport& report) {
  const auto found = probing_.find(report.id());
  if (found == probing_.end()) return;
  const auto run = found->second;
  const auto order = run->waiting.find(report.id());
  if (order == run->waiting.end() || order->second != host) return;  // not its order
  run->waiting.erase(order);
  probing_.erase(found);
  for (const auto& answer : report.answers()) {
    ++run->ways;
    run->slowest_us = std::max(run->slowest_us, answer.rtt_us());
    if (answer.answered()) continue;
    ++run->bad_ways;
    const auto to = run->host_of.find(answer.vtep());
    run->add(kUnderlay, Check::FAILED,
             fmt::format("{} -> {} ({}): {}", host,
                         to == run->host_of.end() ? std::string("?") : to->second, answer.vtep(),
                         answer.problem()),
             "see routes, firewalls and MTUs between the two", "host/" + host);
  }
  if (!run->waiting.empty()) return;
  if (run->timer) runtime_.cancel(*std::exchange(run->timer, std::nullopt));
  finish(run);
}

void Checks::finish(const RunPtr& run) {
  if (run->ways > 0 && run->bad_ways == 0)
    run->add(kUnderlay, Check::PASSED,
             fmt::format("{} ways between hosts carry full packets, the slowest in {:.1f} ms",
                         run->ways, static_cast<double>(run->slowest_us) / 1000));
  for (auto& check : *run->response.mutable_checks())
    check.set_took_us(
        std::chrono::duration_cast<std::chrono::microseconds>(runtime_.now() - run->begun).count());
  run->done(std::move(run->response));
}

}  // namespace penstock
