#include "sim/accidents.h"

#include <iterator>

namespace penstock::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

Accidents::Accidents(SimClock& clock, Trace& trace, ServerNode& server,
                     std::vector<std::unique_ptr<HostNode>>& hosts, Clients& clients)
    : clock_(clock), trace_(trace), server_(server), hosts_(hosts), clients_(clients) {
  auto& random = clock_.random();
  std::vector<Kind> all{
      {"server crash",
       [this] {
         server_.crash();
         const bool told = clock_.random().below(4) != 0;
         for (auto& host : hosts_) host->wire.server_died(told);
         later(milliseconds(1), seconds(3), [this] { server_.start(); });
       }},
      {"agent crash",
       [this] {
         auto& host = some_host();
         host.crash(clock_.random().below(4) != 0);
         later(milliseconds(1), seconds(3), [&host] { host.start(); });
       }},
      {"host reboot",
       [this] {
         auto& host = some_host();
         host.reboot();
         later(milliseconds(200), seconds(5), [&host] { host.start(); });
       }},
      {"cut", [this] { some_host().wire.cut(); }},
      {"half-open", [this] { some_host().wire.half_open(); }},
      {"partition",
       [this] {
         auto& host = some_host();
         host.wire.partition(true);
         later(milliseconds(50), seconds(15), [&host] { host.wire.partition(false); });
       }},
      {"slow network",
       [this] {
         auto& host = some_host();
         host.wire.delay_max = milliseconds(400);
         later(seconds(1), seconds(5), [&host] { host.wire.delay_max = milliseconds(3); });
       }},
      {"lossy clients",
       [this] {
         clients_.loss = 0.3;
         later(milliseconds(100), seconds(5), [this] { clients_.loss = 0; });
       }},
      {"store slow",
       [this] {
         server_.disk.faults.slow = 0.3;
         server_.disk.faults.slow_time = milliseconds(1 + clock_.random().below(1500));
         later(milliseconds(100), seconds(5), [this] { server_.disk.faults.slow = 0; });
       }},
      {"store unknown",
       [this] {
         server_.disk.faults.unknown = 0.4;
         later(milliseconds(100), seconds(5), [this] { server_.disk.faults.unknown = 0; });
       }},
      {"store full",
       [this] {
         server_.disk.faults.disk_full = true;
         later(milliseconds(100), seconds(4), [this] { server_.disk.faults.disk_full = false; });
       }},
      {"store away",
       [this] {
         server_.disk.faults.unavailable = true;
         later(milliseconds(100), seconds(4), [this] { server_.disk.faults.unavailable = false; });
       }},
      {"host disk full",
       [this] {
         auto& host = some_host();
         host.folder.full = true;
         later(milliseconds(100), seconds(5), [&host] { host.folder.full = false; });
       }},
      {"kernel calls fail",
       [this] {
         auto& host = some_host();
         host.kernel.faults.calls_until_failure = static_cast<int>(clock_.random().below(20));
         later(milliseconds(10), seconds(3),
               [&host] { host.kernel.faults.calls_until_failure = -1; });
       }},
      {"map full",
       [this] {
         static constexpr host::Map kMaps[]{host::Map::kPortSlots, host::Map::kAddresses,
                                            host::Map::kEndpoints, host::Map::kNeighbors,
                                            host::Map::kFlood,     host::Map::kGroups};
         auto& host = some_host();
         host.kernel.faults.full.insert(kMaps[clock_.random().below(std::size(kMaps))]);
         later(milliseconds(50), seconds(5), [&host] { host.kernel.faults.full.clear(); });
       }},
      {"attach denied",
       [this] {
         auto& host = some_host();
         host.kernel.faults.attach_denied_everywhere = true;
         later(milliseconds(50), seconds(5),
               [&host] { host.kernel.faults.attach_denied_everywhere = false; });
       }},
      {"device removed",
       [this] {
         auto& host = some_host();
         std::vector<int> ours;
         for (const auto& [ifindex, link] : host.kernel.devices())
           if (!link.kind.empty()) ours.push_back(ifindex);
         if (!ours.empty()) host.kernel.remove_link(ours[clock_.random().below(ours.size())]);
         host.look();
       }},
      {"program detached",
       [this] {
         auto& host = some_host();
         const auto all = host.kernel.attachments().value();
         host.tampered();
         if (!all.empty()) (void)host.kernel.detach(all[clock_.random().below(all.size())]);
       }},
      {"instance broken",
       [this] {
         auto& host = some_host();
         host.machines.broken.insert(
             fmt::format("{}/vm{}", kTenants[clock_.random().below(2)], clock_.random().below(6)));
         later(milliseconds(50), seconds(5), [&host] { host.machines.broken.clear(); });
       }},
      {"instance dies",
       [this] {
         auto& host = some_host();
         auto& all = host.machines.machines;
         if (all.empty()) return;
         host.machines.kill(
             std::next(all.begin(), static_cast<std::ptrdiff_t>(clock_.random().below(all.size())))
                 ->first);
       }},
      {"instances slow",
       [this] {
         auto& host = some_host();
         host.machines.work_time = milliseconds(500);
         later(milliseconds(500), seconds(5),
               [&host] { host.machines.work_time = milliseconds(1); });
       }},
  };
  const auto share = 1 + random.below(3);  // a third, two thirds or all of them
  for (auto& kind : all)
    if (random.below(3) < share) kinds_.push_back(std::move(kind));
  if (kinds_.empty()) kinds_.push_back(std::move(all.front()));
}

HostNode& Accidents::some_host() {
  return *hosts_[clock_.random().below(hosts_.size())];
}

void Accidents::later(Duration least, Duration most, Task task) {
  const auto range = static_cast<std::uint64_t>((most - least).count());
  clock_.at(
      clock_.now() + least + Duration(static_cast<std::int64_t>(clock_.random().below(range))),
      std::move(task));
}

void Accidents::one() {
  const auto& kind = kinds_[clock_.random().below(kinds_.size())];
  trace_.add("accident: {}", kind.name);
  kind.happen();
}

void Accidents::heal_host(HostNode& host) {
  host.kernel.faults = {};
  host.machines.broken.clear();
  host.machines.work_time = milliseconds(1);
  host.folder.full = false;
  host.wire.partition(false);
  host.wire.delay_max = milliseconds(3);
  host.start();
}

void Accidents::heal() {
  server_.disk.faults = {};
  clients_.loss = 0;
  server_.start();
  for (auto& host : hosts_) heal_host(*host);
}

}  // namespace penstock::sim
